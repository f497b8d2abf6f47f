"""The page as HTML, from the templates, the style sheet and the scripts beside this file."""

import json
from dataclasses import asdict
from importlib.resources import files

from goniometer.report import notation, theme
from goniometer.report.charts import vega
from goniometer.report.page.compose import Page
from goniometer.report.page.modules import Modules


def render(page: Page, modules: Modules | None = None) -> str:
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
    return files("goniometer.report.page").joinpath(name).read_text(encoding="utf-8")
