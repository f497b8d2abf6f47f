"""Verbs of a folder that is written: `claims`, `report`, `view`; `schema` says what is in it."""

from pathlib import Path
from typing import Annotated

import typer

from goniometer.cli.parameters import Figures, formats

Written = Annotated[Path, typer.Argument(help="What compare or study wrote.")]


def claims(
    folder: Annotated[Path, typer.Argument(help="What study wrote.")],
    number: Annotated[
        int | None, typer.Option("--claim", min=1, max=12, help="Only this row of the table.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the claims into this file.")
    ] = None,
) -> None:
    """Try the claims of arXiv 2606.23740 on a study: holds, does not hold, undecided, not measured.

    Each verdict stands with its parts: estimate, interval, null and seed floor. They are judged
    anew by this version, whatever results.json says. A claim that does not hold is no failure.

    [bold]Examples[/bold]

    goniometer claims runs/arithmetic

    goniometer claims runs/arithmetic --claim 10 --json claims.json
    """
    from goniometer.console.claims import tried

    tried(folder, json_file=json_file, number=number)


def report(
    folder: Written,
    figures: Figures = None,
) -> None:
    """Build the report again from results.json, and modules.parquet beside it, alone.

    [bold]Example[/bold]

    goniometer report runs/arithmetic
    """
    from goniometer.report import build
    from goniometer.results import read_results, results_folder

    home = results_folder(folder)
    typer.echo(build(read_results(home / "results.json"), home, figures=formats(figures)))


def view(
    folder: Written,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve at; 0 takes a free one.")
    ] = 0,
    browse: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in the browser of this machine.")
    ] = True,
) -> None:
    """Serve a report to this machine alone, and open it; the page itself needs no server.

    [bold]Examples[/bold]

    goniometer view runs/arithmetic

    goniometer view goniometer-report --port 8000 --no-open   [dim]# on a cluster, by a tunnel[/dim]
    """
    from goniometer.view import serve

    serve(folder, port=port, browse=browse, tell=typer.echo)


def schema() -> None:
    """Print the JSON Schema of results.json, which names its version.

    [bold]Example[/bold]

    goniometer schema > results.schema.json
    """
    from importlib.resources import files

    shipped = files("goniometer").joinpath("results.schema.json")
    typer.echo(shipped.read_text(encoding="utf-8"), nl=False)
