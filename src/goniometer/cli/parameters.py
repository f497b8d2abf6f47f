"""Parameters that verbs of several files share."""

from typing import Annotated, Literal

import typer

Figures = Annotated[
    Literal["svg", "png"] | None,
    typer.Option(help="Write the charts as files too, into figures/."),
]
TaskOptions = Annotated[
    list[str] | None, typer.Option(help="An option of the task, KEY=VALUE; may be repeated.")
]
