"""Parameters that verbs of several files share."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from goniometer.report import FigureFormat


class Format(StrEnum):
    """Formats of figures; typer reads no list of literals."""

    SVG = "svg"
    PNG = "png"


Figures = Annotated[
    list[Format] | None,
    typer.Option(help="Write the charts as files too, into figures/; may be repeated."),
]
TaskOptions = Annotated[
    list[str] | None, typer.Option(help="An option of the task, KEY=VALUE; may be repeated.")
]


def formats(asked: Sequence[Format] | None) -> "list[FigureFormat]":
    """The formats that were asked for, each once."""
    both: "tuple[FigureFormat, ...]" = ("svg", "png")
    return [one for one in both if one in (asked or ())]
