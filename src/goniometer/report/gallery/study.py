"""The charts of a study: accuracy, training, coefficients, seeds and sweeps."""

from goniometer.report import charts
from goniometer.report.charts.chart import Chart
from goniometer.report.charts.parts import room
from goniometer.report.facts import grid
from goniometer.report.facts.index import Index
from goniometer.report.facts.measured import with_kl
from goniometer.report.facts.seeds import crossed
from goniometer.report.gallery.numbered import hang_numbered

VERDICTS = (
    "different", "different but within the margin", "equivalent within the margin", "undecided",
)  # fmt: skip


def study_charts(index: Index) -> dict[str, Chart]:
    """Charts of which a page has one, by name."""
    found = {}
    if index.shown_scores:
        found["accuracies"] = charts.accuracy.accuracies(index, index.shown_scores)
    if any(cell.nll_right is not None or cell.nll_wrong is not None for cell in index.cells):
        found["held-out"] = charts.training.held_out(index)
    if with_kl(index):
        found["divergence"] = charts.sizes.divergence(index)
    if across := crossed(index):
        found["seeds"] = charts.seeds.seeds(across)
    if scores_by_seed := charts.seed_scores.scores(index):
        found["seed-scores"] = scores_by_seed
    return found


def coefficients(hung: dict[str, Chart], index: Index) -> tuple[tuple[str, ...], ...]:
    """Add the histograms; give the names of each arm's."""
    return tuple(
        hang_numbered(hung, f"coefficients-{i}", drawn)
        for i, drawn in enumerate(charts.coefficients.histograms(index))
    )


def sweeps(hung: dict[str, Chart], index: Index) -> dict[str, tuple[str, ...]]:
    """Add the charts of sweeps; give their names by factor."""
    named: dict[str, tuple[str, ...]] = {}
    for of in grid.SWEPT:
        if drawn := charts.sweep.sweeps(index, of):
            named[of] = hang_numbered(hung, grid.slug(of), drawn)
    return named


def forests(hung: dict[str, Chart], index: Index) -> tuple[str, ...]:
    """Add the differences in accuracy; give their names, one a verdict."""
    forests = []
    found = index.paired_arms
    of = ", first seed" if grid.several_seeds(index) else ""
    reach = 1.05 * max((100 * max(abs(p.low), abs(p.high), p.margin) for p in found), default=1.0)
    wide = room([charts.accuracy.difference(pair) for pair in found])
    for i, verdict in enumerate(VERDICTS):
        rows = sorted((p for p in found if p.verdict == verdict), key=lambda p: -p.difference)
        if rows:
            hung[f"forest-{i}"] = charts.accuracy.forest(rows, reach, wide, of)
            forests.append(f"forest-{i}")
    return tuple(forests)


def curves(hung: dict[str, Chart], index: Index) -> tuple[tuple[str, str], ...]:
    """Add loss and gradient norm of each run; give their names."""
    study = index.results.study
    clip = study.config.get("training", {}).get("clip") if study else None
    cells = charts.training.drawn(index)
    norms = [norm for cell in cells for norm in cell.gradient_norms if norm > 0]
    norms += [clip] if clip else []
    limits = (min(norms) * 0.8, max(norms) * 1.25) if norms else (0.1, 10.0)
    named = []
    for i, cell in enumerate(cells):
        hung[f"loss-{i}"] = charts.training.loss(index, cell)
        hung[f"norm-{i}"] = charts.training.norm(index, cell, clip, limits)
        named.append((f"loss-{i}", f"norm-{i}"))
    return tuple(named)
