"""Cases for the tests of the report, composed once, and a reader of its HTML."""

from functools import cache
from html.parser import HTMLParser

from goniometer.report.page.compose import Page, compose
from goniometer.report.page.render import render
from tests import steps_factory
from tests.behaviour_factory import behaved
from tests.results_factory import ARMS, INITS, ORDERS, renamed, results
from tests.study_factory import GRID

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
    "steps": lambda: steps_factory.results({"sft": 0.6, "<i>dpo</i>": 0.0}),
    "grid": lambda: results(study=True, runs=GRID),
    "behaviour": lambda: behaved(results(study=True, runs=ARMS + ORDERS), accuracy=True),
    "hostile": lambda: renamed(behaved(results(study=True)), HOSTILE),
}


@cache
def page_of(name: str) -> Page:
    """The composed page of a case."""
    return compose(CASES[name]())


@cache
def html_of(name: str) -> str:
    """The rendered page of a case."""
    return render(page_of(name))


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


def rows_of(page, name):
    """Cells of a table of the page in words, by the first of each row."""
    return {row[0].text: [cell.text for cell in row] for row in page.tables[name].rows}
