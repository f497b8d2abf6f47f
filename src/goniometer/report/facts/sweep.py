"""What is read at each setting of a sweep, and set against the arm and against the first arm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from goniometer.report.facts import grid
from goniometer.report.facts.grid import Factor
from goniometer.report.facts.index import Index, cosine
from goniometer.results import Cell, PairReadings


@final
@dataclass(frozen=True)
class Point:
    """A value of one run; `ends` of its interval, and a word to stand beside it."""

    value: float
    ends: tuple[float, float] | None = None
    word: str = ""


@final
@dataclass(frozen=True)
class Measure:
    """What a chart of a sweep shows: its heading, its value, and how far its axis goes."""

    heading: str
    of: Callable[[Cell, str], Point | None]  # of a run, in the family of an arm
    limits: tuple[float | None, float | None]
    logarithmic: bool = False  # where its values differ tenfold


def to_own(index: Index, cell: Cell, arm: str) -> PairReadings | None:
    """The pair of a run with the arm of its family; None for the arm itself."""
    return index.pair(cell.name, arm) if cell.name != arm else None


def to_first(index: Index, cell: Cell, of: Factor) -> PairReadings | None:
    """The pair of a run with the study's first arm at the same setting; None for that arm."""
    other = grid.beside(index, cell, index.arms[0], of)
    return index.pair(cell.name, other.name) if other and other != cell else None


def measures(index: Index, of: Factor) -> list[Measure]:
    """What is drawn against a factor."""

    def own(cell: Cell, arm: str) -> Point | None:
        return Point(1.0) if cell.name == arm else _point(to_own(index, cell, arm))

    def norm(cell: Cell, _: str) -> Point | None:
        value = index.norm(cell.name)
        return Point(value) if value else None  # a logarithmic axis has no 0

    def kl(cell: Cell, _: str) -> Point | None:
        value = cell.kl.value
        return Point(value) if value is not None and value > 0 else None

    def score(cell: Cell, _: str) -> Point | None:
        found = index.scores.get(cell.name)
        ends = (100 * found.low, 100 * found.high) if found else None
        return Point(100 * found.accuracy, ends) if found else None

    first = f"cosine to {index.arms[0]}"
    return [
        Measure("cosine to own setting", own, (0.0, 1.0)),
        Measure(first, lambda cell, _: _point(to_first(index, cell, of)), (0.0, 1.0)),
        Measure("norm", norm, (0.0, None), logarithmic=True),
        Measure("KL, nats a completion", kl, (0.0, None), logarithmic=True),
        Measure("accuracy, %", score, (None, None)),
    ]


def _point(pair: PairReadings | None) -> Point | None:
    value = cosine(pair) if pair else None
    if pair is None or value is None:
        return None
    return Point(value, word="identical" if pair.state == "identical" else "")
