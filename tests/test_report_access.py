"""The report for everybody: axe finds no serious fault, and the keyboard alone reaches all."""

from collections.abc import Iterator
from typing import Any

import pytest

from goniometer.report.page.compose import compose
from goniometer.report.page.render import render
from tests.behaviour_factory import behaved
from tests.report_browser import DESKTOP, MARKS, chromium, watched
from tests.report_cases import html_of, page_of
from tests.results_factory import ORDERS, results

pytest.importorskip("playwright.sync_api", reason="the playwright package is missing")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing"
)
pytestmark = MARKS
# Of few runs: what is asked of a table's first rows is asked of all.
RUNS = ("SFT", "RFT", "DPO")
CASES = {
    "study": lambda: results(study=True, runs=(*RUNS, *ORDERS[:1])),
    "comparison": lambda: results(runs=RUNS, layers=3),
    "behaviour": lambda: behaved(results(runs=RUNS, layers=2), accuracy=True),
}
LIMIT = ("serious", "critical")
# In the dark nothing differs but the colours.
RULES = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize("case", CASES)
def test_axe_finds_no_serious_fault(browser, tmp_path, case):
    """In light and in dark, with all that is folded opened and a pair chosen."""
    path = tmp_path / "report.html"
    path.write_text(render(compose(CASES[case]())), encoding="utf-8")
    with watched(browser) as visit:
        page = visit(path, DESKTOP, "light", "#a=SFT&b=RFT&layer=1")
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        page.locator("details[data-numbers] table").first.wait_for()
        for scheme, rules in RULES.items():
            page.emulate_media(color_scheme=scheme)
            found = axe.Axe().run(page, options=rules).response
            assert "color-contrast" in {one["id"] for one in found["passes"]}
            faults = [
                (one["id"], node["html"])
                for one in found["violations"]
                if one["impact"] in LIMIT
                for node in one["nodes"]
            ]
            assert faults == []


def test_the_keyboard_alone_chooses_a_pair_and_a_layer(browser, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(html_of("behaviour"), encoding="utf-8")
    with watched(browser) as visit:
        page = visit(path)
        here = "document.activeElement"

        def until(matches: str) -> None:
            """Press Tab until what has the focus matches."""
            for _ in range(200):
                page.keyboard.press("Tab")
                if page.evaluate(f"{here}.matches({matches!r})"):
                    return
            pytest.fail(f"Tab never reaches {matches}")

        until("#chosen-pair")
        page.keyboard.press("ArrowDown")
        until("#chosen-layer")
        page.keyboard.press("ArrowDown")
        status = page.locator("#chosen")
        status.get_by_text("Chosen: RFT and RIFT, layer 0.").wait_for()
        assert status.get_attribute("aria-live") == "polite"
        until("#cosines ~ * button.pick, section button.pick")
        page.keyboard.press("Enter")
        assert page.evaluate(f"{here}.getAttribute('aria-pressed')") in ("true", "false")
        until("summary")
        open_ = page.evaluate(f"{here}.parentNode.open")
        page.keyboard.press("Enter")
        assert page.evaluate(f"{here}.parentNode.open") is not open_


def test_the_points_of_a_path_are_read_by_keyboard_and_follow_the_chosen_pair(browser, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(html_of("behaviour"), encoding="utf-8")
    found = page_of("behaviour").results.behaviour.connectivity.segments
    with watched(browser) as visit:
        page = visit(path)
        page.locator("#menu-paths").focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Numbers of this path"
        page.keyboard.press("Enter")
        numbers = page.locator("details[data-numbers=paths]")
        numbers.locator("table").wait_for()

        def read(start: str, end: str) -> list[list[str]]:
            numbers.get_by_text(f"Path: {start} and {end}").wait_for()
            rows = numbers.locator("tbody tr").all()
            return [row.locator("th, td").all_text_contents() for row in rows]

        heads = numbers.locator("thead th").all_text_contents()
        assert [head.partition(" along")[0] for head in heads] == [
            "position", "loss", "95 %, low", "95 %, high", "greedy accuracy",
        ]  # fmt: skip
        page.get_by_label("Show pair").select_option(label="SFT and DPO")
        (chosen,) = (one for one in found if (one.start, one.end) == ("SFT", "DPO"))
        rows = read("SFT", "DPO")
        assert [float(row[0]) for row in rows] == pytest.approx(chosen.positions)
        columns = (chosen.loss, chosen.low, chosen.high, chosen.accuracy)
        for row, values in zip(rows, zip(*columns, strict=True), strict=True):
            for text, value in zip(row[1:], values, strict=True):
                if value is None:
                    assert text == "undefined"
                else:
                    assert float(text) == pytest.approx(value, rel=1e-4)
        assert sum("undefined" in row for row in rows) == 1
