"""The charts of a study: accuracy, training, coefficients, seeds and sweeps."""

from goniometer.report import (
    charts_coefficients,
    charts_seed_scores,
    charts_seeds,
    charts_sizes,
    charts_study,
    charts_sweep,
    charts_training,
    grid,
)
from goniometer.report.chart import Chart
from goniometer.report.index import Index

VERDICTS = (
    "different", "different but within the margin", "equivalent within the margin", "undecided",
)  # fmt: skip


def study_charts(index: Index) -> dict[str, Chart]:
    """Charts of which a page has one, by name."""
    study = index.results.study
    found = {}
    if study and study.accuracies:
        scores = (study.accuracies[0], *(a for a in study.accuracies[1:] if a.run in index.shown))
        found["accuracies"] = charts_study.accuracies(index, scores)
    if any(cell.nll_right is not None or cell.nll_wrong is not None for cell in index.cells):
        found["held-out"] = charts_training.held_out(index)
    if charts_sizes.measured(index):
        found["divergence"] = charts_sizes.divergence(index)
    if crossed := charts_seeds.crossed(index):
        found["seeds"] = charts_seeds.seeds(crossed)
    if scores_by_seed := charts_seed_scores.scores(index):
        found["seed-scores"] = scores_by_seed
    return found


def coefficients(charts: dict[str, Chart], index: Index) -> tuple[tuple[str, ...], ...]:
    """Add the histograms; give the names of each arm's."""
    named = []
    for i, drawn in enumerate(charts_coefficients.histograms(index)):
        of_arm = {f"coefficients-{i}-{j}": chart for j, chart in enumerate(drawn)}
        charts |= of_arm
        named.append(tuple(of_arm))
    return tuple(named)


def sweeps(charts: dict[str, Chart], index: Index) -> dict[str, tuple[str, ...]]:
    """Add the charts of sweeps; give their names by factor."""
    named: dict[str, tuple[str, ...]] = {}
    for of in grid.SWEPT:
        drawn = charts_sweep.sweeps(index, of)
        of_factor = {f"sweep-{of.replace(' ', '-')}-{i}": one for i, one in enumerate(drawn)}
        charts |= of_factor
        if drawn:
            named[of] = tuple(of_factor)
    return named


def forests(charts: dict[str, Chart], index: Index) -> tuple[str, ...]:
    """Add the differences in accuracy; give their names, one a verdict."""
    forests = []
    found = index.paired_arms
    of = ", first seed" if grid.several_seeds(index) else ""
    reach = 1.05 * max((100 * max(abs(p.low), abs(p.high), p.margin) for p in found), default=1.0)
    room = charts_study.room([charts_study.difference(pair) for pair in found])
    for i, verdict in enumerate(VERDICTS):
        rows = sorted((p for p in found if p.verdict == verdict), key=lambda p: -p.difference)
        if rows:
            charts[f"forest-{i}"] = charts_study.forest(rows, reach, room, of)
            forests.append(f"forest-{i}")
    return tuple(forests)


def curves(charts: dict[str, Chart], index: Index) -> tuple[tuple[str, str], ...]:
    """Add loss and gradient norm of each run; give their names."""
    study = index.results.study
    clip = study.config.get("training", {}).get("clip") if study else None
    cells = charts_training.drawn(index)
    norms = [norm for cell in cells for norm in cell.gradient_norms if norm > 0]
    norms += [clip] if clip else []
    limits = (min(norms) * 0.8, max(norms) * 1.25) if norms else (0.1, 10.0)
    named = []
    for i, cell in enumerate(cells):
        charts[f"loss-{i}"] = charts_training.loss(index, cell)
        charts[f"norm-{i}"] = charts_training.norm(index, cell, clip, limits)
        named.append((f"loss-{i}", f"norm-{i}"))
    return tuple(named)
