"""The pages of docs/ are in the navigation, lead somewhere, and name all that they must."""

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
CODE = re.compile(r"`([^`]+)`")


@cache
def tokens(page: Path) -> tuple:
    found = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    return (*found, *(child for token in found for child in token.children or ()))


def links(page: Path) -> list[str]:
    named = {"link_open": "href", "image": "src"}
    return [str(t.attrs[named[t.type]]) for t in tokens(page) if t.type in named]


@cache
def anchors(page: Path) -> set[str]:
    """Ids of headings, made as the site makes them."""
    found = set()
    for opening, inside in zip(tokens(page), tokens(page)[1:], strict=False):
        if opening.type == "heading_open":
            text = "".join(c.content for c in inside.children if c.type in ("text", "code_inline"))
            plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
            plain = re.sub(r"[^\w\s-]", "", plain).strip().lower()
            found.add(re.sub(r"[-\s]+", "-", plain))
    return found


def navigation() -> list[str]:
    def flat(part):
        if isinstance(part, str):
            return [part]
        return [page for below in part for page in flat(*below.values())]

    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return flat(settings["nav"])


def broken(page: Path) -> list[str]:
    found = []
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        wanted = bool(anchor) and target.suffix == ".md"
        if not target.is_file() or (wanted and anchor not in anchors(target)):
            found.append(link)
    return found


def words(*names: str) -> set[str]:
    """All that stands as code in some pages, lists of names taken apart."""
    text = "".join((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in names)
    return set(CODE.findall(text))


def test_every_page_is_in_the_navigation_once_and_every_entry_is_a_page():
    assert sorted(navigation()) == [page.relative_to(DOCS).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_pictures_and_anchors_lead_somewhere(page):
    assert broken(page) == []


def test_a_broken_link_and_a_broken_anchor_are_found(tmp_path):
    (tmp_path / "other.md").write_text("# One thing\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#one-thing) [b](other.md#two) [c](gone.md) ![d](gone.svg) [e](#x)")
    assert broken(page) == ["other.md#two", "gone.md", "gone.svg", "#x"]


def test_every_measure_has_an_entry():
    from goniometer.geometry import MEASURES, SPECTRA
    from goniometer.geometry.base_measures import BASE_MEASURES

    headings = anchors(DOCS / "measures.md") | anchors(DOCS / "base.md")
    assert set(MEASURES) | set(SPECTRA) <= words("measures") | headings
    assert set(BASE_MEASURES) <= words("base") | headings


def test_every_value_of_behaviour_is_explained():
    from goniometer.results import Agreement, Behaviour, Composed, Segment

    text = (DOCS / "behaviour.md").read_text(encoding="utf-8").lower()
    told = [name for name in Behaviour.model_fields if name not in ("base", "data")]
    told += [*list(Agreement.model_fields)[3:], "barrier", "midpoint", "monotone"]
    told += [name for name in Composed.model_fields if name.startswith("by_")]
    assert {"barrier", "midpoint", "monotone"} <= set(Segment.model_fields)
    synonyms = {"similarity": "cka", "divergence": "kl(base || run)", "composed": "composition"}
    assert [name for name in told if synonyms.get(name, name) not in text] == []


def test_every_verdict_and_state_is_explained():
    from goniometer.results import Cell, Claim, Paired, PairReadings
    from goniometer.statistics import SAMENESS

    text = re.sub(r"\s+", " ", (DOCS / "statistics.md").read_text(encoding="utf-8"))
    paired = get_args(Paired.model_fields["verdict"].annotation)
    plain = {verdict.partition(" (provisional")[0] for verdict in SAMENESS}
    assert [verdict for verdict in (*paired, *plain) if verdict not in text] == []
    states = re.sub(r"\s+", " ", (DOCS / "input.md").read_text(encoding="utf-8"))
    for fields, name in ((PairReadings, "state"), (Cell, "state"), (Claim, "verdict")):
        for state in get_args(fields.model_fields[name].annotation):
            assert state in states, state


def test_every_figure_that_is_kept_is_shown_and_told():
    shown = {Path(link).name for link in links(DOCS / "charts.md") if link.endswith(".svg")}
    kept = {path.name for path in (DOCS / "results").glob("*/figures/*.svg")}
    assert shown == kept


def test_every_kind_of_chart_is_told():
    from goniometer.report.facts.index import Index
    from goniometer.report.gallery.hang import specifications
    from tests.results_factory import results

    told = {"layer": "layers", "projection": "projections", "loss": "training", "norm": "training"}
    told |= {"path": "paths", "contrasts": "paths", "cka": "activations", "blocks": "activations"}
    told |= {"rank": "angles"}
    told |= dict.fromkeys(("kl", "agreement", "composed"), "kl-agreement-composed")
    kinds = specifications(Index(results(study=True)))
    named = {"sweep" if "sweep" in kind else told.get(kind, kind) for kind in kinds}
    assert named - anchors(DOCS / "charts.md") == set()


def test_every_name_of_a_table_is_told():
    from goniometer.logs import FORMATS
    from goniometer.objectives import OBJECTIVES
    from goniometer.tasks import TASKS

    assert set(TASKS) <= words("sources")
    assert set(FORMATS) <= words("formats")
    api = (DOCS / "api" / "objectives.md").read_text(encoding="utf-8")
    assert [name for name in OBJECTIVES if f"goniometer.objectives.{name}\n" not in api] == []


def test_every_verb_is_on_a_page():
    from goniometer.cli import app

    text = "".join(page.read_text(encoding="utf-8") for page in PAGES if page.name != "log.md")
    verbs = [command.callback.__name__ for command in app.registered_commands]
    assert [verb for verb in verbs if f"goniometer {verb}" not in text] == []


def test_api_pages_name_modules_and_objects_that_are_there():
    named = [
        name
        for page in (DOCS / "api").glob("*.md")
        for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(named) == len(set(named))
    for name in named:
        path = ROOT / "src" / Path(*name.split("."))
        if not (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()):
            module, _, attribute = name.rpartition(".")
            source = (ROOT / "src" / Path(*module.split("."))).with_suffix(".py")
            assert re.search(rf"^(def|class) {attribute}\b", source.read_text("utf-8"), re.M), name
