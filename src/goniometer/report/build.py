"""From results to a folder: report.html, summary.md and figures."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from goniometer.results import Results

FigureFormat = Literal["svg", "png"]


def build(results: Results, folder: Path, *, figures: Collection[FigureFormat] = ()) -> Path:
    """Write the report into `folder` and return the path of report.html.

    `folder` gets report.html (one file that makes no request) and summary.md (for a model card);
    with `figures` also each chart of the page as a file, as SVG, or as PNG at twice the size, which
    takes as long as the rest together. Where `folder` holds modules.parquet, the page has a table
    of single modules. Equal results and modules give equal bytes.

    Raises:
        GoniometerError: a modules.parquet that is none.
    """
    # Altair takes half a second to import: only who builds a report waits for it.
    from goniometer.report.page.compose import compose
    from goniometer.report.page.modules import read_modules
    from goniometer.report.page.render import render
    from goniometer.report.summary import summary

    page = compose(results)
    modules = read_modules(folder, page.index)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    path.write_text(render(page, modules), encoding="utf-8")
    (folder / "summary.md").write_text(summary(page), encoding="utf-8")
    if figures:
        from goniometer.report.figures import draw

        draw(page.gallery, folder / "figures", figures)
    return path
