"""All charts of a page: by name, with their specifications, menus and order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

from goniometer.report import charts
from goniometer.report.charts.chart import Chart, unchecked
from goniometer.report.charts.vega import compiled
from goniometer.report.facts.index import Index
from goniometer.report.facts.plane import Plane, plane
from goniometer.report.gallery import behaviour, panels, spectra, study
from goniometer.report.gallery.keys import Mark, keys
from goniometer.report.gallery.menu import Menu
from goniometer.report.gallery.numbered import hang_numbered
from goniometer.report.gallery.panels import Grid
from goniometer.report.theme import Spec
from goniometer.report.words.labels import cut


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
    plane: Plane | None = None  # of the map


def hang(index: Index, order: Sequence[str]) -> Gallery:
    """Make every chart; `order` is that of the matrix."""
    noun = "arms" if index.repeats else "runs"
    hung = {
        "ruler": charts.whole.ruler(index, index.arm_pairs, noun),
        "matrix": charts.whole.matrix(index, order),
    }
    found = plane(index)
    if found:
        hung["map"] = charts.runs_map.runs_map(index, found)
    menus, grids = _small_multiples(hung, index)
    menus_more, grids_more = behaviour.behaviour_charts(hung, index)
    hung |= study.study_charts(index)
    forests = study.forests(hung, index)
    curves = study.curves(hung, index)
    steps = _trajectories(hung, index)
    coefficients = study.coefficients(hung, index)
    sweeps = study.sweeps(hung, index)
    bases = _bases(index, {chart.base for chart in hung.values()})
    return Gallery(
        hung,
        bases,
        menus | menus_more,
        grids | grids_more,
        forests,
        curves,
        steps,
        coefficients,
        sweeps,
        keys(index, menus),
        found,
    )


def specifications(index: Index) -> dict[str, Callable[[], Spec]]:
    """The Vega-Lite specification of each base."""
    return {
        "ruler": charts.whole.ruler_spec,
        "matrix": lambda: charts.whole.matrix_spec(len(index.shown)),
        "layer": lambda: charts.depth.profile_spec(panels.axis(index, "layer")[0], "layer"),
        "projection": lambda: charts.depth.profile_spec(
            panels.axis(index, "projection")[0], "projection"
        ),
        "rank": lambda: charts.depth.profile_spec(spectra.ranks(index), "rank"),
        "accuracies": charts.accuracy.accuracies_spec,
        "forest": charts.accuracy.forest_spec,
        "loss": charts.training.loss_spec,
        "norm": charts.training.norm_spec,
        "held-out": charts.training.held_out_spec,
        "steps": charts.steps.steps_spec,
        "coefficients": charts.coefficients.histogram_spec,
        "seeds": charts.seeds.seeds_spec,
        "seed-scores": charts.seed_scores.scores_spec,
        "divergence": lambda: charts.sizes.divergence_spec(cut(index)),
        "map": charts.runs_map.map_spec,
        **charts.sweep.specifications(),
        **behaviour.specifications(index),
    }


def _bases(index: Index, used: set[str]) -> dict[str, Spec]:
    with unchecked():
        made = {name: make() for name, make in specifications(index).items() if name in used}
    return compiled(made)


def _small_multiples(
    hung: dict[str, Chart], index: Index
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
    if {"layers", "projections"} & {*drawn} and spectra.has_spectra(detailed):
        drawn["angles"] = spectra.spectra_of_pair(index, panels.menu_pairs(index))
    menus = {}
    for name, label, drives in (
        ("reference", "Cosine to", "reference"),
        ("pair", "Pair", "layers projections angles"),
        ("sizes", "Size", "sizes"),
    ):
        grid = next((drawn[driven] for driven in drives.split() if driven in drawn), None)
        if grid and grid.choices:
            menus[name] = Menu(
                name, label, grid.choices, grid.first, grid.left_out, drives, grid.about
            )
    grids = {
        name: hang_numbered(hung, name, (panel.chart(grid.first) for panel in grid.panels))
        for name, grid in drawn.items()
    }
    return menus, grids


def _trajectories(hung: dict[str, Chart], index: Index) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(
        (one.name, hang_numbered(hung, f"steps-{i}", charts.steps.panels(index, one, i)))
        for i, one in enumerate(index.results.trajectories)
    )
