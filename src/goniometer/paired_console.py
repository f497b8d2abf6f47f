"""`goniometer paired` in the terminal: logs in, two tables and the answer out."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from goniometer.console import stdout
from goniometer.paired import compare_logs, read_named, words, write_paired
from goniometer.progress import bars
from goniometer.results.paired import PairedLogs, paired_json
from goniometer.store import check_replaceable

_STYLES = {
    "different": "red",
    "different but within the margin": "yellow",
    "equivalent within the margin": "green",
    "undecided": "dim",
}


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
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(paired_json(found), encoding="utf-8")
    page = None if out is None else write_paired(found, out)
    console = stdout()
    print_paired(found, console)
    if page is not None:
        console.print(f"page: {page}", soft_wrap=True, highlight=False, markup=False)


def print_paired(found: PairedLogs, console: Console) -> None:
    """Print the answer, a table of runs, one of pairs, and the notes."""
    console.print(Text(words.sentence(found), style="bold"), soft_wrap=True)
    if told := words.best(found):
        console.print(Text(told), soft_wrap=True)
    runs = Table(box=box.SIMPLE_HEAD)
    for i, head in enumerate(words.RUN_HEADS):
        runs.add_column(head, justify="right" if i else "left", no_wrap=True)
    for run in found.runs:
        runs.add_row(*map(Text, words.run_row(run)))
    console.print(runs)
    pairs = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, head in enumerate(words.PAIR_HEADS):
        pairs.add_column(head, justify="left" if i in (0, 1, 15) else "right", overflow="fold")
    for pair in found.pairs:
        *cells, verdict = words.pair_row(pair)
        pairs.add_row(*map(Text, cells), Text(verdict, style=_STYLES[verdict]))
    console.print(pairs)
    for line in (*words.extractors(found), *found.notes):
        console.print(Text(line), soft_wrap=True)
