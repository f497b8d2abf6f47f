"""A folder of one comparison: paired.json, summary.md and paired.html, which makes no request."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from goniometer.atomic import write_folder
from goniometer.paired import words
from goniometer.paired.forest import forest
from goniometer.report import theme
from goniometer.report.markdown import table
from goniometer.results.paired import PairedLogs, paired_json


def write_paired(found: PairedLogs, folder: Path) -> Path:
    """Write the folder whole or not at all; return the path of paired.html.

    Raises:
        GoniometerError: the folder is not ours to replace, or cannot be written.
    """

    def make(aside: Path) -> None:
        (aside / "paired.json").write_text(paired_json(found), encoding="utf-8")
        (aside / "summary.md").write_text(summary(found), encoding="utf-8")
        (aside / "paired.html").write_text(page(found), encoding="utf-8")

    write_folder(folder, make, {"command": "paired"})
    return folder / "paired.html"


def page(found: PairedLogs) -> str:
    """The page; every text is escaped, our own style sheet and constants are not."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = files("goniometer.paired").joinpath("page.html").read_text(encoding="utf-8")
    style = files("goniometer.report.page").joinpath("report.css").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        found=found,
        sentence=words.sentence(found),
        lists=words.lists(found),
        best=words.best(found),
        runs=_cells(words.RUN_HEADS, [words.run_row(run) for run in found.runs]),
        pairs=_cells(words.PAIR_HEADS, [words.pair_row(pair) for pair in found.pairs]),
        forest=forest(found),
        extractors=words.extractors(found),
        light=theme.css_variables(theme.LIGHT),
        dark=theme.css_variables(theme.DARK),
        font=theme.FONT,
        style=style,
    )


def _cells(
    heads: Sequence[str], rows: Sequence[Sequence[str]]
) -> dict[str, Sequence[str] | Sequence[Sequence[str]]]:
    return {"heads": heads, "rows": rows}


def summary(found: PairedLogs) -> str:
    """The same for a model card, in Markdown."""
    lines = [f"**{_plain(words.sentence(found))}**", ""]
    lines += [*(f"- {_plain(line)}" for line in words.lists(found)), "", words.best(found), ""]
    lines += table(words.RUN_HEADS, _escaped([words.run_row(run) for run in found.runs]))
    lines += table(words.PAIR_HEADS, _escaped([words.pair_row(pair) for pair in found.pairs]), 2)
    lines += [f"- {_plain(line)}" for line in (*words.extractors(found), *found.notes)]
    return "\n".join(lines) + "\n"


def _escaped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[_plain(text) for text in row] for row in rows]


def _plain(text: str) -> str:
    """A text that Markdown shows as it stands; names come out of anybody's files."""
    escaped = "".join(f"\\{c}" if c in "\\`*_[]<>|" else c for c in text)
    return escaped.replace("\n", " ")
