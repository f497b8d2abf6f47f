"""`goniometer.compare` as a library user meets it: tables, pairs, a notebook's view, a folder."""

import io
import math
from contextlib import redirect_stderr, redirect_stdout

import pandas as pd
import pytest

import goniometer
from goniometer import GoniometerError
from goniometer.compared import Compared
from goniometer.tidy import TABLES, tidy
from tests.adapters import edit_tensors, save_adapter
from tests.report_cases import CASES, HOSTILE, Outline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for name, seed, options in (("a", 1, {}), ("b", 2, {"r": 6}), ("zero", 3, {})):
        save_adapter(root / name, seed=seed, **options)
    save_adapter(root / "part", seed=4, target_modules=["q_proj"])
    edit_tensors(root / "zero", lambda t: {k: v * 0 if "lora_B" in k else v for k, v in t.items()})
    return root


@pytest.fixture(scope="module")
def found(folder):
    return goniometer.compare([folder / n for n in ("a", "b", "part", "zero")], draws=100)


def test_nothing_is_printed_and_nothing_written(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        goniometer.compare([folder / "a", folder / "b"], draws=100)
    assert said.getvalue() == ""
    assert list(tmp_path.iterdir()) == []


def test_progress_is_on_stderr(folder, capsys):
    goniometer.compare([folder / "a", folder / "b"], draws=100, progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert "compare modules" in said.err


def test_runs_by_name(folder):
    named = goniometer.compare({"one/1": folder / "a", "two=2": str(folder / "b")}, draws=100)
    assert [run.name for run in named.runs] == ["one/1", "two=2"]
    assert named.pair("one/1", "two=2").scopes == (
        goniometer.compare([folder / "a", folder / "b"], draws=100).pairs[0].scopes
    )
    with pytest.raises(GoniometerError, match="nothing to compare; found 1 run"):
        goniometer.compare({"one": folder / "a"})


def test_a_pair_either_way_round(found):
    forth, back = found.pair("a", "b"), found.pair("b", "a")
    assert (forth.a, forth.b, back.a, back.b) == ("a", "b", "b", "a")
    for scope, part in forth.scopes.items():
        for name, reading in part.readings.items():
            other = name.removesuffix("_reverse")
            other = other if other != name else f"{name}_reverse"
            expected = part.readings.get(other, reading)
            assert back.scopes[scope].readings[name] == expected, name
    # ... and that is what comparing them in the other order says.
    assert found.pair("part", "a").only_b == found.pair("a", "part").only_a != ()


def test_a_pair_the_other_way_round_is_the_comparison_in_the_other_order(folder, found):
    swapped = goniometer.compare([folder / "b", folder / "a"], k=1, draws=100).pairs[0]
    turned = goniometer.compare([folder / "a", folder / "b"], k=1, draws=100).pair("b", "a")
    for scope, part in swapped.scopes.items():
        for name, reading in part.readings.items():
            assert turned.scopes[scope].readings[name].value == pytest.approx(
                reading.value, abs=1e-9
            ), name


def test_names_that_are_not_there(found):
    with pytest.raises(GoniometerError, match=r"found 'par'\. Did you mean 'part'"):
        found.pair("a", "par")
    with pytest.raises(GoniometerError, match="a pair is two runs"):
        found.pair("a", "a")


def test_tables_are_tidy(found):
    pairs, runs = found.to_pandas(), found.to_pandas("runs")
    assert not pairs.duplicated(["a", "b", "scope"]).any()
    assert len(pairs) == sum(len(pair.scopes) for pair in found.pairs)
    assert not runs.duplicated(["run", "scope"]).any()
    row = pairs[(pairs.a == "a") & (pairs.b == "b") & (pairs.scope == "layer.1")].iloc[0]
    assert row.cosine == found.pair("a", "b").scopes["layer.1"].readings["cosine"].value
    measures = list(pairs.columns[8:-1])
    assert measures == sorted(measures)
    assert pairs.columns[-1] == runs.columns[-1] == "undefined"
    empty = pairs[(pairs.b == "zero")]
    assert empty.cosine.isna().all()
    assert (empty.undefined == "zero delta").all()
    nowhere = pairs[(pairs.a == "a") & (pairs.b == "part") & (pairs.scope == "projection.v_proj")]
    assert nowhere.iloc[0].undefined == "no module in common here"
    assert not math.isnan(runs[(runs.run == "zero") & (runs.scope == "all")].iloc[0].norm)
    with pytest.raises(GoniometerError, match="no such table; found 'modules', expected pairs"):
        tidy(found.results, "modules")


def test_csv_and_a_saved_folder_say_the_same(found, tmp_path):
    page = found.save(tmp_path / "out")
    assert page == tmp_path / "out" / "report.html"
    again = goniometer.read_compared(tmp_path / "out")
    assert again.results == found.results
    for table in ("pairs", "runs"):
        frame = found.to_pandas(table)
        pd.testing.assert_frame_equal(again.to_pandas(table), frame)
        csv = pd.read_csv(tmp_path / "out" / f"{table}.csv", float_precision="round_trip")
        assert list(csv.columns) == list(frame.columns)
        for name in frame.columns:
            same = (csv[name] == frame[name]) | (csv[name].isna() & frame[name].isna())
            assert same.all(), name
    assert not (tmp_path / "out" / "steps.csv").exists()
    with pytest.raises(GoniometerError, match="Copy the folder"):
        again.save(tmp_path / "other")


def test_scopes_stand_in_one_order(found):
    """However a mapping of scopes is ordered: layers by number, layer.10 after layer.9."""
    pair = found.pairs[0]
    part = pair.scopes["union"]
    order = ["union", "intersection", "layer.2", "layer.9", "layer.10", "projection.a"]
    for scopes in (order, order[::-1], sorted(order)):
        turned = pair.model_copy(update={"scopes": dict.fromkeys(scopes, part)})
        one = found.results.comparison.model_copy(update={"pairs": (turned,)})
        results = found.results.model_copy(update={"comparison": one})
        assert [row["scope"] for row in tidy(results, "pairs").rows] == order


@pytest.mark.parametrize("case", CASES)
def test_any_results_have_tables_and_a_view(case):
    results = CASES[case]()
    for name in TABLES:
        table = tidy(results, name)
        assert all(set(row) <= set(table.columns) for row in table.rows)
    view = Compared(results)._repr_html_()
    for tag, attributes in Outline(view).tags:
        assert tag in ("div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td")
        assert set(attributes) <= {"style"}


def test_the_view_shows_names_as_text_with_nulls_and_verdicts():
    results = CASES["hostile"]()
    outline = Outline(Compared(results)._repr_html_())
    cells = [cell for row in outline.rows for cell in row]
    assert set(HOSTILE.values()) <= set(cells)
    first = max(
        results.comparison.pairs, key=lambda p: p.scopes["union"].readings["cosine"].value or -2
    )
    row = next(row for row in outline.rows if row[:2] == [first.a, first.b])
    assert row[5] == first.verdict
    assert " to " in row[3]


def test_comparisons_of_many_pairs_may_lack_layers(found):
    """Over many pairs only the whole model is kept."""
    kept = [
        pair.model_copy(update={"scopes": {s: pair.scopes[s] for s in ("union", "intersection")}})
        for pair in found.pairs
    ]
    comparison = found.results.comparison.model_copy(update={"pairs": tuple(kept)})
    small = Compared(found.results.model_copy(update={"comparison": comparison}))
    assert set(small.to_pandas().scope) == {"union", "intersection"}
    assert "<table>" in small._repr_html_()
    assert repr(small) == repr(found)


def test_importing_the_package_imports_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys, goniometer; goniometer.Compared; goniometer.read_compared\n"
        "print(sorted({'torch', 'pandas', 'altair', 'transformers'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "named"),
    [({"k": 0}, "k: no size"), ({"k": -1}, "k: no size"), ({"draws": 1}, "draws: too few")],
)
def test_options_are_checked_as_the_command_checks_them(tmp_path, options, named):
    for seed, name in enumerate("ab"):
        save_adapter(tmp_path / name, seed=seed)
    with pytest.raises(GoniometerError, match=named):
        goniometer.compare([str(tmp_path / "a"), str(tmp_path / "b")], **options)
    with pytest.raises(GoniometerError, match="two or more"):
        goniometer.compare(str(tmp_path / "a"))
