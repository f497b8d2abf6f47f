"""All charts of a page: by name, with their specifications, menus and order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from goniometer.report import (
    charts_depth,
    charts_steps,
    charts_study,
    charts_training,
    charts_whole,
    panels,
)
from goniometer.report.chart import Chart, unchecked
from goniometer.report.index import Index
from goniometer.report.panels import Grid
from goniometer.report.theme import Spec
from goniometer.report.vega import compiled
from goniometer.results import Paired

VERDICTS = (
    "different", "different but within the margin", "equivalent within the margin", "undecided",
)  # fmt: skip


@final
@dataclass(frozen=True)
class Menu:
    """A select, and the grids of charts that follow it."""

    name: str
    label: str
    choices: tuple[str, ...]
    first: int
    left_out: int
    drives: str


@final
@dataclass(frozen=True)
class Gallery:
    """The charts of a page."""

    charts: dict[str, Chart]
    bases: dict[str, Spec]  # Vega, one for all charts alike
    menus: dict[str, Menu]
    grids: dict[str, tuple[str, ...]]  # names of the charts of each grid
    forests: tuple[str, ...]  # one a verdict
    curves: tuple[tuple[str, str], ...]  # loss chart, norm chart
    steps: tuple[tuple[str, tuple[str, ...]], ...] = ()  # run, charts of its trajectory


def hang(index: Index, order: Sequence[str]) -> Gallery:
    """Make every chart; `order` is that of the matrix."""
    noun = "arms" if index.repeats else "runs"
    charts = {
        "ruler": charts_whole.ruler(index, index.arm_pairs, noun),
        "matrix": charts_whole.matrix(index, order),
    }
    menus, grids = _small_multiples(charts, index)
    charts |= _study_charts(index)
    forests = _forests(charts, index.paired_arms)
    curves = _curves(charts, index)
    steps = _trajectories(charts, index)
    bases = _bases(index, {chart.base for chart in charts.values()})
    return Gallery(charts, bases, menus, grids, forests, curves, steps)


def specifications(index: Index) -> dict[str, Callable[[], Spec]]:
    """The Vega-Lite specification of each base."""
    return {
        "ruler": charts_whole.ruler_spec,
        "matrix": lambda: charts_whole.matrix_spec(len(index.names)),
        "layer": lambda: charts_depth.profile_spec(panels.axis(index, "layer")[0], "layer"),
        "projection": lambda: charts_depth.profile_spec(
            panels.axis(index, "projection")[0], "projection"
        ),
        "accuracies": charts_study.accuracies_spec,
        "forest": charts_study.forest_spec,
        "loss": charts_training.loss_spec,
        "norm": charts_training.norm_spec,
        "held-out": charts_training.held_out_spec,
        "steps": charts_steps.steps_spec,
    }


def _bases(index: Index, used: set[str]) -> dict[str, Spec]:
    with unchecked():
        made = {name: make() for name, make in specifications(index).items() if name in used}
    return compiled(made)


def _small_multiples(
    charts: dict[str, Chart], index: Index
) -> tuple[dict[str, Menu], dict[str, tuple[str, ...]]]:
    drawn: dict[str, Grid] = {}
    if index.comparison.layers:
        drawn["reference"] = panels.cosines_by_run(index)
        drawn["layers"] = panels.measures_of_pair(index, "layer")
        drawn["sizes"] = panels.sizes_by_run(index)
    if index.comparison.projections:
        drawn["projections"] = panels.measures_of_pair(index, "projection")
    menus = {}
    for name, label, drives in (
        ("reference", "Cosine to", "reference"),
        ("pair", "Pair", "layers projections"),
        ("sizes", "Size", "sizes"),
    ):
        grid = next((drawn[driven] for driven in drives.split() if driven in drawn), None)
        if grid and grid.choices:
            menus[name] = Menu(name, label, grid.choices, grid.first, grid.left_out, drives)
    grids = {}
    for name, grid in drawn.items():
        named = {f"{name}-{i}": panel.chart(grid.first) for i, panel in enumerate(grid.panels)}
        charts |= named
        grids[name] = tuple(named)
    return menus, grids


def _study_charts(index: Index) -> dict[str, Chart]:
    study = index.results.study
    found = {}
    if study and study.accuracies:
        found["accuracies"] = charts_study.accuracies(index, study.accuracies)
    if any(cell.nll_right is not None or cell.nll_wrong is not None for cell in index.cells):
        found["held-out"] = charts_training.held_out(index)
    return found


def _forests(charts: dict[str, Chart], found: Sequence[Paired]) -> tuple[str, ...]:
    forests = []
    reach = 1.05 * max((100 * max(abs(p.low), abs(p.high), p.margin) for p in found), default=1.0)
    room = charts_study.room([charts_study.difference(pair) for pair in found])
    for i, verdict in enumerate(VERDICTS):
        rows = sorted((p for p in found if p.verdict == verdict), key=lambda p: -p.difference)
        if rows:
            charts[f"forest-{i}"] = charts_study.forest(rows, reach, room)
            forests.append(f"forest-{i}")
    return tuple(forests)


def _trajectories(
    charts: dict[str, Chart], index: Index
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    named = []
    for i, one in enumerate(index.results.trajectories):
        drawn = {
            f"steps-{i}-{j}": chart for j, chart in enumerate(charts_steps.panels(index, one, i))
        }
        charts |= drawn
        named.append((one.name, tuple(drawn)))
    return tuple(named)


def _curves(charts: dict[str, Chart], index: Index) -> tuple[tuple[str, str], ...]:
    study = index.results.study
    clip = study.config.get("training", {}).get("clip") if study else None
    norms = [norm for cell in index.cells for norm in cell.gradient_norms if norm > 0]
    norms += [clip] if clip else []
    limits = (min(norms) * 0.8, max(norms) * 1.25) if norms else (0.1, 10.0)
    named = []
    for i, cell in enumerate(index.cells):
        charts[f"loss-{i}"] = charts_training.loss(index, cell)
        charts[f"norm-{i}"] = charts_training.norm(index, cell, clip, limits)
        named.append((f"loss-{i}", f"norm-{i}"))
    return tuple(named)
