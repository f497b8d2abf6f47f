"""From results to a folder: report.html, summary.md and figures."""

import json
from collections.abc import Collection
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from goniometer.report import notation, theme, vega
from goniometer.results import Results

if TYPE_CHECKING:
    from goniometer.report.modules import Modules
    from goniometer.report.page import Page


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
    from goniometer.report.modules import read_modules
    from goniometer.report.page import compose
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


def render(page: "Page", modules: "Modules | None" = None) -> str:
    """The page as HTML. Every text is escaped; only our own style sheet and script are not."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = notation.count
    charts = {name: asdict(chart) for name, chart in page.gallery.charts.items()}
    # Not escaped: our own files, our own constants, and JSON made safe by `as_script`.
    trusted = {
        "light": theme.css_variables(theme.LIGHT),
        "dark": theme.css_variables(theme.DARK),
        "font": theme.FONT,
        "style": _resource("report.css"),
        "vega": vega.script(),
        "script": _script(),
        "modules": as_script(modules.packed()) if modules else "",
        "charts": as_script({"bases": page.gallery.bases, "charts": charts}),
    }
    return environment.get_template("template.html").render(
        page=page,
        results=page.results,
        comparison=page.results.comparison,
        study=page.results.study,
        modules=modules,
        trusted=trusted,
    )


def _script() -> str:
    """Our own scripts in one scope; report.js starts them."""
    parts = [_resource(name) for name in ("charts.js", "selection.js", "modules.js", "report.js")]
    return "\n".join(['"use strict";', "(() => {", *parts, "})();"])


def as_script(value: object) -> str:
    """JSON that can stand in a script element: no `<`, `>` or `&`, whatever the names say."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _resource(name: str) -> str:
    return files("goniometer.report").joinpath(name).read_text(encoding="utf-8")
