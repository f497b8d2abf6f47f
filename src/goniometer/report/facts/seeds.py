"""What seeds do: cosines of two arms within one seed and across seeds, and of one arm's own."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import final

from goniometer.report.facts import grid
from goniometer.report.facts.index import Index, cosine
from goniometer.results import Cell, CrossSeed


@final
@dataclass(frozen=True)
class Crossed:
    """Two arms: their cosines within one seed, and what is known of them across seeds."""

    found: CrossSeed
    within: tuple[float, ...]

    @property
    def repeats(self) -> tuple[float, ...]:
        """Cosines between seeds of either arm: what a seed alone leaves."""
        return (*self.found.repeats_a, *self.found.repeats_b)


def crossed(index: Index) -> list[Crossed]:
    """Pairs of arms across seeds, the most alike first, those without a correction last."""
    study = index.results.study
    rows = [Crossed(one, _within(index, one)) for one in (study.cross_seed if study else ())]

    def place(row: Crossed) -> float:
        value = row.found.corrected.value
        return float("inf") if value is None else -value

    return sorted(rows, key=place)


def _within(index: Index, one: CrossSeed) -> tuple[float, ...]:
    twins = [
        (cell, grid.beside(index, cell, one.b, "seed"))
        for cell in grid.family(index, one.a, "seed")
    ]
    return _cosines(index, [(cell, twin) for cell, twin in twins if twin is not None])


def between_seeds(index: Index, arm: str) -> tuple[float, ...]:
    """Cosines between the seeds of one arm."""
    cells = grid.family(index, arm, "seed")
    return _cosines(index, combinations(cells, 2))


def _cosines(index: Index, cells: Iterable[tuple[Cell, Cell]]) -> tuple[float, ...]:
    pairs = [index.pair(a.name, b.name) for a, b in cells]
    return tuple(value for pair in pairs if pair and (value := cosine(pair)) is not None)
