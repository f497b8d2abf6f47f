"""The report as evidence: its tables and charts hold what the results hold."""

import pytest

from goniometer.report.facts.index import Index, cosine
from goniometer.report.notation import fixed
from goniometer.report.page.compose import compose
from goniometer.report.page.render import render
from goniometer.results import Reading
from tests.report_cases import Outline, html_of, page_of
from tests.results_factory import ORDERS, results


def test_the_table_of_pairs_says_what_the_results_say():
    outline = Outline(html_of("study"))
    rows = {row[0]: row for row in outline.rows if len(row) == 26}
    for pair in page_of("study").index.arm_pairs:
        row = rows[f"{pair.a}, {pair.b}"]
        readings = pair.scopes["union"].readings
        assert row[1] == pair.verdict
        assert row[2] == fixed(readings["cosine"].value, 3)
        assert row[13] == fixed(readings["angle_left_smallest"].value, 1) + "°"
        assert row[10] == fixed(readings["off_subspace_left_reverse"].value, 3)


def test_the_table_of_pairs_ends_with_the_nulls_of_each_column():
    page = page_of("study")
    foot = {(row[0].text, row[1].text): row for row in page.tables["pairs"].foot}
    assert len(foot) == 4
    table = page.results.comparison.nulls["ranks 16 and 16"]["union"]
    row = foot["null, independent", "97.5 % of 200 draws"]
    assert row[2].text == fixed(table["cosine"]["independent"].high, 3)
    assert row[17].text == fixed(table["angle_right_median"]["independent"].high, 1) + "°"
    low = foot["null, shared A0", "2.5 % of 200 draws"]
    assert low[17].text == fixed(table["angle_right_median"]["shared_A0"].low, 1) + "°"


def test_nulls_of_two_groups_are_told_apart():
    found = results(layers=1)
    group = found.comparison.nulls["ranks 16 and 16"]
    wide = {scope: {m: dict.fromkeys(kinds, kinds["shared_A0"]) for m, kinds in table.items()}
            for scope, table in group.items()}  # fmt: skip
    pairs = list(found.comparison.pairs)
    pairs[0] = pairs[0].model_copy(update={"null_group": "ranks 8 and 16"})
    nulls = {"ranks 16 and 16": group, "ranks 8 and 16": wide}
    comparison = found.comparison.model_copy(update={"pairs": tuple(pairs), "nulls": nulls})
    page = compose(found.model_copy(update={"comparison": comparison}))
    heads = {row[0].text for row in page.tables["pairs"].foot}
    assert "null, independent (ranks 8 and 16)" in heads
    chart = page.gallery.charts["layers-0"]
    assert chart.signals["groups"][:2] == ["ranks 8 and 16", "ranks 16 and 16"]
    assert {row["g"] for row in chart.data["bands"]} == set(nulls)


def test_the_sign_of_a_cosine_has_its_own_colour():
    found = results(layers=1)
    scope = found.comparison.pairs[0].scopes["union"]
    scope = scope.model_copy(update={"readings": {"cosine": Reading(value=-0.8)}})
    first = found.comparison.pairs[0].model_copy(update={"scopes": {"union": scope}})
    pairs = (first, *found.comparison.pairs[1:])
    comparison = found.comparison.model_copy(update={"pairs": pairs})
    charts = compose(found.model_copy(update={"comparison": comparison})).gallery.charts
    fills = {row["long"]: row["fill"] for row in charts["matrix"].data["cells"]}
    assert {text for text, fill in fills.items() if "opposite" in fill} == {"\u22120.800"}
    assert charts["ruler"].signals["low"] < -0.8


def test_charts_of_a_study_hold_its_numbers():
    page = page_of("study")
    study, charts = page.results.study, page.gallery.charts
    drawn = {
        row["pair"]: row for name in page.gallery.forests for row in charts[name].data["pairs"]
    }
    assert len(drawn) == 21  # pairs of 6 arms and the base
    for pair in page.index.paired_arms:
        row = drawn[f"{pair.a} \u2212 {pair.b}"]
        ends = [100 * pair.low, 100 * pair.difference, 100 * pair.high]
        assert [row["lo"], row["x"], row["hi"]] == pytest.approx(ends, rel=1e-2)
    assert charts[page.gallery.forests[0]].data["margin"] == [{"lo": -2.0, "x": 0, "hi": 2.0}]
    held = {(row["run"], row["k"]): row for row in charts["held-out"].data["rows"]}
    for cell in study.cells:
        wrong, right = held[cell.name, "wrong rows"], held[cell.name, "right rows"]
        assert (wrong["base"], right["base"]) == (cell.nll_wrong_base, cell.nll_right_base)
        assert (wrong["x"] is None) == (cell.nll_wrong is None)
    accuracy = {row["run"]: row for row in charts["accuracies"].data["runs"]}
    assert accuracy["SFT"]["lo"] == pytest.approx(study.accuracies[1].low, rel=1e-4)
    assert charts["accuracies"].data["base"][0]["run"] == "base"
    assert charts["norm-0"].data["clip"] == [{"y": 1.0}]
    assert len(charts["loss-4"].data["curve"]) == 75  # diverged after three quarters


def test_the_paired_table_holds_the_four_counts():
    rows = {
        row[0].text: [cell.text for cell in row] for row in page_of("study").tables["paired"].rows
    }
    for pair in page_of("study").index.paired_arms:
        row = rows[f"{pair.a} \u2212 {pair.b}"]
        counts = [pair.both, pair.only_a, pair.only_b, pair.neither, pair.n, pair.dropped]
        assert row[4:10] == [str(count) for count in counts]
        assert row[1] == pair.verdict
    page = page_of("study")
    assert page.tables["paired"].about == tuple((p.a, p.b) for p in page.index.paired_arms)
    offered = {frozenset(pair) for pair in page.pairs}  # what a link may open
    assert {frozenset(pair) for pair in page.tables["paired"].about} <= offered


def test_matrix_as_chart_and_as_table_agree():
    page = page_of("study")
    order = [row["t"] for row in page.gallery.charts["matrix"].data["names"]]
    table = page.tables["matrix"].rows
    assert sorted(order) == sorted(page.index.names)
    for cell in page.gallery.charts["matrix"].data["cells"]:
        assert table[cell["i"]][cell["j"] + 1].text == cell["long"]
        assert cell["long"] == fixed(cosine(page.index.pair(cell["a"], cell["b"])), 3)


def test_alike_runs_stand_together_in_the_matrix():
    order = [row["t"] for row in page_of("study").gallery.charts["matrix"].data["names"]]
    places = sorted(order.index(name) for name in ("SFT", "RFT", "RIFT", *ORDERS))
    assert places == list(range(places[0], places[0] + 6))


def test_nulls_and_floors_stand_behind_every_panel():
    page = page_of("study")
    comparison = page.results.comparison
    chart = page.gallery.charts["layers-4"]
    assert chart.signals["names"] == ["median left angle"]
    bands = {row["t"]: row for row in chart.data["bands"]}
    table = comparison.nulls["ranks 16 and 16"]
    assert bands["null: shared A0"]["hi"] == pytest.approx(
        [table[f"layer.{i}"]["angle_left_median"]["shared_A0"].high for i in range(4)], rel=1e-4
    )
    repeats = {"SFT", *ORDERS}
    inside = [p for p in comparison.pairs if {p.a, p.b} <= repeats]
    values = [p.scopes["layer.2"].readings["angle_left_median"].value for p in inside]
    floor = bands["floor: SFT, same init, other order"]
    assert (floor["lo"][2], floor["hi"][2]) == pytest.approx((min(values), max(values)), rel=1e-4)


def test_undefined_is_said_with_its_reason_and_never_drawn_as_a_number():
    page = page_of("comparison")
    rows = [row for row in page.tables["pairs"].rows if "DPO" in row[0].text]
    notes = dict(page.tables["pairs"].notes)
    assert len(rows) == 5
    for row in rows:
        readings = row[2:-3]
        assert {cell.text for cell in readings} == {"undefined"}
        assert {notes[cell.note] for cell in readings} == {"DPO has no update"}
    drawn = page.gallery.charts["layers-0"].data["lines"]
    empty = [row for row in drawn if "n" in row]
    assert len(empty) == 5
    assert all(set(row["v"]) == {None} for row in empty)
    assert all("DPO has no update" in " ".join(row["n"]) for row in empty)
    words = {
        c["long"] for c in page.gallery.charts["matrix"].data["cells"] if "DPO" in (c["a"], c["b"])
    }
    assert words == {"zero"}
    assert "DPO has a zero delta" in html_of("comparison")


def test_a_reading_missing_in_one_layer_leaves_a_gap():
    rows = page_of("study").gallery.charts["layers-8"].data["lines"]
    assert all(row["v"][1] is None and row["v"][0] is not None for row in rows)
    assert not any("n" in row for row in rows)


def test_a_comparison_alone_says_nothing_of_a_study():
    for word in ("accuracy", "Wilson", "Training runs", "Claims of"):
        assert word not in Outline(html_of("comparison")).text
        assert word in Outline(html_of("study")).text


def test_failing_checks_stand_before_the_first_chart():
    text = html_of("study")
    assert 0 < text.index("This study is degenerate") < text.index("data-chart=")
    assert "every arm trained: required all trained, found GRPO diverged" in text


def test_empty_parts_are_left_out():
    found = results(study=True)
    study = found.study.model_copy(update={"claims": (), "paired": (), "accuracies": ()})
    bare = found.model_copy(update={"study": study})
    assert "Claims of" not in render(compose(bare))
    nothing = found.comparison.model_copy(
        update={"nulls": {}, "floors": (), "layers": (), "projections": (), "warnings": ()}
    )
    page = compose(found.model_copy(update={"study": None, "comparison": nothing}))
    assert set(page.gallery.charts) == {"ruler", "matrix", "map"}
    assert "By depth" not in render(page)


def test_index_finds_a_pair_either_way_round():
    index = Index(results())
    assert index.pair("DPO", "SFT") is index.pair("SFT", "DPO") is not None
    assert index.pair("SFT", "SFT") is None


def test_modules_of_one_run_only_and_no_common_module_are_said_in_words():
    found = results(layers=1, runs=("SFT", "RFT", "DPO"))
    one, two, three = found.comparison.pairs
    one = one.model_copy(update={"only_b": ("q", "k")})
    missing = {"cosine": Reading(undefined="no common module")}
    scope = two.scopes["union"].model_copy(update={"readings": missing})
    two = two.model_copy(
        update={
            "state": "no common module",
            "verdict": "not comparable",
            "scopes": {"union": scope},
        }
    )
    comparison = found.comparison.model_copy(update={"pairs": (one, two, three)})
    page = compose(found.model_copy(update={"comparison": comparison}))
    rows = {row[0].text: row for row in page.tables["pairs"].rows}
    notes = dict(page.tables["pairs"].notes)
    assert notes[rows["SFT, RFT"][0].note] == "2 modules only in RFT, a true zero in the other"
    assert rows["SFT, DPO"][1].text == "not comparable (no common module)"
    words = {(c["a"], c["b"]): c["long"] for c in page.gallery.charts["matrix"].data["cells"]}
    assert words["SFT", "DPO"] == "none"
