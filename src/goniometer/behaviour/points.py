"""Points of weight space by name: on segments between runs and from the base, and sums of pairs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

from goniometer.deltas import AbstractMatrix, Delta
from goniometer.errors import GoniometerError
from goniometer.results import BASE

BATCH_TOKENS = 4096  # rows x length of a batch

SUM, MEAN = (1.0, 1.0), (0.5, 0.5)

Point = tuple[tuple[str, float], ...]  # runs with their coefficients; () is the base


def point(coefficients: Mapping[str, float]) -> Point:
    """Write a point in the one way that it is known by: by name, and without zeros or the base."""
    return tuple(sorted((run, c) for run, c in coefficients.items() if c != 0 and run != BASE))


@final
@dataclass(frozen=True)
class Paths:
    """What is measured, and how.

    Attributes:
        positions: points of a segment, ends included; odd, so that the midpoint is one.
        sums: also the sum of each pair, which `composition` reads.
        batch_tokens: rows x length of a batch, but one row at least.
        draws: of the bootstrap over items.
        seed: of the draws.

    Raises:
        GoniometerError: on creation, an even number of positions, or fewer than three.
    """

    positions: int = 11
    sums: bool = True
    batch_tokens: int = BATCH_TOKENS
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a path whose midpoint is not on it."""
        if self.positions < 3 or self.positions % 2 == 0:
            raise GoniometerError(
                "no midpoint among the positions",
                found=self.positions,
                expected="an odd number from 3 up",
            )


USUAL = Paths()


def ends_of_segments(runs: Sequence[str]) -> list[tuple[str, str]]:
    """From the base to each run, then between all runs, in their order."""
    return [*((BASE, run) for run in runs), *combinations(runs, 2)]


def along(start: str, end: str, positions: int) -> list[Point]:
    """Points of a segment; a point has one name from whichever end it is reached."""
    most = positions - 1
    return [point({start: (most - k) / most, end: k / most}) for k in range(positions)]


def points_of(runs: Sequence[str], settings: Paths) -> list[Point]:
    """Distinct points of all segments, and the sum of each pair."""
    found: Iterable[Point] = (
        where for ends in ends_of_segments(runs) for where in along(*ends, settings.positions)
    )
    added = (point({a: 1.0, b: 1.0}) for a, b in combinations(runs, 2)) if settings.sums else ()
    return list(dict.fromkeys([*found, *added]))


def mixture(deltas: Mapping[str, Delta], where: Point) -> dict[str, AbstractMatrix]:
    """Form the one update of a point; low rank stays low rank."""
    found: dict[str, AbstractMatrix] = {}
    for run, coefficient in where:
        for name, matrix in deltas[run].items():
            scaled = matrix.scaled(coefficient)
            found[name] = found[name] + scaled if name in found else scaled
    return found
