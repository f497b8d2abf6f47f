"""The report in a browser: it draws, answers to its menus, fits a phone, prints, and is offline."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from goniometer.report.facts.index import read
from tests.report_browser import DESKTOP, MARKS, PHONE, chromium, watched
from tests.report_cases import CASES, HOSTILE, html_of, page_of

sync_api = pytest.importorskip("playwright.sync_api", reason="the playwright package is missing")
pytestmark = MARKS


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name in CASES:
        (folder / f"{name}.html").write_text(html_of(name), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in CASES}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser, pages) -> Iterator[Any]:
    with watched(browser) as visit:
        yield lambda case, *how, **more: visit(pages[case], *how, **more)


# Texts of a chart that overlap, or that leave the chart's box; those the SVG hides are left out.
COLLISIONS = """() => {
  const found = [];
  for (const box of document.querySelectorAll("[data-chart]")) {
    const frame = box.getBoundingClientRect();
    const texts = [...box.querySelectorAll("svg text")].filter((text) => text.textContent.trim()
      && getComputedStyle(text).opacity !== "0" && text.getAttribute("opacity") !== "0");
    const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
    boxes.forEach(([a, p], i) => {
      if (p.left < frame.left - 3 || p.right > frame.right + 12)
        found.push(`${box.dataset.chart}: ${a} leaves`);
      for (const [b, q] of boxes.slice(i + 1)) {
        const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
        const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
        if (wide > 1 && high > 3) found.push(`${box.dataset.chart}: ${a} on ${b}`);
      }
    });
  }
  return found;
}"""


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("case", ["study", "comparison", "grid", "behaviour", "hostile"])
def test_every_chart_is_drawn_and_nothing_overflows(opened, case, viewport):
    page = opened(case, viewport)
    charts = page.locator("[data-chart]")
    drawn = page.locator("[data-chart] svg:has(path, line, text)")
    assert charts.count() == drawn.count() >= 38
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    widths = page.evaluate(
        "[...document.querySelectorAll('[data-chart]')].map((box) => "
        "box.querySelector('svg').getAttribute('width') - box.clientWidth)"
    )
    assert max(widths) <= 1
    assert page.evaluate(COLLISIONS) == []


def test_hostile_names_are_shown_and_not_run(opened):
    page = opened("hostile")
    assert page.evaluate("window.hacked") is None
    for name in HOSTILE.values():
        assert page.get_by_role("rowheader", name=" ".join(name.split()), exact=True).count() > 0
    labels = page.locator("#menu-reference option").all_text_contents()
    assert labels == list(HOSTILE.values())


def numbers(page: Any, grid: str) -> dict[str, list[str]]:
    """The table of numbers of a grid, by row head; it is made when it is opened."""
    details = page.locator(f"details[data-numbers={grid}]")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    details.locator("table").wait_for()
    rows = page.locator(f"details[data-numbers={grid}] tbody tr.reading")
    return {row.locator("th").text_content(): row.locator("td").all_text_contents()
            for row in rows.all()}  # fmt: skip


def test_the_menu_of_pairs_changes_charts_and_numbers(opened):
    page = opened("study")
    chart = page.locator('[data-chart="layers-0"]')
    before, label = chart.inner_html(), chart.get_attribute("aria-label")
    page.get_by_label("Pair", exact=True).select_option(label="SFT and RIFT")
    page.wait_for_function("(old) => document.querySelector("
                           "'[data-chart=\"layers-0\"]').ariaLabel !== old", arg=label)  # fmt: skip
    assert chart.inner_html() != before
    assert chart.get_attribute("aria-label").endswith("SFT and RIFT")
    pair = next(
        p for p in page_of("study").results.comparison.pairs if (p.a, p.b) == ("SFT", "RIFT")
    )
    for grid, scope in (("layers", "layer.2"), ("projections", "projection.v_proj")):
        shown = float(numbers(page, grid)["Cosine"][2])
        assert shown == pytest.approx(read(pair, scope, "cosine").value, abs=1e-3)
    assert "undefined" in numbers(page, "layers")["Largest angle, right"][1]


def test_menus_answer_to_the_keyboard(opened):
    page = opened("comparison")
    menu = page.get_by_label("Cosine to")
    menu.select_option(label="SFT")
    menu.focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('#menu-reference').selectedIndex === 1")
    shown = page.locator('[data-chart="reference-1"] svg')
    shown.get_by_text("the run itself").wait_for()
    assert page.locator('[data-chart="reference-0"] svg').get_by_text("itself").count() == 0
    reason = page.locator('[data-chart="reference-5"] svg .role-mark tspan').all_text_contents()
    assert " ".join(reason) == "undefined: DPO has no update"


def test_a_size_of_the_menu_rescales_all_runs_alike(opened):
    page = opened("study")
    page.get_by_label("Size", exact=True).select_option(label="Effective rank")
    page.wait_for_function("document.querySelector('[data-chart=\"sizes-0\"]')"
                           ".ariaLabel.endsWith('Effective rank')")  # fmt: skip
    texts = page.locator('[data-grid="sizes"] svg .role-axis-label')
    ticks = {tuple(axis.locator("text").all_text_contents()) for axis in texts.all()}
    assert len(ticks) == 2  # the layers, and one scale


def test_a_column_sorts_by_number(opened):
    page = opened("study")
    table = page.get_by_role("table", name="Whole-model readings")
    table.get_by_role("button", name="whole model").click()
    first = table.locator("tbody td:nth-child(3)")
    values = [float(text.replace("\u2212", "-")) for text in first.all_text_contents()]
    assert values == sorted(values, reverse=True)
    table.get_by_role("button", name="whole model").click()
    again = [float(text.replace("\u2212", "-")) for text in first.all_text_contents()]
    assert again == sorted(values)
    assert table.locator("th[aria-sort=ascending]").count() == 1


def test_a_long_table_is_filtered_by_words(opened):
    page = opened("grid")
    page.get_by_text("pairs that differ in one thing").click()
    table = page.locator("table:has(#table-pairs-grid)")
    shown = "tbody tr:not([hidden])"
    every = table.locator(shown).count()
    page.locator("input[data-filters=table-pairs-grid]").fill("DPO seed")
    heads = table.locator(f"{shown} th").all_text_contents()
    assert 0 < len(heads) < every
    assert all("DPO" in head and "seed" in head for head in heads)
    page.locator("input[data-filters=table-pairs-grid]").fill("")
    assert table.locator(shown).count() == every


def test_a_dot_under_the_pointer_says_its_numbers(opened):
    page = opened("study")
    page.locator('[data-chart="matrix"] .mark-rect path').first.hover(force=True)
    tip = page.locator("#tip")
    tip.wait_for(state="visible")
    assert "cosine" in tip.text_content()


def test_dark_is_dark_and_print_is_light(opened):
    page = opened("study", scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    label = ("getComputedStyle([...document.querySelectorAll('[data-chart=\"accuracies\"] text')]"
             ".find((text) => text.textContent === 'base')).fill")  # fmt: skip
    assert page.evaluate(ground) == "rgb(21, 22, 26)"
    assert page.evaluate(label) == "rgb(236, 236, 238)"
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert page.evaluate(label) == "rgb(27, 27, 29)"


def test_it_prints_every_chart_and_opens_what_is_folded(opened):
    page = opened("study")
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.locator("details.printed").count() == 7
    assert page.locator("details.printed:not([open])").count() == 0
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 less its margins
    page.emulate_media(media="print")
    charts = page.locator("[data-chart] svg").all()
    assert all(0 < chart.bounding_box()["width"] <= 688 for chart in charts)


def test_it_can_be_read_without_seeing_it(opened):
    page = opened("study")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => +h.tagName[1])"
    )
    assert levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in pairwise(levels))
    for role in ("banner", "main", "navigation", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator('[data-chart]:not([role="img"][aria-label])').count() == 0
    assert page.locator("select").count() == page.locator("label[for]").count() == 5
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    for link in page.locator("nav a").all():
        assert link.get_attribute("href")[1:] in ids
