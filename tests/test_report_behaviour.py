"""What the report says and draws of what needs the model, and the map of the runs."""

import math
import re
import statistics
from dataclasses import replace
from html import escape

import numpy as np
import pytest
import vl_convert

from goniometer.errors import GoniometerError
from goniometer.report import build
from goniometer.report.charts.chart import filled
from goniometer.report.charts.rows import input_rows
from goniometer.report.facts.index import Index
from goniometer.report.facts.plane import plane as plane_of
from goniometer.report.figures import tiled
from goniometer.report.notation import significant
from goniometer.report.page.compose import compose
from goniometer.report.page.modules import read_modules
from goniometer.report.page.render import render
from goniometer.report.theme import LIGHT
from goniometer.report.words import behaviour
from goniometer.report.words.findings import MOST_FIRST
from goniometer.report.words.labels import contrast
from goniometer.results import Reading, Results
from tests.behaviour_factory import behaved
from tests.modules_factory import write_modules
from tests.report_cases import Outline, page_of, rows_of
from tests.results_factory import ARMS, results

FEW = ("SFT", "RFT", "DPO")
SECTIONS = ("paths", "activations", "answers", "together")


def ids(page) -> set[str]:
    return {attributes.get("id") for _, attributes in Outline(render(page)).tags}


def test_sections_stand_only_where_something_was_measured():
    page = compose(results(runs=FEW, layers=1))
    assert not set(SECTIONS) & ids(page)
    text = " ".join(Outline(render(page)).text.split())
    assert "Not measured, as it needs the model and texts: paths, activations, div" in text
    assert "goniometer compare RUN RUN --base MODEL --data ROLLOUTS" in text
    whole = behaved(results(runs=FEW, layers=1))
    assert set(SECTIONS) <= ids(compose(whole))
    assert "Not measured, as it" not in render(compose(whole))
    part = whole.behaviour.model_copy(update={"similarity": None, "composed": ()})
    page = compose(whole.model_copy(update={"behaviour": part}))
    assert set(SECTIONS) & ids(page) == {"paths", "answers"}
    assert page.missing.endswith("texts: activations and sums.")


def test_a_path_is_drawn_as_it_was_measured():
    page = page_of("behaviour")
    found = page.results.behaviour.connectivity
    chart = page.gallery.charts["paths-0"]
    about = page.gallery.menus["paths"].about
    for segment in found.segments:
        place = about.index((segment.start, segment.end))
        rows = [row for row in chart.data["points"] if row["p"] == place]
        assert [row["y"] is None for row in rows] == [y is None for y in segment.loss]
        known = [(row["y"], y) for row, y in zip(rows, segment.loss, strict=True) if y is not None]
        assert all(drawn == pytest.approx(y, rel=1e-4) for drawn, y in known)
        for row in (row for row in chart.data["barriers"] if row["p"] == place):
            middle = segment.loss[segment.positions.index(segment.barrier_at)]
            assert row["hi"] == pytest.approx(middle, rel=1e-4)
            assert row["hi"] - row["lo"] == pytest.approx(segment.barrier.value, rel=1e-2)
        shown = rows_of(page, "segments")[f"{segment.start}, {segment.end}"]
        assert contrast(segment) in shown
    assert chart.data["base"][0]["y"] == pytest.approx(found.base_loss)
    highest = max(
        (s for s in found.segments if s.start != found.base), key=lambda s: s.midpoint.value
    )
    assert about[page.gallery.menus["paths"].first] == (highest.start, highest.end)


def test_the_answer_counts_barriers_by_their_intervals():
    found = behaved(results())
    said = behaviour.sentences(Index(found))
    above = [
        s
        for s in found.behaviour.connectivity.segments
        if "base" not in (s.start, s.end) and s.midpoint_low > 0
    ]
    assert said[1].startswith(f"Straight paths: {len(above)} of 15 between runs are shown to have")
    assert "of DFT and DPO (two seeds of one objective " in said[2]
    assert len(page_of("behaviour").answer.first) == MOST_FIRST == 6


def test_of_no_study_the_answer_begins_with_kl_and_says_which_paths_it_counts():
    found = behaved(results()).model_copy(update={"study": None})
    kl = {one.run: one.kl.value for one in found.behaviour.divergence}
    least, most = min(kl, key=kl.get), max(kl, key=kl.get)
    n = found.behaviour.divergence[0].prompts
    first, second, *_ = behaviour.sentences(Index(found))
    assert first == (
        f"KL from the base: {significant(kl[least])} ({least}) to {significant(kl[most])} ({most}) "
        f"nats a completion, n = {n} completions."
    )
    assert re.match(r"Straight paths: \w+ of 15 between runs (is|are) shown", second)
    assert first in compose(found).answer.first


@pytest.mark.parametrize("seed", range(3))
def test_the_map_never_shows_a_distance_longer_than_it_is(seed):
    """Places against explicit vectors of norm 1: a projection, and the share that SVD gives."""
    rng = np.random.default_rng(seed)
    runs = ("A", "B", "C", "D", "E")
    vectors = rng.normal(size=(5, 9)) + 0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    plane = plane_of(Index(with_cosines(runs, vectors @ vectors.T)))
    places = np.array(plane.places)
    for i in range(5):
        for j in range(i):
            true = np.linalg.norm(vectors[i] - vectors[j])
            assert np.linalg.norm(places[i] - places[j]) <= true + 1e-9
    singular = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    assert plane.share == pytest.approx(singular[:2].sum() / singular.sum(), rel=1e-9)


def test_of_unrelated_updates_a_plane_holds_little():
    runs = tuple(f"run {i}" for i in range(9))
    plane = plane_of(Index(with_cosines(runs, np.eye(9))))
    assert plane.share == pytest.approx(plane.by_chance) == pytest.approx(2 / 8)
    assert "of 9 unrelated updates a plane holds 25" in behaviour.of_map(plane)
    zero = plane_of(Index(results(zero="DPO")))
    assert zero.left_out == ("DPO",)
    assert plane_of(Index(results(runs=("SFT", "DPO")))) is None


def with_cosines(runs, gram):
    found = results(runs=runs, layers=1)
    pairs = []
    for pair in found.comparison.pairs:
        value = float(gram[runs.index(pair.a), runs.index(pair.b)])
        scope = pair.scopes["union"]
        readings = scope.readings | {"cosine": Reading(value=value)}
        scopes = pair.scopes | {"union": scope.model_copy(update={"readings": readings})}
        pairs.append(pair.model_copy(update={"scopes": scopes}))
    changed = found.comparison.model_copy(update={"pairs": tuple(pairs)})
    return found.model_copy(update={"comparison": changed})


def test_the_nulls_of_inputs_stand_beside_right_hand_measures_only():
    found = behaved(results())
    index = Index(found)
    nulls = found.behaviour.similarity.input_nulls.modules
    scopes = [f"layer.{layer}" for layer in found.comparison.layers]
    covariance, second = input_rows(index, scopes, "v1")
    lows = [m.bands["covariance"]["v1"].low for m in nulls if ".layers.2." in m.module]
    assert covariance["lo"][2] == pytest.approx(statistics.median(lows))
    assert second["hi"][0] > covariance["hi"][0]
    assert input_rows(index, scopes, "u1") == input_rows(Index(results()), scopes, "v1") == []
    charts = compose(found).gallery.charts
    drawn = {
        chart.signals["heading"]
        for name, chart in charts.items()
        if name.startswith("layers-") and any("inputs" in b["t"] for b in chart.data["bands"])
    }
    assert drawn == {"Top right, |v1\u00b7v1'|"} | {
        f"{which} angle, right" for which in ("Smallest", "Median", "Largest")
    }


def test_modules_are_read_by_name_and_a_foreign_file_is_refused(tmp_path):
    found = results(layers=2)
    path = tmp_path / "modules.parquet"
    assert read_modules(tmp_path, Index(found)) is None
    write_modules(found, path, undefined=("q_proj", 1))
    modules = read_modules(tmp_path, Index(found))
    assert len(modules.pairs) == math.comb(len(ARMS), 2)
    assert modules.modules[0].startswith("model.layers.0.")
    v1 = list(zip(modules.modules, modules.values[0][-1], strict=True))
    assert [m for m, value in v1 if value is None] == ["model.layers.1.self_attn.q_proj"]
    few = results(layers=2, runs=("SFT", "DPO"))
    assert read_modules(tmp_path, Index(few)).pairs == (("SFT", "DPO"),)
    assert read_modules(tmp_path, Index(results(runs=("X", "Y")))) is None
    assert 'id="modules"' in build(few, tmp_path).read_text()
    path.write_bytes(b"no parquet")
    with pytest.raises(GoniometerError, match="table of modules") as raised:
        build(found, tmp_path)
    assert "modules.parquet" in str(raised.value)


@pytest.mark.parametrize("name", ["contrasts", "agreement", "composed-0", "forest-0"])
def test_one_row_is_ringed_where_a_pair_is_chosen_and_none_else(name):
    """As the page sets the signal `who`: a dot of the pair has a ring in the accent."""
    gallery = page_of("behaviour").gallery
    chart = gallery.charts[name]
    ring = re.compile(rf'<path [^>]*stroke="{LIGHT["accent"]}"')
    rows = chart.data["pairs"]
    assert len({row["k"] for row in rows}) > 2
    for who, rings in ((None, 0), (0, 1)):
        picked = replace(chart, signals=chart.signals | {"who": who})
        svg = vl_convert.vega_to_svg(filled(gallery.bases[chart.base], picked, 400))
        assert len(ring.findall(svg)) == rings * sum(row["k"] == 0 for row in rows)


def test_of_each_pair_the_angle_spectrum_stands_over_the_nulls_of_each_rank():
    page = page_of("behaviour")
    comparison = page.results.comparison
    menu, named = page.gallery.menus["pair"], page.gallery.grids["angles"]
    assert "angles" in menu.drives.split()
    table = comparison.nulls["ranks 16 and 16"]["union"]
    for side, name in zip(("left", "right"), named, strict=True):
        chart = page.gallery.charts[name]
        assert chart.signals["xs"] == [str(rank) for rank in range(1, comparison.k + 1)]
        assert "at" not in chart.signals  # a layer that is chosen is no rank
        names = [f"angle_{side}_{rank}" for rank in range(1, comparison.k + 1)]
        for (a, b), row in zip(menu.about, chart.data["lines"], strict=True):
            readings = page.index.pair(a, b).scopes["union"].readings
            assert row["v"] == pytest.approx([readings[n].value for n in names], rel=1e-3)
        bands = {row["t"]: row for row in chart.data["bands"]}
        for kind, text in (("independent", "null: independent"), ("shared_A0", "null: shared A0")):
            expected = [table[n][kind].high for n in names]
            assert bands[text]["hi"] == pytest.approx(expected, rel=1e-4)


def test_results_without_single_angles_have_no_spectrum_and_a_zero_delta_says_why():
    found = results(layers=1, zero="DPO")
    drawn = compose(found).gallery.charts["angles-0"].data["lines"]
    assert sum("DPO has no update" in " ".join(row.get("n", ())) for row in drawn) == 5
    tree = found.model_dump(mode="json")
    for pair in tree["comparison"]["pairs"]:
        readings = pair["scopes"]["union"]["readings"]
        pair["scopes"]["union"]["readings"] = {
            name: value for name, value in readings.items() if not re.match(r"angle_\w+_\d", name)
        }
    page = compose(Results.model_validate(tree))
    assert "angles" not in page.gallery.grids
    assert "Angle spectrum" not in render(page)


def test_figures_name_the_pair_and_what_stands_behind_it():
    gallery = page_of("behaviour").gallery
    text = {name: [mark.text for mark in marks] for name, marks in gallery.keys.items()}
    menu = gallery.menus["pair"]
    assert text["layers"][0].startswith(menu.choices[menu.first])
    floors = {t for t in text["layers"] if t.startswith("floor: SFT, ")}
    nulls = {t for t in text["layers"] if t.startswith("null: ")}
    assert len(floors) == 1
    assert len(nulls) == 4  # two of weights, two of inputs
    for name in ("reference", "angles", "ruler"):
        assert {"null: shared A0, 95 %", "null: independent, 95 %"} <= set(text[name])
    svg = tiled(gallery.keys["layers"], [['<svg width="10" height="10"></svg>']])
    assert all(escape(mark) in svg for mark in text["layers"])
    plain = page_of("two runs").gallery.keys
    assert not [mark for mark in plain["layers"] if mark.text.startswith(("floor", "null: inputs"))]


def test_the_loss_of_a_sum_is_drawn_beside_what_the_cosine_predicts():
    page = page_of("behaviour")
    found = {(one.a, one.b, one.weights): one for one in page.results.behaviour.composed}
    for name, weights in zip(page.gallery.grids["composed"], ((1, 1), (0.5, 0.5)), strict=True):
        chart = page.gallery.charts[name]
        for row in chart.data["pairs"]:
            one = found[row["a"], row["b"], weights]
            expected = one.expected.value + one.by_cosine.value
            assert row["by"] == pytest.approx(expected, rel=1e-4)
            assert chart.signals["low"] < row["by"] < chart.signals["high"]
