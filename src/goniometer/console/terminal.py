"""Where results are printed: stdout, and what a table and a number look like there."""

from collections.abc import Iterable, Sequence
from typing import final

from rich import box
from rich.console import Console
from rich.table import Table

from goniometer.results import Reading

# A table that goes to a file or a pipe is not folded to some terminal's width.
PIPED_WIDTH = 200
CLOSED_PIPE = 141  # what a shell says of SIGPIPE: 1 would be a gate


@final
class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Leave quietly, as other tools do, when nobody reads on."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise SystemExit(CLOSED_PIPE) from None


def stdout() -> Console:
    """Return the console for results: wide where there is no terminal to fit."""
    console = _Output()
    return console if console.is_terminal else _Output(width=PIPED_WIDTH)


def titled(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    """Make a titled table without rows: columns of text, then of numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in texts:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def number(reading: Reading, digits: int) -> str:
    """Say a reading with so many digits, or that it is undefined; no minus before a zero."""
    return "undefined" if reading.value is None else f"{reading.value:z.{digits}f}"


def print_undefined(readings: Iterable[tuple[str, Reading]], console: Console) -> None:
    """Print why readings of a table are undefined, each reason once, with all that it is of."""
    reasons: dict[str, list[str]] = {}
    for name, reading in readings:
        if reading.undefined is not None:
            reasons.setdefault(reading.undefined, []).append(name)
    for reason, names in reasons.items():
        line = f"undefined: {'; '.join(names)}: {reason}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)
