"""The report: what it says is what the results say, and nothing that a name says can change it."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from goniometer.report import build
from goniometer.report.build import render
from goniometer.report.chart import filled
from goniometer.report.figures import draw
from goniometer.report.gallery import specifications
from goniometer.report.index import Index, cosine
from goniometer.report.notation import fixed
from goniometer.report.page import Page, compose
from goniometer.report.summary import summary
from goniometer.results import Results, to_json
from tests.results_factory import ARMS, INITS, ORDERS, renamed, results

LIMIT = 2_000_000
HOSTILE = {
    "SFT": "<script>window.hacked=1</script>",
    "RFT": "</script><img src=http://example.invalid/x onerror=window.hacked=1>",
    "RIFT": "\"'];window.hacked=1//",
    "DFT": "{{ 7 * 7 }} {% raw %}",
    "GRPO": "a|b `c` **d** [e](http://example.invalid) <b>\n# f",
    "DPO": "datum.x + <!-- " + "long" * 30,
}
CASES = {
    "study": lambda: results(study=True, runs=ARMS + ORDERS + INITS),
    "comparison": lambda: results(layers=36, identical=("SFT", "RFT"), zero="DPO"),
    "two runs": lambda: results(runs=("SFT", "DPO")),
    "hostile": lambda: renamed(results(study=True), HOSTILE),
}


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    return {name: compose(make()) for name, make in CASES.items()}


@pytest.fixture(scope="module")
def html(pages) -> dict[str, str]:
    return {name: render(page) for name, page in pages.items()}


class Outline(HTMLParser):
    """Elements, attributes and the text of table rows and of the rest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        if self._inside and self._inside[-1] in ("script", "style"):
            return
        self.text += data
        if {"td", "th"} & set(self._inside[-3:]):
            self.rows[-1][-1] += data.strip()


def test_equal_results_give_equal_bytes(tmp_path):
    found = CASES["two runs"]()
    again = Results.model_validate_json(to_json(found))
    written = []
    for folder, value in ((tmp_path / "a", found), (tmp_path / "b", again)):
        build(value, folder)
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
def test_nothing_on_the_page_loads_anything(html, name):
    for tag, attributes in Outline(html[name]).tags:
        assert tag not in ("img", "iframe", "object", "embed", "base", "video", "audio", "b")
        for key in ("src", "href", "action", "data", "poster", "srcset"):
            assert (attributes.get(key) or "#").startswith(("#", "data:,"))
        assert not [key for key in attributes if key.startswith("on")]


def test_names_are_text_and_nothing_else(html):
    outline = Outline(html["hostile"])
    assert [tag for tag, _ in outline.tags].count("script") == 3
    for name in HOSTILE.values():
        assert name in outline.text
    data = re.search(r'id="charts">(.*?)</script>', html["hostile"])[1]
    assert not set("<>&") & set(data)
    assert HOSTILE["RFT"] in {
        row["t"] for row in json.loads(data)["charts"]["matrix"]["data"]["names"]
    }


def test_names_never_enter_an_expression(pages):
    hostile, plain = (compose(found).gallery.bases for found in
                      (renamed(results(study=True), HOSTILE), results(study=True)))  # fmt: skip
    assert hostile == plain


@pytest.mark.parametrize("name", CASES)
def test_every_chart_fits_its_specification(pages, name):
    gallery = pages[name].gallery
    for chart in gallery.charts.values():
        base = gallery.bases[chart.base]
        assert set(chart.data) <= {table["name"] for table in base["data"]}
        unset = {s["name"] for s in base["signals"] if s.get("value", 0) is None}
        assert set(chart.signals) == unset


@pytest.mark.parametrize("name", ["study", "two runs"])
def test_specifications_obey_the_schema(pages, name):
    for make in specifications(pages[name].index).values():
        assert make()["$schema"].startswith("https://vega.github.io/schema/vega-lite/")


def test_the_table_of_pairs_says_what_the_results_say(pages, html):
    outline = Outline(html["study"])
    rows = {row[0]: row for row in outline.rows if len(row) == 25}
    for pair in pages["study"].index.arm_pairs:
        row = rows[f"{pair.a}, {pair.b}"]
        readings = pair.scopes["union"].readings
        assert row[1] == pair.verdict
        assert row[2] == fixed(readings["cosine"].value, 3)
        assert row[13] == fixed(readings["angle_left_smallest"].value, 1) + "°"
        assert row[10] == fixed(readings["off_subspace_left_reverse"].value, 3)


def test_matrix_as_chart_and_as_table_agree(pages):
    page = pages["study"]
    order = [row["t"] for row in page.gallery.charts["matrix"].data["names"]]
    table = page.tables["matrix"].rows
    assert sorted(order) == sorted(page.index.names)
    for cell in page.gallery.charts["matrix"].data["cells"]:
        assert table[cell["i"]][cell["j"] + 1].text == cell["long"]
        assert cell["long"] == fixed(cosine(page.index.pair(cell["a"], cell["b"])), 3)


def test_alike_runs_stand_together_in_the_matrix(pages):
    order = [row["t"] for row in pages["study"].gallery.charts["matrix"].data["names"]]
    places = sorted(order.index(name) for name in ("SFT", "RFT", "RIFT", *ORDERS))
    assert places == list(range(places[0], places[0] + 6))


def test_nulls_and_floors_stand_behind_every_panel(pages):
    page = pages["study"]
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
    floor = bands["floor: same init, other order"]
    assert (floor["lo"][2], floor["hi"][2]) == pytest.approx((min(values), max(values)), rel=1e-4)


def test_undefined_is_said_with_its_reason_and_never_drawn_as_a_number(pages, html):
    page = pages["comparison"]
    rows = [row for row in page.tables["pairs"].rows if "DPO" in row[0].text]
    notes = dict(page.tables["pairs"].notes)
    assert len(rows) == 5
    for row in rows:
        readings = row[2:-2]
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
    assert "DPO has a zero delta" in html["comparison"]


def test_a_reading_missing_in_one_layer_leaves_a_gap(pages):
    rows = pages["study"].gallery.charts["layers-8"].data["lines"]
    assert all(row["v"][1] is None and row["v"][0] is not None for row in rows)
    assert not any("n" in row for row in rows)


def test_a_comparison_alone_says_nothing_of_a_study(html):
    for word in ("accuracy", "Wilson", "Training runs", "Claims of"):
        assert word not in Outline(html["comparison"]).text
        assert word in Outline(html["study"]).text


def test_failing_checks_stand_before_the_first_chart(html):
    text = html["study"]
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
    assert set(page.gallery.charts) == {"ruler", "matrix"}
    assert "By depth" not in render(page)


@pytest.mark.parametrize("name", ["study", "hostile"])
def test_the_summary_is_markdown_that_says_the_same(pages, name):
    page = pages[name]
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
    assert set(widths) == {6, 5, 3}


def test_figures_are_svg_in_their_own_colours(tmp_path):
    build(CASES["hostile"](), tmp_path)
    names = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert names == {
        "ruler", "matrix", "reference", "layers", "projections", "sizes", "accuracies", "forest",
        "held-out", "training",
    }  # fmt: skip
    for path in (tmp_path / "figures").glob("*.svg"):
        root = ElementTree.fromstring(path.read_text())  # noqa: S314, our own file
        assert root.tag.endswith("svg")
        assert "var(--" not in path.read_text()
        inner = [child for child in root if child.tag.endswith("}svg")]
        assert all(
            float(c.get("x")) + float(c.get("width")) <= float(root.get("width")) for c in inner
        )


def test_figures_come_as_png_on_demand(tmp_path, pages):
    draw(replace(pages["two runs"].gallery, grids={}), tmp_path, png=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        "matrix.svg", "matrix.png", "ruler.svg", "ruler.png",
    }  # fmt: skip
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_holds_the_chart_and_leaves_the_base_alone(pages):
    gallery = pages["two runs"].gallery
    chart = gallery.charts["layers-0"]
    before = json.dumps(gallery.bases["layer"])
    vega = filled(gallery.bases["layer"], chart, 300)
    assert json.dumps(gallery.bases["layer"]) == before
    assert {t["name"]: t.get("values") for t in vega["data"]}["lines"] == chart.data["lines"]
    assert {s["name"]: s.get("value") for s in vega["signals"]}["width"] == 300


def test_the_report_needs_no_torch_and_its_import_no_altair():
    code = (
        "import sys; import goniometer.report; early = 'altair' in sys.modules; "
        "from goniometer.report.page import compose; sys.exit(early or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_script_is_made_once_and_without_a_cache_each_time(tmp_path, monkeypatch):
    from goniometer.report import vega

    made = []
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda code: made.append(code) or "bundle")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for home, calls in ((blocked, [1, 2]), (tmp_path / "cache", [3, 3])):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        for call in calls:
            assert vega.script() == "bundle"
            assert len(made) == call


def test_index_finds_a_pair_either_way_round():
    index = Index(results())
    assert index.pair("DPO", "SFT") is index.pair("SFT", "DPO") is not None
    assert index.pair("SFT", "SFT") is None
