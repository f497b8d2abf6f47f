"""The tables of a report, as values: a caption, columns, rows of cells, and notes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import final

from goniometer.report import notation
from goniometer.results import Reading

MOST_ROWS = 250


@final
@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and the mark of a note."""

    text: str
    note: str = ""
    kind: str = ""  # a class of the style sheet


ABSENT = Cell(notation.NONE, kind="absent")  # nothing was measured


@final
@dataclass(frozen=True)
class Column:
    """A column's head; `numeric` columns align on the right."""

    head: str
    numeric: bool = True
    group: str = ""  # a head over this and its neighbours


@final
@dataclass
class Notes:
    """Reasons said once under a table and marked by a letter in its cells."""

    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """The letter of a reason, a new one for a new reason."""
        if text not in self.texts:
            self.texts.append(text)
        place = self.texts.index(text)
        return chr(ord("a") + place) if place < 26 else str(place)

    def cell(self, found: Reading | None, unit: notation.Unit = "") -> Cell:
        """A reading; an undefined one says so and is marked with its reason."""
        if found is None:
            return ABSENT
        if found.undefined is not None:
            return Cell("undefined", note=self.mark(found.undefined), kind="absent")
        return Cell(notation.reading(found, unit))


@final
@dataclass(frozen=True)
class Table:
    """One table; the first column heads its rows."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[tuple[str, str], ...] = ()
    left_out: int = 0
    foot: tuple[tuple[Cell, ...], ...] = ()  # stays below when the rows are sorted
    about: tuple[tuple[str, str], ...] = ()  # the pair of runs that each row is about, to choose it

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Heads over columns and how many columns each spans; none where no column has one."""
        found = [(name, len(list(part))) for name, part in groupby(c.group for c in self.columns)]
        return found if len(found) > 1 else []


def table(
    name: str,
    caption: str,
    columns: Iterable[Column],
    rows: Sequence[Sequence[Cell]],
    notes: Notes | None = None,
    foot: Sequence[Sequence[Cell]] = (),
    about: Sequence[tuple[str, str]] = (),
) -> Table:
    """Assemble a table of at most MOST_ROWS rows; the rest is counted."""
    marked = [(notes.mark(text), text) for text in notes.texts] if notes else []
    kept = tuple(tuple(row) for row in rows[:MOST_ROWS])
    below = tuple(map(tuple, foot))
    left_out = len(rows) - len(kept)
    pairs = tuple(about[:MOST_ROWS])
    return Table(name, caption, tuple(columns), kept, tuple(marked), left_out, below, pairs)


def number(value: float | None, decimals: int = 3) -> Cell:
    """A plain number; a dash where it was not measured."""
    if value is None:
        return ABSENT
    return Cell(notation.fixed(value, decimals))


def whole_number(value: int | None) -> Cell:
    """A count; a dash where there is nothing to count."""
    return ABSENT if value is None else Cell(str(value))


def share(value: float | None) -> Cell:
    """A share as a percentage; a dash where it was not measured."""
    if value is None:
        return ABSENT
    return Cell(notation.percent(value))
