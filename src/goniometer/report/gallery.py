"""All charts of a page: by name, with their specifications, menus and order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

from goniometer.report import (
    charts_coefficients,
    charts_depth,
    charts_map,
    charts_seed_scores,
    charts_seeds,
    charts_sizes,
    charts_steps,
    charts_study,
    charts_sweep,
    charts_training,
    charts_whole,
    gallery_behaviour,
    gallery_study,
    panels,
)
from goniometer.report.chart import Chart, unchecked
from goniometer.report.index import Index
from goniometer.report.keys import Mark, keys
from goniometer.report.menu import Menu
from goniometer.report.panels import Grid
from goniometer.report.theme import Spec
from goniometer.report.vega import compiled


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
    coefficients: tuple[tuple[str, ...], ...] = ()  # charts of each arm
    sweeps: dict[str, tuple[str, ...]] = field(default_factory=dict)  # factor: charts
    keys: dict[str, tuple[Mark, ...]] = field(default_factory=dict)  # by figure
    plane: charts_map.Plane | None = None  # of the map


def hang(index: Index, order: Sequence[str]) -> Gallery:
    """Make every chart; `order` is that of the matrix."""
    noun = "arms" if index.repeats else "runs"
    charts = {
        "ruler": charts_whole.ruler(index, index.arm_pairs, noun),
        "matrix": charts_whole.matrix(index, order),
    }
    plane = charts_map.plane(index)
    if plane:
        charts["map"] = charts_map.runs_map(index, plane)
    menus, grids = _small_multiples(charts, index)
    menus_more, grids_more = gallery_behaviour.behaviour_charts(charts, index)
    menus |= menus_more
    grids |= grids_more
    charts |= gallery_study.study_charts(index)
    forests = gallery_study.forests(charts, index)
    curves = gallery_study.curves(charts, index)
    steps = _trajectories(charts, index)
    coefficients = gallery_study.coefficients(charts, index)
    sweeps = gallery_study.sweeps(charts, index)
    bases = _bases(index, {chart.base for chart in charts.values()})
    return Gallery(
        charts,
        bases,
        menus,
        grids,
        forests,
        curves,
        steps,
        coefficients,
        sweeps,
        keys(index),
        plane,
    )


def specifications(index: Index) -> dict[str, Callable[[], Spec]]:
    """The Vega-Lite specification of each base."""
    return {
        "ruler": charts_whole.ruler_spec,
        "matrix": lambda: charts_whole.matrix_spec(len(index.shown)),
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
        "coefficients": charts_coefficients.histogram_spec,
        "seeds": charts_seeds.seeds_spec,
        "seed-scores": charts_seed_scores.scores_spec,
        "divergence": lambda: charts_sizes.divergence_spec(charts_sizes.cut(index)),
        "map": charts_map.map_spec,
        **charts_sweep.specifications(),
        **gallery_behaviour.specifications(index),
    }


def _bases(index: Index, used: set[str]) -> dict[str, Spec]:
    with unchecked():
        made = {name: make() for name, make in specifications(index).items() if name in used}
    return compiled(made)


def _small_multiples(
    charts: dict[str, Chart], index: Index
) -> tuple[dict[str, Menu], dict[str, tuple[str, ...]]]:
    drawn: dict[str, Grid] = {}
    detailed = panels.detailed(index)
    if index.comparison.layers:
        drawn["sizes"] = panels.sizes_by_run(index)
    if index.comparison.layers and detailed:
        drawn["reference"] = panels.cosines_by_run(index)
        drawn["layers"] = panels.measures_of_pair(index, "layer")
    if index.comparison.projections and detailed:
        drawn["projections"] = panels.measures_of_pair(index, "projection")
    menus = {}
    for name, label, drives in (
        ("reference", "Cosine to", "reference"),
        ("pair", "Pair", "layers projections"),
        ("sizes", "Size", "sizes"),
    ):
        grid = next((drawn[driven] for driven in drives.split() if driven in drawn), None)
        if grid and grid.choices:
            menus[name] = Menu(
                name, label, grid.choices, grid.first, grid.left_out, drives, grid.about
            )
    grids = {}
    for name, grid in drawn.items():
        named = {f"{name}-{i}": panel.chart(grid.first) for i, panel in enumerate(grid.panels)}
        charts |= named
        grids[name] = tuple(named)
    return menus, grids


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
