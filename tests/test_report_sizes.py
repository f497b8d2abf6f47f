"""How large a run is and what it asks of tokens: matched sizes, KL, coefficients, regimes."""

import pytest

from goniometer.report.charts.coefficients import rows
from goniometer.report.notation import NONE, percent, points, significant
from goniometer.report.page.compose import compose
from goniometer.report.tables.matched import parts
from goniometer.results import Coefficients
from tests.report_cases import Outline, html_of, page_of, rows_of
from tests.study_factory import GRID_ARMS


@pytest.fixture(scope="module")
def page():
    return page_of("grid")


@pytest.fixture(scope="module")
def study(page):
    return page.results.study


def test_matched_sizes_stand_beside_the_unmatched(page, study):
    table = [[cell.text for cell in row] for row in page.tables["matched"].rows]
    assert [row[:2] for row in table] == [
        ["SFT", "as trained"], ["DPO", "as trained"], ["DPO", "norm of SFT"],
        ["DPO", "KL of SFT"], ["DFT", "as trained"], ["DFT", "KL of SFT"],
    ]  # fmt: skip
    scores = {a.run: a for a in study.accuracies}
    by_norm = study.matched[0]
    assert table[2][2:4] == [significant(r.value) for r in (by_norm.factor, by_norm.norm)]
    assert table[2][4] == f"{significant(by_norm.kl.value)} ± {significant(by_norm.kl_error, 2)}"
    assert table[2][5:8] == ["0.370", "0.700", percent(by_norm.accuracy.accuracy)]
    assert table[1][7] == percent(scores["DPO"].accuracy)
    assert table[5][2:5] == ["undefined"] * 3
    sentence = next(s for s in page.answer.sentences if s.startswith("DPO against SFT"))
    left = [one.accuracy.accuracy - scores["SFT"].accuracy for one in study.matched[:2]]
    for value in (scores["DPO"].accuracy - scores["SFT"].accuracy, *left):
        assert points(value) in sentence
    trained = next(p for p in study.paired if {p.a, p.b} == {"SFT", "DPO"})
    assert (trained.a, trained.b) == ("SFT", "DPO")  # so its difference is turned round
    ends = [points(-trained.high), points(-trained.low)]
    assert table[1][9:] == [points(-trained.difference), " to ".join(ends), trained.verdict]
    paired = by_norm.paired
    ends = f"{points(paired.low)} to {points(paired.high)}"
    assert table[2][9:] == [points(paired.difference), ends, paired.verdict]
    assert f"{points(paired.difference)} ({ends}) at its norm" in sentence
    assert f"(n = {paired.n}, of the first seed's runs)" in sentence
    assert table[3][9:] == [points(left[1]), NONE, NONE]  # not paired
    assert table[5][9:] == [NONE] * 3
    assert "DFT against SFT" not in " ".join(page.answer.sentences)  # nothing was reached


def test_histograms_hold_the_shares_of_their_bins(page, study):
    cells = [cell for cell in study.cells if cell.coefficients]
    assert len(page.gallery.coefficients) == len(cells) == len(GRID_ARMS)
    for cell, names in zip(cells, page.gallery.coefficients, strict=True):
        for one, name in zip(cell.coefficients, names, strict=True):
            chart = page.gallery.charts[name]
            for kind, counts, sign in (("right", one.right, 1), ("wrong", one.wrong, -1)):
                drawn = {r["lo"]: r["y"] for r in chart.data["bins"] if r["k"] == kind}
                expected = {
                    low: sign * count / sum(counts)
                    for low, count in zip(one.edges, counts, strict=False)
                    if count
                }
                assert list(drawn) == pytest.approx(list(expected), rel=1e-4)
                assert list(drawn.values()) == pytest.approx(list(expected.values()), rel=1e-4)
            assert chart.signals["low"] <= min(r["lo"] for r in chart.data["bins"])
            assert chart.signals["high"] >= max(r["hi"] for r in chart.data["bins"])
            assert {0.0, 1.0} <= set(chart.signals["ticks"])
    shares = {tuple(row[:3]): row for row in map(texts, page.tables["coefficients"].rows)}
    assert shares["SFT", "1 to 5", "wrong"][4:] == ["0.0\u00a0%"] * 3 + [
        "100.0\u00a0%",
        "0.0\u00a0%",
    ]
    assert shares["RFT", "1 to 5", "wrong"][5] == "100.0\u00a0%"
    assert shares["DPO", "96 to 100", "wrong"][4] == "100.0\u00a0%"


def texts(row):
    return [cell.text for cell in row]


def test_tokens_are_counted_by_the_bins_of_0_and_of_1():
    edges = (-10.0, -0.5, -0.1, 0.1, 0.5, 0.75, 1.33, 10.0)
    found = Coefficients(
        first_step=1, last_step=2, edges=edges, right=(1, 1, 2, 1, 1, 3, 1), wrong=(0,) * 7
    )
    assert parts(found, found.right) == pytest.approx((0.2, 0.2, 0.2, 0.3, 0.1))
    assert rows(found, "wrong") == []


def test_kl_stands_with_its_error_in_chart_and_table(page, study):
    drawn = {row["run"]: row for row in page.gallery.charts["divergence"].data["runs"]}
    table = rows_of(page, "runs")
    for cell in (cell for cell in study.cells if cell.name in page.index.shown):
        if cell.kl.value is None:
            assert cell.name not in drawn
            assert table[cell.name][6] == "undefined"
            continue
        row, error = drawn[cell.name], cell.kl_error
        ends = [cell.kl.value - error, cell.kl.value, cell.kl.value + error]
        assert [row["lo"], row["x"], row["hi"]] == pytest.approx(ends, rel=1e-4)
        assert table[cell.name][6] == f"{significant(cell.kl.value)} ± {significant(error, 2)}"


def test_a_rank_is_called_that_of_lora_only_where_all_are():
    found = page_of("study").results
    dense = found.comparison.runs[0].model_copy(update={"format": "checkpoint"})
    comparison = found.comparison.model_copy(update={"runs": (dense, *found.comparison.runs[1:])})
    for results, head in (
        (found, "LoRA rank"),
        (found.model_copy(update={"comparison": comparison}), "nominal rank"),
    ):
        heads = [column.head for column in compose(results).tables["runs"].columns]
        assert [h for h in heads if h in ("LoRA rank", "nominal rank")] == [head]


def test_of_top_1_subspaces_one_angle_a_side_is_drawn():
    found = page_of("two runs").results
    one = found.model_copy(update={"comparison": found.comparison.model_copy(update={"k": 1})})
    for results, angles in ((found, 6), (one, 2)):
        charts = compose(results).gallery.charts
        drawn = [charts[name].signals["heading"] for name in charts if name.startswith("layers-")]
        assert sum("ngle, " in heading for heading in drawn) == angles


def test_one_pair_is_no_pairs():
    text = Outline(html_of("two runs")).text
    assert "2 runs, 1 pair, 4 layers" in text
    assert "1 pairs" not in text


def test_regimes_stand_in_the_table_of_runs():
    found = page_of("study").results
    first = found.study.cells[0].model_copy(update={"regime": "full"})
    study = found.study.model_copy(update={"cells": (first, *found.study.cells[1:])})
    table = compose(found.model_copy(update={"study": study})).tables["cells"]
    place = [column.head for column in table.columns].index("trained")
    assert [row[place].text for row in table.rows][:2] == ["all weights", "LoRA"]
