"""The report as files: equal bytes, small, offline, and nothing that a name says can change it."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from goniometer.report import build
from goniometer.report.charts.chart import filled
from goniometer.report.figures import draw
from goniometer.report.gallery.hang import specifications
from goniometer.report.page.compose import compose
from goniometer.report.page.render import render
from goniometer.report.summary import summary
from goniometer.report.theme import DARK
from goniometer.results import Results, to_json
from tests.behaviour_factory import behaved
from tests.report_cases import CASES, HOSTILE, Outline, html_of, page_of
from tests.results_factory import ARMS, INITS, ORDERS, results

LIMIT = 3_000_000


def test_equal_results_give_equal_bytes(tmp_path):
    found = CASES["two runs"]()
    again = Results.model_validate_json(to_json(found))
    written = []
    for folder, value in ((tmp_path / "a", found), (tmp_path / "b", again)):
        build(value, folder, figures=["svg"])
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        written.append({str(path.relative_to(folder)): path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert {"report.html", "summary.md", "figures/matrix.svg"} <= set(written[0])


def test_a_rebuilt_report_replaces_the_old_one(tmp_path):
    build(CASES["two runs"](), tmp_path)
    first = (tmp_path / "report.html").read_bytes()
    path = build(CASES["two runs"](), tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    "make",
    [
        lambda: results(study=True, runs=ARMS + ORDERS + INITS),
        lambda: results(study=True, runs=ARMS + ORDERS + INITS, layers=36),
        lambda: results(runs=tuple(f"run {i}" for i in range(18)), layers=36),
    ],
    ids=["11 runs, 4 layers", "11 runs, 36 layers", "18 runs, 36 layers"],
)
def test_the_page_stays_small(make):
    assert len(render(compose(make())).encode()) < LIMIT


@pytest.mark.parametrize("name", CASES)
def test_nothing_on_the_page_loads_anything(name):
    for tag, attributes in Outline(html_of(name)).tags:
        assert tag not in ("img", "iframe", "object", "embed", "base", "video", "audio", "b")
        for key in ("src", "href", "action", "data", "poster", "srcset"):
            assert (attributes.get(key) or "#").startswith(("#", "data:,"))
        assert not [key for key in attributes if key.startswith("on")]


def test_names_are_text_and_nothing_else():
    outline = Outline(html_of("hostile"))
    assert [tag for tag, _ in outline.tags].count("script") == 3
    for name in HOSTILE.values():
        assert name in outline.text
    data = re.search(r'id="charts">(.*?)</script>', html_of("hostile"))[1]
    assert not set("<>&") & set(data)
    assert HOSTILE["RFT"] in {
        row["t"] for row in json.loads(data)["charts"]["matrix"]["data"]["names"]
    }


def test_names_never_enter_an_expression():
    hostile, plain = (compose(found).gallery.bases for found in
                      (CASES["hostile"](), behaved(results(study=True))))  # fmt: skip
    assert hostile == plain


@pytest.mark.parametrize("name", CASES)
def test_every_chart_fits_its_specification(name):
    gallery = page_of(name).gallery
    for chart in gallery.charts.values():
        base = gallery.bases[chart.base]
        assert set(chart.data) <= {table["name"] for table in base["data"]}
        unset = {s["name"] for s in base["signals"] if s.get("value", 0) is None}
        assert set(chart.signals) == unset


@pytest.mark.parametrize("name", ["behaviour", "two runs"])
def test_specifications_obey_the_schema(name):
    for make in specifications(page_of(name).index).values():
        assert make()["$schema"].startswith("https://vega.github.io/schema/vega-lite/")


@pytest.mark.parametrize("name", ["study", "hostile"])
def test_the_summary_is_markdown_that_says_the_same(name):
    page = page_of(name)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(summary(page))
    inline = [child for token in tokens for child in token.children or ()]
    assert not [t for t in (*tokens, *inline) if t.type.startswith(("html", "link", "image"))]
    assert [t.tag for t in tokens if t.type == "heading_open"] == ["h2"]
    text = "".join(t.content for t in inline)
    for run in page.results.comparison.runs:
        assert run.fingerprint in text
        assert " ".join(run.name.split()) in " ".join(text.split())
    assert page.answer.headline.replace("\n", " ") in text
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in summary(page).splitlines()
              if line.startswith("|")]  # fmt: skip
    assert set(widths) == {7, 6, 3}


def test_figures_are_svg_in_their_own_colours(tmp_path):
    build(CASES["hostile"](), tmp_path, figures=["svg"])
    names = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert names == {
        "ruler", "matrix", "reference", "angles", "layers", "projections", "sizes", "accuracies",
        "forest", "held-out", "training", "map", "paths", "contrasts", "cka", "activations", "kl",
        "agreement", "composed",
    }  # fmt: skip
    for path in (tmp_path / "figures").glob("*.svg"):
        root = ElementTree.fromstring(path.read_text())  # noqa: S314, our own file
        assert root.tag.endswith("svg")
        assert "var(--" not in path.read_text()
        assert not set(DARK.values()) & set(re.findall(r"#[0-9a-f]{6}", path.read_text()))
        inner = [child for child in root if child.tag.endswith("}svg")]
        places = [(child.get("x"), child.get("y")) for child in inner]
        assert len(set(places)) == len(places) > 0
        assert all(
            float(c.get("x")) + float(c.get("width")) <= float(root.get("width")) for c in inner
        )


def test_figures_come_as_png_on_demand(tmp_path):
    draw(replace(page_of("two runs").gallery, grids={}), tmp_path, ["svg", "png"])
    assert {path.name for path in tmp_path.iterdir()} == {
        "matrix.svg", "matrix.png", "ruler.svg", "ruler.png",
    }  # fmt: skip
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_holds_the_chart_and_leaves_the_base_alone():
    gallery = page_of("two runs").gallery
    chart = gallery.charts["layers-0"]
    before = json.dumps(gallery.bases["layer"])
    vega = filled(gallery.bases["layer"], chart, 300)
    assert json.dumps(gallery.bases["layer"]) == before
    assert {t["name"]: t.get("values") for t in vega["data"]}["lines"] == chart.data["lines"]
    assert {s["name"]: s.get("value") for s in vega["signals"]}["width"] == 300


def test_the_report_needs_no_torch_and_its_import_no_altair():
    code = (
        "import sys; import goniometer.report; early = 'altair' in sys.modules; "
        "import goniometer.report.page.compose; sys.exit(early or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_script_is_made_once_and_without_a_cache_each_time(tmp_path, monkeypatch):
    from goniometer.report.charts import vega

    made = []
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda code: made.append(code) or "bundle")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for home, calls in ((blocked, [1, 2]), (tmp_path / "cache", [3, 3])):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        for call in calls:
            assert vega.script() == "bundle"
            assert len(made) == call
