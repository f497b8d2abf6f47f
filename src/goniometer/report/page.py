"""The page as a value: the answer, the charts by name, the tables, and the menus."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from goniometer.report import (
    charts_depth,
    charts_study,
    charts_training,
    charts_whole,
    panels,
    tables,
    tables_geometry,
    tables_study,
    words,
)
from goniometer.report.chart import Chart, compiled, unchecked
from goniometer.report.index import Index
from goniometer.report.panels import Grid
from goniometer.report.tables import Table
from goniometer.report.theme import Spec
from goniometer.results import Paired, Results

VERDICTS = (
    "different", "different but within the margin", "equivalent within the margin", "undecided",
)  # fmt: skip
MOST_FOREST_ROWS = 40


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
class Page:
    """All that the template shows, beside the results themselves."""

    index: Index
    answer: words.Answer
    bases: dict[str, Spec]  # Vega, one for all charts alike
    charts: dict[str, Chart]
    menus: dict[str, Menu]
    grids: dict[str, tuple[str, ...]]  # names of the charts of each grid
    tables: dict[str, Table]
    forests: tuple[tuple[str, str, int], ...]  # verdict, chart, pairs
    curves: tuple[tuple[str, str], ...]  # loss chart, norm chart
    rollouts: list[tuple[str, str]]
    definitions: list[tuple[str, str, str, str]]
    config: str

    @property
    def results(self) -> Results:
        """What the page is about."""
        return self.index.results


def compose(results: Results) -> Page:
    """Make every chart and table of a report."""
    index = Index(results)
    order = charts_whole.seriated(index)
    noun = "arms" if index.repeats else "runs"
    charts = {
        "ruler": charts_whole.ruler(index, index.arm_pairs, noun),
        "matrix": charts_whole.matrix(index, order),
    }
    menus, grids = _small_multiples(charts, index)
    found = _comparison_tables(index, order)
    forests: tuple[tuple[str, str, int], ...] = ()
    curves: tuple[tuple[str, str], ...] = ()
    study = results.study
    if study:
        charts |= _study_charts(index)
        forests = _forests(charts, _between_arms(index))
        curves = _curves(charts, index)
        found |= _study_tables(index)
    return Page(
        index=index,
        answer=words.answer(index),
        bases=_bases(index, {chart.base for chart in charts.values()}),
        charts=charts,
        menus=menus,
        grids=grids,
        tables=found,
        forests=forests,
        curves=curves,
        rollouts=tables_study.rollouts(study.rollouts) if study else [],
        definitions=tables.definitions(index.comparison.measures),
        config=json.dumps(study.config, indent=2, sort_keys=True) if study else "",
    )


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


def _comparison_tables(index: Index, order: Sequence[str]) -> dict[str, Table]:
    caption = "Whole-model readings of each pair, most alike first; the nulls stand last."
    found = {
        "matrix": tables_geometry.matrix(index, order),
        "pairs": tables_geometry.pairs(index, index.arm_pairs, "pairs", caption),
        "runs": tables_geometry.runs(index),
    }
    if index.comparison.floors:
        found["floors"] = tables_geometry.floors(index)
    if index.repeats:
        rest = [pair for pair in index.comparison.pairs if pair not in index.arm_pairs]
        caption = "The same for pairs with a repeat that was trained for the floors."
        found["pairs-floor"] = tables_geometry.pairs(index, rest, "pairs-floor", caption)
    return found


def _between_arms(index: Index) -> list[Paired]:
    study = index.results.study
    known = {*index.arms, *(a.run for a in (study.accuracies[:1] if study else ()))}
    return [p for p in (study.paired if study else ()) if {p.a, p.b} <= known]


def _study_charts(index: Index) -> dict[str, Chart]:
    study = index.results.study
    found = {}
    if study and study.accuracies:
        found["accuracies"] = charts_study.accuracies(index, study.accuracies)
    if any(cell.nll_right is not None or cell.nll_wrong is not None for cell in index.cells):
        found["held-out"] = charts_training.held_out(index)
    return found


def _forests(charts: dict[str, Chart], found: Sequence[Paired]) -> tuple[tuple[str, str, int], ...]:
    forests = []
    reach = 1.05 * max((100 * max(abs(p.low), abs(p.high), p.margin) for p in found), default=1.0)
    room = charts_study.room([charts_study.difference(pair) for pair in found])
    for i, verdict in enumerate(VERDICTS):
        rows = sorted((p for p in found if p.verdict == verdict), key=lambda p: -p.difference)
        if rows:
            charts[f"forest-{i}"] = charts_study.forest(rows[:MOST_FOREST_ROWS], reach, room)
            forests.append((verdict, f"forest-{i}", len(rows)))
    return tuple(forests)


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


def _study_tables(index: Index) -> dict[str, Table]:
    study = index.results.study
    if study is None:
        return {}
    between = _between_arms(index)
    caption = (
        "Paired tests on the same problems. p exact: McNemar; equivalence: two one-sided tests by "
        "the Tango score; Holm over all pairs of the study."
    )
    found = {
        "checks": tables_study.checks(study.checks),
        "accuracies": tables_study.accuracies(study),
        "paired": tables_study.paired(between, "paired", caption),
        "cells": tables_study.cells(index),
    }
    rest = [pair for pair in study.paired if pair not in between]
    if rest:
        caption = "The same for pairs with a repeat that was trained for the floors."
        found["paired-floor"] = tables_study.paired(rest, "paired-floor", caption)
    if study.claims:
        found["claims"] = tables_study.claims(study.claims)
    return found


def as_script(value: Any) -> str:
    """JSON that can stand in a script element: no `<`, `>` or `&`, whatever the names say."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
