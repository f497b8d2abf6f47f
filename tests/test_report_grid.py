"""A report of a grid: what is a method and what a repeat, and numbers that are the results'."""

import re
from dataclasses import replace
from itertools import combinations, permutations
from statistics import fmean
from xml.etree import ElementTree

import pytest

from goniometer.report.facts import grid
from goniometer.report.facts.index import Index, cosine
from goniometer.report.figures import draw
from goniometer.report.notation import fixed, percent, percents, significant
from goniometer.report.page.compose import compose
from goniometer.report.page.render import render
from goniometer.report.summary import summary
from goniometer.report.words.findings import answer
from tests.report_cases import Outline, html_of, page_of
from tests.results_factory import renamed
from tests.study_factory import (
    ACHIEVED,
    GRID,
    GRID_ARMS,
    RATES,
    SEEDS,
    SWEPT_RATES,
    WRONG_KEPT,
    told,
)

LIMIT = 2_000_000


@pytest.fixture(scope="module")
def page():
    return page_of("grid")


@pytest.fixture(scope="module")
def study(page):
    return page.results.study


def of_pair(page, a, b):
    return cosine(page.index.pair(a, b))


def rows_of(page, name):
    return {row[0].text: [cell.text for cell in row] for row in page.tables[name].rows}


def test_grid_runs_and_floors_are_no_methods(page):
    assert page.index.arms == GRID_ARMS
    assert (
        page.answer.headline
        == "SFT, RFT and RIFT are one update; DFT and DPO each stand apart; GRPO diverged."
    )
    moved = [name for name in GRID if told(name)[1] in ("seed", "lr", "wrong")]
    assert page.index.grid == set(moved)
    charts = page.gallery.charts
    shown = {row["t"] for row in charts["matrix"].data["names"]}
    assert shown == set(GRID) - set(moved)
    assert {row["run"] for row in charts["held-out"].data["rows"]} == shown
    assert {row["run"] for row in charts["accuracies"].data["runs"]} == shown | {"base"}
    assert len(charts["ruler"].data["dots"]) == 15 + sum(
        len(floor.cosines) for floor in page.results.comparison.floors
    )


def test_a_cell_is_placed_by_what_differs_from_its_arm(page):
    names = {"seed": "seed", "lr": "learning rate", "wrong": "wrong share"}
    for cell in page.index.cells:
        arm, moved, to = told(cell.name)
        assert grid.factor(page.index, cell) == names.get(moved)
        if moved in names:
            at = to / 100 if moved == "wrong" else to
            assert grid.setting(page.index, cell, names[moved]) == at
            assert cell.arm == arm


def test_pairs_of_the_grid_that_are_listed_differ_in_one_thing(page):
    listed = set(rows_of(page, "pairs-grid"))
    expected = set()
    for a, b in combinations(GRID, 2):
        (arm_a, *at_a), (arm_b, *at_b) = told(a), told(b)
        if not {at_a[0], at_b[0]} & {"seed", "lr", "wrong"} or {"order", "init"} & {
            at_a[0],
            at_b[0],
        }:
            continue
        one_arm = arm_a == arm_b and (at_a[0] == at_b[0] or "" in (at_a[0], at_b[0]))
        if one_arm or (arm_a != arm_b and at_a == at_b):
            pair = page.index.pair(a, b)
            expected.add(f"{pair.a}, {pair.b}")
    assert listed == expected
    total = sum(bool(page.index.grid & {p.a, p.b}) for p in page.results.comparison.pairs)
    assert f"{len(expected)} of {total}" in page.tables["pairs-grid"].caption


def test_seeds_as_chart_and_table_are_the_cosines_of_the_pairs(page, study):
    data, table = page.gallery.charts["seeds"].data, rows_of(page, "cross-seed")
    order = [row["x"] for row in data["corrected"]]
    assert order == sorted(order, reverse=True)
    runs = {arm: [arm, *(f"{arm} seed {seed}" for seed in SEEDS)] for arm in GRID_ARMS}
    for one in study.cross_seed:
        within = [of_pair(page, a, b) for a, b in zip(runs[one.a], runs[one.b], strict=True)]
        across = [of_pair(page, a, b) for a, b in permutations_of(runs[one.a], runs[one.b])]
        own = [of_pair(page, a, b) for arm in (one.a, one.b) for a, b in combinations(runs[arm], 2)]
        name = f"{one.a}, {one.b}"
        drawn = {
            kind: sorted(r["x"] for r in data["dots"] if (r["pair"], r["k"]) == (name, kind))
            for kind in ("within one seed", "across seeds")
        }
        assert drawn["within one seed"] == pytest.approx(sorted(within), rel=1e-4)
        assert drawn["across seeds"] == pytest.approx(sorted(across), rel=1e-4)
        floor = [row["x"] for row in data["floors"] if row["pair"] == name]
        assert floor == pytest.approx(own, rel=1e-4)
        half = len(own) // 2
        corrected = fmean(across) / (fmean(own[:half]) * fmean(own[half:])) ** 0.5
        assert table[name][1] == fixed(corrected, 3)
        assert table[name][2] == f"{fixed(one.low, 3)} to {fixed(one.high, 3)}"


def permutations_of(left, right):
    return [(left[s], right[t]) for s, t in permutations(range(len(left)), 2)]


def test_every_seed_has_its_accuracy(page, study):
    scores = {a.run: a for a in study.accuracies}
    drawn = {row["run"]: row for row in page.gallery.charts["seed-scores"].data["runs"]}
    table = rows_of(page, "seeds")
    for arm in GRID_ARMS:
        found = [scores[arm], *(scores[f"{arm} seed {seed}"] for seed in SEEDS)]
        for score in found:
            ends = [score.low, score.accuracy, score.high]
            row = drawn[score.run]
            assert [row["lo"], row["x"], row["hi"]] == pytest.approx(ends, rel=1e-4)
        assert table[arm][1:4] == [percent(score.accuracy) for score in found]
    assert len(drawn) == len(GRID_ARMS) * (1 + len(SEEDS))


@pytest.mark.parametrize(
    ("name", "arms", "settings", "own"),
    [
        ("sweep-learning-rate", ("SFT", "DPO"), SWEPT_RATES, RATES),
        ("sweep-wrong-share", ("SFT", "RFT", "RIFT"), (*ACHIEVED.values(), WRONG_KEPT), {}),
    ],
)
def test_sweeps_hold_the_readings_of_their_runs(page, study, name, arms, settings, own):
    charts = {
        chart.signals["heading"]: chart.data["rows"]
        for key, chart in page.gallery.charts.items()
        if key.startswith(name)
    }
    table = rows_of(page, name)
    scores = {a.run: a for a in study.accuracies}
    place = 1 if name == "sweep-learning-rate" else 0
    for heading, drawn in charts.items():
        expected = arms[1:] if heading == "cosine to SFT" else arms
        assert {row["arm"] for row in drawn} == set(expected), heading
        assert {row["x"] for row in drawn} == set(settings), heading
    for row in charts["cosine to own setting"]:
        at_own = row["x"] == (own.get(row["arm"], 1e-3) if place else WRONG_KEPT)
        assert (row["run"] == row["arm"]) == at_own
        value = 1 if at_own else of_pair(page, row["run"], row["arm"])
        assert row["y"] == pytest.approx(value, rel=1e-4)
        assert ("ground" in row["fill"]) != at_own
    for row in charts["cosine to SFT"]:
        twin = next(r["run"] for r in charts["norm"] if (r["arm"], r["x"]) == ("SFT", row["x"]))
        assert row["y"] == pytest.approx(of_pair(page, row["run"], twin), rel=1e-4)
    for row in charts["accuracy, %"]:
        score = scores[row["run"]]
        assert row["y"] == pytest.approx(100 * score.accuracy, rel=1e-4)
        assert table[row["run"]][-2:] == [
            percent(score.accuracy), percents(score.low, score.high),
        ]  # fmt: skip
    for row in charts["norm"]:
        assert table[row["run"]][5 if place else 8] == significant(page.index.norm(row["run"]))
        assert row["y"] == pytest.approx(page.index.norm(row["run"]), rel=1e-4)


def test_a_sweep_of_shares_is_over_what_was_achieved_and_names_what_was_asked_for(page, study):
    table = rows_of(page, "sweep-wrong-share")
    assert len(table) == 9
    for cell in (cell for cell in study.cells if cell.name in table):
        asked = "as sampled" if cell.wrong_share is None else percent(cell.wrong_share, 0)
        shares = [percent(cell.wrong_kept), asked]
        assert table[cell.name][1:5] == [*shares, str(cell.rows), str(cell.tokens)]
    heads = [column.head for column in page.tables["cells"].columns]
    own = dict(zip(heads, rows_of(page, "cells")["GRPO"], strict=True))
    assert own["rows"] == own["tokens"] == "samples its own"
    assert "drawn anew from the pool" in Outline(html_of("grid")).text


def test_without_wrong_rows_sft_and_rft_are_called_identical(page):
    assert page.index.pair("SFT wrong 0", "RFT wrong 0").state == "identical"
    assert rows_of(page, "sweep-wrong-share")["RFT wrong 0"][7] == "identical"
    words = [row["w"] for row in page.gallery.charts["sweep-wrong-share-1"].data["rows"]]
    assert [word for word in words if word] == ["identical"]
    assert any("Without wrong rows SFT and RFT are identical" in s for s in page.answer.sentences)


def test_an_arm_that_is_another_at_its_rate_stands_in_its_sweep(page):
    """A study trains no run twice: an arm `slow` is the point of DPO at that rate."""
    found = page.results
    cells = [
        cell.model_copy(update={"name": "slow", "arm": "slow", "role": "arm"})
        if cell.name == "DPO lr 0.001"
        else cell
        for cell in found.study.cells
    ]
    study = found.study.model_copy(update={"cells": tuple(cells)})
    index = Index(renamed(found.model_copy(update={"study": study}), {"DPO lr 0.001": "slow"}))
    families = grid.families(index, "learning rate")
    assert list(families) == ["SFT", "DPO"]
    assert [cell.name for cell in families["DPO"]] == ["DPO", "slow", "DPO lr 0.003"]
    said = " ".join(answer(index).sentences)
    assert "DPO at SFT's learning rate, which is slow: cosine to SFT" in said


def test_a_share_that_was_sampled_is_not_one_that_was_asked_for(page):
    """At equal shares the rows still differ: asked for stands beside asked for."""
    rollouts = page.results.study.rollouts.model_copy(update={"wrong_kept": 0.5})
    study = page.results.study.model_copy(update={"rollouts": rollouts})
    index = Index(page.results.model_copy(update={"study": study}))
    for name, twin in (("RFT", "SFT"), ("RFT wrong 50", "SFT wrong 50")):
        found = grid.beside(index, index.cell_of[name], "SFT", "wrong share")
        assert found.name == twin


def test_what_large_grids_leave_out_is_said(page):
    assert set(page.gallery.grids) == {"sizes"}
    text = " ".join(Outline(html_of("grid")).text.split())
    assert f"Of {len(page.results.comparison.pairs)} pairs no reading by layer" in text


def test_charts_by_layer_are_drawn_where_there_are_readings(page):
    found, few = page.results, page_of("study").results
    detailed = {(p.a, p.b): p for p in few.comparison.pairs}
    pairs = tuple(detailed.get((p.a, p.b), p) for p in found.comparison.pairs)
    comparison = found.comparison.model_copy(update={"pairs": pairs})
    gallery = compose(found.model_copy(update={"comparison": comparison})).gallery
    known = [pair for pair in pairs if "layer.0" in pair.scopes]
    assert 0 < len(known) < len(pairs)
    assert len(gallery.menus["pair"].choices) == len(known)
    assert gallery.menus["pair"].choices[0] == "SFT and RFT"
    assert gallery.menus["pair"].left_out == 0


def test_the_page_of_a_grid_is_small_and_its_figures_have_keys(page, tmp_path):
    assert len(html_of("grid").encode()) < LIMIT
    draw(replace(page.gallery, curves=(), forests=(), grids={}), tmp_path, ["svg"])
    names = {path.stem for path in tmp_path.iterdir()}
    assert {"seeds", "seed-scores", "divergence", "coefficients"} <= names
    assert {"sweep-learning-rate", "sweep-wrong-share"} <= names
    for figure in names:
        text = (tmp_path / f"{figure}.svg").read_text()
        ElementTree.fromstring(text)  # noqa: S314, our own file
        for mark in page.gallery.keys.get(figure, ()):
            assert f">{mark.text}</text>" in text
    assert [mark.text for mark in page.gallery.keys["sweep-wrong-share"]] == ["SFT", "RFT", "RIFT"]


def test_the_summary_has_seeds_and_matched_sizes(page, study):
    text = summary(page)
    for one in study.cross_seed:
        assert f"| {one.a}, {one.b} | {fixed(one.corrected.value, 3)} |" in text
    assert "| DPO at the norm of SFT | 13.2 |" in text
    assert not re.search(r"^\| SFT seed 1 \| \d", text, re.MULTILINE)  # accuracies are of arms


def test_without_a_grid_there_is_no_such_section():
    for name in ("study", "comparison"):
        assert 'id="grid"' not in html_of(name)
        assert "Gradient coefficients" not in html_of(name)
    bare = page_of("grid").results
    study = bare.study.model_copy(update={"cross_seed": (), "matched": ()})
    html = render(compose(bare.model_copy(update={"study": study})))
    assert "Objectives against seeds" not in html
    assert "At the same size" not in html
