"""Differences in accuracy: of two runs, of a rescaled run and its target, and seed by seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from goniometer.report import notation
from goniometer.report.facts import grid
from goniometer.report.facts.index import Index
from goniometer.results import Accuracy, Matched, Paired


@final
@dataclass(frozen=True)
class Difference:
    """Accuracy of one run less that of another: with its interval where they were paired."""

    value: float
    n: int
    ends: tuple[float, float] | None = None
    verdict: str = ""

    @property
    def text(self) -> str:
        """In points, the interval behind it."""
        return notation.points(self.value) + (f" ({self.interval})" if self.ends else "")

    @property
    def interval(self) -> str:
        """The interval in points; a dash where there is none."""
        return notation.points_span(*self.ends) if self.ends else notation.NONE


def difference(index: Index, run: str, to: str) -> Difference | None:
    """Of two runs as trained; None where one has no score."""
    study = index.results.study
    tests = study.paired if study else ()
    pair = next((p for p in tests if {p.a, p.b} == {run, to}), None)
    if pair is not None:
        return _turned(pair, to)
    return _plain(index.scores.get(run), index.scores.get(to))


def rescaled(index: Index, one: Matched) -> Difference | None:
    """Of a rescaled run and what it is matched to; None where it was not evaluated."""
    if one.paired is not None:
        return _turned(one.paired, one.to)
    return _plain(one.accuracy, index.scores.get(one.to))


def _turned(pair: Paired, second: str) -> Difference:
    """The pair's difference, so that `second` is what is taken off."""
    if pair.b == second:
        return Difference(pair.difference, pair.n, (pair.low, pair.high), pair.verdict)
    return Difference(-pair.difference, pair.n, (-pair.high, -pair.low), pair.verdict)


def _plain(own: Accuracy | None, other: Accuracy | None) -> Difference | None:
    if own is None or other is None:
        return None
    return Difference(own.accuracy - other.accuracy, min(own.n, other.n))


def by_seed(index: Index, a: str, b: str) -> list[float]:
    """Accuracy of `a` less that of `b`, seed by seed, the first seed first.

    What is no cell of the study, its base, has no seed and stands against each.
    """
    of_a, of_b = _scores(index, a), _scores(index, b)
    seeds = sorted(seed for seed in {**of_a, **of_b} if seed is not None)
    found = [(_at(of_a, seed), _at(of_b, seed)) for seed in seeds]
    return [x - y for x, y in found if x is not None and y is not None]


def _scores(index: Index, name: str) -> dict[int | None, float]:
    if name not in index.cell_of:
        return {None: index.scores[name].accuracy} if name in index.scores else {}
    cells = grid.family(index, name, "seed")
    return {c.seed: index.scores[c.name].accuracy for c in cells if c.name in index.scores}


def _at(scores: Mapping[int | None, float], seed: int) -> float | None:
    return scores.get(seed, scores.get(None))
