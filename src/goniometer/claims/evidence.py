"""What a claim may ask of a study's results, and how its answers become a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, final

from goniometer.results import (
    Cell,
    Floor,
    NullKind,
    Paired,
    PairReadings,
    Reading,
    Results,
    StudyResults,
)

Verdict = Literal["holds", "does not hold", "not measured"]

# A difference of two cosines, shares or vector agreements below this is not read as one.
TOLERANCE = 0.02
# Nor is a ratio of norms or ranks within 10 %.
FACTOR = 1.1
WITHOUT_DPO = ("sft", "rft", "rift", "dft", "offline_grpo")
# What the paper means by an objective, where the objective has options that change its meaning.
PAPER_OPTIONS: dict[str, dict[str, object]] = {
    "sft": {"rows": "all"},
    "rft": {"deduplicate": "none"},
    "offline_grpo": {"variant": "paper"},
    "dpo": {"length_normalised": False},
}


class NotMeasuredError(Exception):
    """Raised inside a claim where the results lack what it needs; its text is the reason."""


@final
@dataclass(frozen=True)
class Finding:
    """What came out of one claim: the verdict and the numbers, or the reason, in words."""

    verdict: Verdict
    found: str


def settle(*parts: bool | None) -> Verdict:
    """Join the parts of a claim: False refutes it, None leaves it open, all True make it hold."""
    if False in parts:
        return "does not hold"
    return "not measured" if None in parts else "holds"


def exceeds(a: float, b: float, tolerance: float) -> bool | None:
    """Say whether a > b: None where they are within the tolerance of each other."""
    return None if abs(a - b) <= tolerance else a > b


@final
@dataclass(frozen=True)
class Evidence:
    """A study's results, asked by objective instead of by the names that a user chose."""

    results: Results

    @property
    def study(self) -> StudyResults:
        """What the study has beyond geometry."""
        if self.results.study is None:
            raise NotMeasuredError("no study: a comparison alone does not know its objectives")
        return self.results.study

    def arms(self, objective: str) -> tuple[Cell, ...]:
        """Trained arms of an objective as the paper defines it, of one regime, in order."""
        paper = PAPER_OPTIONS.get(objective, {})
        arms = [c for c in self.study.cells if c.role == "arm"]
        regime = next((c.regime for c in arms if c.objective == "sft"), "lora")
        cells = [c for c in arms if c.objective == objective and c.regime == regime]
        cells = [c for c in cells if all(c.options.get(k, v) == v for k, v in paper.items())]
        trained = tuple(c for c in cells if c.state == "trained")
        if not trained:
            states = ", ".join(f"{c.name} {c.state}" for c in cells) or "the study has none"
            raise NotMeasuredError(f"no trained arm of {objective} ({states})")
        return trained

    def arm(self, objective: str) -> Cell:
        """The first arm of an objective at SFT's learning rate, so that only the loss differs."""
        rate = self.arms("sft")[0].learning_rate
        for cell in self.arms(objective):
            if math.isclose(cell.learning_rate, rate):
                return cell
        raise NotMeasuredError(f"no arm of {objective} at the learning rate of sft, {rate:g}")

    def pair(self, a: str, b: str) -> PairReadings:
        """Readings of two runs, either way round."""
        for pair in self.results.comparison.pairs:
            if {pair.a, pair.b} == {a, b}:
                return pair
        raise NotMeasuredError(f"{a} and {b} were not compared")

    def read(self, a: str, b: str, measure: str, scope: str = "union") -> float:
        """One symmetric measure of two runs."""
        pair = self.pair(a, b)
        if scope not in pair.scopes or measure not in pair.scopes[scope].readings:
            raise NotMeasuredError(f"no {measure} of {a} and {b} over {scope}")
        return _value(pair.scopes[scope].readings[measure], f"{measure} of {a} and {b}")

    def size(self, run: str, measure: str) -> float:
        """One measure of one run over all of its modules."""
        for readings in self.results.comparison.runs:
            if readings.name == run:
                return _value(readings.scopes["all"][measure], f"{measure} of {run}")
        raise NotMeasuredError(f"{run} was not read")

    def null_high(self, a: str, b: str, measure: str, kind: NullKind) -> float:
        """Upper point of a null of one measure of two runs."""
        group = self.pair(a, b).null_group
        table = self.results.comparison.nulls.get(group or "", {})
        try:
            return table["union"][measure][kind].high
        except KeyError:
            raise NotMeasuredError(f"no {kind} null of {measure} for {a} and {b}") from None

    def floor(self, kind: Literal["same init, other order", "other init, same order"]) -> Floor:
        """The first arm's seed floor of one kind, with one cosine at least."""
        for floor in self.results.comparison.floors:
            if floor.kind == kind and floor.cosines:
                return floor
        raise NotMeasuredError(f"no seed floor ({kind}): without it no cosine says anything")

    def order_low(self) -> float:
        """Lower bound of the cosine of two runs that differ in the data order only."""
        low = self.floor("same init, other order").low
        if low is None:
            raise NotMeasuredError("fewer than 3 replicates of one init: no seed floor")
        return low

    def cosine_tolerance(self) -> float:
        """How far a cosine may drop by the data order alone: the floor's mean less its bound."""
        cosines = self.floor("same init, other order").cosines
        return max(TOLERANCE, sum(cosines) / len(cosines) - self.order_low())

    def size_factor(self, measure: str) -> float:
        """How far a size may differ by the data order alone, as a ratio."""
        sizes = [self.size(run, measure) for run in self.floor("same init, other order").runs]
        return max(FACTOR, max(sizes) / min(sizes))

    def paired(self, a: str, b: str) -> tuple[Paired, float]:
        """The paired scores of two runs, and accuracy of a minus accuracy of b."""
        for row in self.study.paired:
            if {row.a, row.b} == {a, b}:
                return row, row.difference if row.a == a else -row.difference
        raise NotMeasuredError(f"{a} and {b} have no paired scores")

    def beside(self, a: str, b: str) -> str:
        """What must stand beside every cosine: the floors and the nulls of this pair, in words."""
        parts = []
        for floor in self.results.comparison.floors:
            low = "" if floor.low is None else f", bound {number(floor.low)}"
            parts.append(f"{floor.arm}, {floor.kind} {span(floor.cosines)}{low}")
        table = self.results.comparison.nulls.get(self.pair(a, b).null_group or "", {})
        for kind, band in table.get("union", {}).get("cosine", {}).items():
            parts.append(f"{kind} null to {number(band.high)}")
        return "; ".join(parts)


def _value(reading: Reading, what: str) -> float:
    if reading.value is None:
        raise NotMeasuredError(f"{what} is undefined: {reading.undefined}")
    return reading.value


def each_pair(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """Names of all pairs of cells."""
    return [(a.name, b.name) for a, b in combinations(cells, 2)]


def number(value: float) -> str:
    """Three decimals, as the paper prints them."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3g}"


def span(values: Sequence[float]) -> str:
    """One number, or the smallest and the largest."""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"
