"""What a claim may ask of a study's results."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import fmean
from typing import Literal, final

from goniometer.claims.parts import MINIMUM_SEEDS, NotMeasuredError, number, span
from goniometer.results import (
    Behaviour,
    Cell,
    Floor,
    NullKind,
    Paired,
    PairReadings,
    Reading,
    Results,
    StudyResults,
)
from goniometer.statistics.cross_seed import cross_seed

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

    @property
    def behaviour(self) -> Behaviour:
        """What the updates do in the model."""
        if self.results.behaviour is None:
            raise NotMeasuredError(
                "nothing that needs the model was measured (paths, similarity of activations): "
                "run `goniometer study` on this study again"
            )
        return self.results.behaviour

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

    def by_seed(self, arm: Cell) -> dict[int, str]:
        """Trained runs of an arm by seed of the grid, the arm itself first."""
        repeats = {
            cell.seed: cell.name
            for cell in self.study.cells
            if cell.role == "grid" and cell.arm == arm.name and cell.seed > 0
            if cell.state == "trained" and cell.wrong_share is None
            if math.isclose(cell.learning_rate, arm.learning_rate)
        }
        return {arm.seed: arm.name} | repeats

    def seeds(self, *arms: Cell) -> tuple[int, ...]:
        """Seeds that all these arms have; empty where they are too few for an interval."""
        common = set.intersection(*({*self.by_seed(arm)} for arm in arms))
        return tuple(sorted(common)) if len(common) >= MINIMUM_SEEDS else ()

    @cached_property
    def _pairs(self) -> dict[frozenset[str], PairReadings]:
        return {frozenset((pair.a, pair.b)): pair for pair in self.results.comparison.pairs}

    @cached_property
    def _cosines(self) -> dict[tuple[str, str], float | None]:
        pairs = self.results.comparison.pairs
        readings = {(p.a, p.b): p.scopes["union"].readings for p in pairs if "union" in p.scopes}
        return {key: found["cosine"].value for key, found in readings.items() if "cosine" in found}

    def pair(self, a: str, b: str) -> PairReadings:
        """Readings of two runs, either way round."""
        try:
            return self._pairs[frozenset((a, b))]
        except KeyError:
            raise NotMeasuredError(f"{a} and {b} were not compared") from None

    def read(self, a: str, b: str, measure: str, scope: str = "union") -> float:
        """One symmetric measure of two runs."""
        pair = self.pair(a, b)
        if scope not in pair.scopes or measure not in pair.scopes[scope].readings:
            raise NotMeasuredError(f"no {measure} of {a} and {b} over {scope}")
        return _value(pair.scopes[scope].readings[measure], f"{measure} of {a} and {b}")

    def at_one_seed(self, a: Cell, b: Cell, measure: str, seeds: Sequence[int]) -> float:
        """Mean of a measure of two arms, both at one seed."""
        mine, theirs = self.by_seed(a), self.by_seed(b)
        return fmean(self.read(mine[s], theirs[s], measure) for s in seeds)

    def repeats(self, arm: Cell, measure: str, seeds: Sequence[int]) -> list[float]:
        """A measure of each pair of an arm's runs at two seeds."""
        runs = self.by_seed(arm)
        return [self.read(runs[s], runs[t], measure) for s, t in combinations(seeds, 2)]

    def corrected(self, a: Cell, b: Cell, seeds: Sequence[int]) -> float:
        """Cosine of two arms across these seeds, corrected for what a seed alone takes from it."""
        mine, theirs = ([self.by_seed(arm)[s] for s in seeds] for arm in (a, b))
        found = cross_seed(a.name, b.name, mine, theirs, self._cosines).corrected
        return _value(found, f"corrected cosine of {a.name} and {b.name}")

    def corrected_null(self, a: Cell, b: Cell, seeds: Sequence[int]) -> float | None:
        """The independent null of one cosine, corrected alike: not below that of their mean."""
        own = [fmean(self.repeats(arm, "cosine", seeds)) for arm in (a, b)]
        if min(own) <= 0:
            return None
        try:
            return self.null_high(a.name, b.name, "cosine", "independent") / math.sqrt(
                math.prod(own)
            )
        except NotMeasuredError:
            return None

    def size(self, run: str, measure: str) -> float:
        """One measure of one run over all of its modules."""
        for readings in self.results.comparison.runs:
            if readings.name == run:
                return _value(readings.scopes["all"][measure], f"{measure} of {run}")
        raise NotMeasuredError(f"{run} was not read")

    def log_ratio(self, a: str, b: str, measure: str) -> float:
        """Logarithm of the ratio of two runs' sizes."""
        sizes = self.size(a, measure), self.size(b, measure)
        if min(sizes) <= 0:
            raise NotMeasuredError(f"a {measure} of 0 among {a} and {b}")
        return math.log(sizes[0] / sizes[1])

    def null(self, a: str, b: str, measure: str, kind: NullKind) -> tuple[float, float]:
        """Outer points of a null of one measure of two runs."""
        group = self.pair(a, b).null_group
        table = self.results.comparison.nulls.get(group or "", {})
        try:
            band = table["union"][measure][kind]
        except KeyError:
            raise NotMeasuredError(f"no {kind} null of {measure} for {a} and {b}") from None
        return band.low, band.high

    def null_high(self, a: str, b: str, measure: str, kind: NullKind) -> float:
        """Upper point of a null of one measure of two runs."""
        return self.null(a, b, measure, kind)[1]

    def floor(self, kind: Literal["same init, other order", "other init, same order"]) -> Floor:
        """The first arm's seed floor of one kind, with one cosine at least."""
        for floor in self.results.comparison.floors:
            if floor.kind == kind and floor.cosines:
                return floor
        raise NotMeasuredError(f"no seed floor ({kind}): without it no cosine says anything")

    def order_pairs(self) -> list[tuple[str, str]]:
        """Pairs of runs of one arm that differ in the data order alone, of three runs at least."""
        floor = self.floor("same init, other order")
        if floor.low is None:
            raise NotMeasuredError("fewer than 3 replicates of one init: no seed floor")
        return list(combinations(floor.runs, 2))

    def order_low(self, *arms: Cell) -> float:
        """Lower bound of the cosine of two runs that differ in the data order only.

        Of these arms' floors where there are any, the lowest; else of the first floor.
        """
        floors = [f for f in self.results.comparison.floors if f.kind == "same init, other order"]
        own = [f.low for f in floors if f.arm in {a.arm for a in arms} and f.low is not None]
        low = min(own, default=self.floor("same init, other order").low)
        if low is None:
            raise NotMeasuredError("fewer than 3 replicates of one init: no seed floor")
        return low

    def cosine_drop(self) -> float:
        """How far a cosine may drop by the data order alone: the floor's mean less its bound."""
        return fmean(self.floor("same init, other order").cosines) - self.order_low()

    def size_factor(self, measure: str) -> float:
        """How far apart a size comes out by the data order alone, as a ratio."""
        runs = {run for pair in self.order_pairs() for run in pair}
        sizes = [self.size(run, measure) for run in runs]
        if min(sizes) <= 0:
            raise NotMeasuredError(f"a {measure} of 0 among the replicates")
        return max(sizes) / min(sizes)

    def paired(self, a: str, b: str) -> tuple[Paired, int]:
        """The paired scores of two runs, and 1 where they are of a less b, -1 of b less a."""
        for row in self.study.paired:
            if {row.a, row.b} == {a, b}:
                return row, 1 if row.a == a else -1
        raise NotMeasuredError(f"{a} and {b} have no paired scores")

    def accuracy(self, run: str) -> float:
        """Greedy accuracy of one run."""
        for row in self.study.accuracies:
            if row.run == run:
                return row.accuracy
        raise NotMeasuredError(f"{run} has no accuracy")

    def beside(self, a: str, b: str) -> str:
        """What must stand beside every cosine: the floors and the nulls of this pair, in words."""
        parts = []
        for floor in self.results.comparison.floors:
            low = "" if floor.low is None else f", bound {number(floor.low)}"
            parts.append(f"{floor.arm}, {floor.kind} {span(floor.cosines)}{low}")
        table = self.results.comparison.nulls.get(self.pair(a, b).null_group or "", {})
        for kind, band in table.get("union", {}).get("cosine", {}).items():
            parts.append(f"{kind} null to {number(band.high)}")
        return "; ".join(parts) or "no seed floor and no null"


def _value(reading: Reading, what: str) -> float:
    if reading.value is None:
        raise NotMeasuredError(f"{what} is undefined: {reading.undefined}")
    return reading.value
