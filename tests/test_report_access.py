"""The report for everybody: axe finds no serious fault, and the keyboard alone reaches all."""

from collections.abc import Iterator
from typing import Any

import pytest

from goniometer.report.page.compose import compose
from goniometer.report.page.render import render
from tests.behaviour_factory import behaved
from tests.report_browser import DESKTOP, MARKS, chromium, watched
from tests.report_cases import html_of
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
