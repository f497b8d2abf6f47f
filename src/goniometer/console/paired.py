"""`goniometer paired` in the terminal: logs in, two tables and the answer out."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from goniometer.atomic import check_replaceable, write_file
from goniometer.console.terminal import stdout
from goniometer.paired import compare_logs, read_named, words, write_paired
from goniometer.progress import bars
from goniometer.results.paired import PairedLogs, paired_json

_STYLES = {
    "different": "red",
    "different but within the margin": "yellow",
    "equivalent within the margin": "green",
    "undecided": "dim",
}


_TESTS = (*words.PAIR_HEADS[:2], *words.PAIR_HEADS[9:])


def paired_logs(
    logs: Sequence[str],
    *,
    filter: str | None,
    metric: str | None,
    grade: str | None,
    margin: float,
    allow_partial: bool,
    json_file: Path | None,
    out: Path | None,
) -> None:
    """Read logs, compare them in pairs, write what was asked for and print the tables."""
    if out is not None:
        check_replaceable(out)
    with bars() as shown:
        sources = read_named(logs, filter=filter, metric=metric, grade=grade, shown=shown)
    found = compare_logs(sources, margin, allow_partial=allow_partial)
    if json_file is not None:
        write_file(json_file, paired_json(found))
    page = None if out is None else write_paired(found, out)
    console = stdout()
    print_paired(found, console)
    if page is not None:
        console.print(f"page: {page}", soft_wrap=True, highlight=False, markup=False)


def print_paired(found: PairedLogs, console: Console) -> None:
    """Print the answer, a table of runs, one of pairs, and the notes."""
    console.print(Text(words.sentence(found), style="bold"), soft_wrap=True)
    for line in (*words.lists(found), words.best(found)):
        if line:
            console.print(Text(line), soft_wrap=True)
    runs = Table(box=box.SIMPLE_HEAD)
    for i, head in enumerate(words.RUN_HEADS):
        runs.add_column(head, justify="right" if i else "left", no_wrap=True)
    for run in found.runs:
        runs.add_row(*map(Text, words.run_row(run)))
    console.print(runs)
    rows = [words.pair_row(pair) for pair in found.pairs]
    console.print(_table(words.PAIR_HEADS[:9], [row[:9] for row in rows]))
    console.print(_table(_TESTS, [(*row[:2], *row[9:]) for row in rows]))
    for line in (*words.extractors(found), *found.notes):
        console.print(Text(line), soft_wrap=True)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Two columns of names, then numbers, and the verdict where it is the last column."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, head in enumerate(heads):
        words_in_it = i < 2 or head == "verdict"
        table.add_column(head, justify="left" if words_in_it else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return table
