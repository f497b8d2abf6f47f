"""From results to a folder: report.html, summary.md and figures."""

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from goniometer.report import theme
from goniometer.report.figures import draw
from goniometer.report.page import Page, as_script, compose
from goniometer.report.summary import summary
from goniometer.results import Results

# The bundles of vl-convert up to 1.9 export null as `vega` and `vegaLite`; vegaEmbed is sound.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def build(results: Results, folder: Path, *, png: bool = False) -> Path:
    """Write the report into `folder` and return the path of report.html.

    `folder` gets report.html (one file that makes no request), summary.md (for a model card) and
    figures/*.svg; with `png` each figure also as PNG at twice the size. Equal results give equal
    bytes.
    """
    page = compose(results)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    path.write_text(render(page), encoding="utf-8")
    (folder / "summary.md").write_text(summary(page), encoding="utf-8")
    draw(page, folder / "figures", png=png)
    return path


def render(page: Page) -> str:
    """The page as HTML. Every text is escaped; only our own style sheet and script are not."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    charts = {name: asdict(chart) for name, chart in page.charts.items()}
    return environment.get_template("template.html").render(
        page=page,
        results=page.results,
        comparison=page.results.comparison,
        study=page.results.study,
        light=Markup(theme.css_variables(theme.LIGHT)),
        dark=Markup(theme.css_variables(theme.DARK)),
        font=Markup(theme.FONT),
        style=Markup(_resource("report.css")),
        vega=Markup(_vega()),
        script=Markup(_resource("report.js")),
        charts=Markup(as_script({"bases": page.bases, "charts": charts})),
    )


def _resource(name: str) -> str:
    return files("goniometer.report").joinpath(name).read_text(encoding="utf-8")


def _vega() -> str:
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(_SNIPPET)
    return bundle
