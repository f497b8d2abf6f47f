"""Chromium for the tests of the report: pages are opened, watched, and closed again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"no {CHROMIUM}: run scripts/setup_chromium.sh"
    ),
]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser that is closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield started
        started.close()


@contextmanager
def watched(browser: Any) -> Iterator[Any]:
    """Open files; on leaving, check that nothing was asked for and nothing was complained of."""
    heard: list[str] = []
    contexts = []

    def visit(
        path: Path, viewport: dict[str, int] = DESKTOP, scheme: str = "light", hash_: str = ""
    ) -> Any:
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        url = path.as_uri()
        page.on(
            "request",
            lambda request: request.url.partition("#")[0] == url or heard.append(request.url),
        )
        page.goto(url + hash_)
        page.wait_for_selector("html[data-drawn]")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert heard == []
