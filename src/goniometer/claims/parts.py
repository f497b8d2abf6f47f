"""The parts of a claim: one number each, with interval, null and seed floor, decided alone.

A claim holds where every part is shown, so that its parts need no adjustment among each other; it
is refuted by any one, so that a part is refuted only by its interval widened for their number: a
claim that holds is refuted 5 times in 100 at most (Bonferroni). No part is decided without a seed
floor.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal, final

from goniometer.results import ClaimPart, Reading
from goniometer.statistics.tango import quantile

Verdict = Literal["holds", "does not hold", "undecided", "not measured"]

LEVEL = 0.05  # of refuting a claim that holds
ONE_RUN = "none: one run of each"
SEEDS = "seeds (jackknife)"
MINIMUM_SEEDS = 3  # fewer leave one seed when one is left out


class NotMeasuredError(Exception):
    """Raised inside a claim where the results lack what it needs; its text is the reason."""


@final
@dataclass(frozen=True)
class Finding:
    """What came out of one claim: its parts, and their numbers in words."""

    parts: tuple[ClaimPart, ...]
    found: str

    @property
    def verdict(self) -> Verdict:
        """What the parts give together."""
        return settle(self.parts)


def settle(parts: Sequence[ClaimPart]) -> Verdict:
    """Join the parts of a claim: one refutes it, all together make it hold, else it is undecided.

    Undecided are numbers that were read; a claim of which no part has an estimate is not measured.
    """
    states = [part.holds for part in parts]
    if False in states:
        return "does not hold"
    if states and all(states):
        return "holds"
    read = any(part.estimate.value is not None for part in parts)
    return "undecided" if read else "not measured"


def exceeds(a: float, b: float, tolerance: float) -> bool | None:
    """Say whether a > b: None where they are within the tolerance of each other."""
    return None if abs(a - b) <= tolerance else a > b


@final
@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, where there is one.

    `over` says what the interval is over; `freedom` are the degrees of freedom of its Student's t,
    infinite for one that is not of this kind.
    """

    value: float
    low: float | None = None
    high: float | None = None
    over: str = ONE_RUN
    n: int | None = None
    freedom: float = math.inf

    def above(self, threshold: float, parts: int = 1) -> bool | None:
        """Whether it is surely above (True) or, among so many parts, surely below (False)."""
        if self.low is None or self.high is None:
            return None
        if self.low > threshold:
            return True
        return (
            False if self.value + self._wide(parts) * (self.high - self.value) < threshold else None
        )

    def below(self, threshold: float, parts: int = 1) -> bool | None:
        """The same the other way round."""
        return self.scaled(-1).above(-threshold, parts)

    def within(self, bound: float, parts: int = 1) -> bool | None:
        """Whether its size is surely below `bound` (True) or, among so many, above (False)."""
        sides = self.above(-bound, parts), self.below(bound, parts)
        return False if False in sides else None if None in sides else True

    def scaled(self, by: float) -> "Estimate":
        """Multiply it and its interval."""
        ends = [None if end is None else by * end for end in (self.low, self.high)]
        low, high = ends if by > 0 else ends[::-1]
        return replace(self, value=by * self.value, low=low, high=high)

    def clipped(self) -> "Estimate":
        """With the ends of its interval within 0 and 1, where the measure is; to be shown."""
        ends = (None if end is None else min(max(end, 0.0), 1.0) for end in (self.low, self.high))
        low, high = ends
        return replace(self, low=low, high=high)

    def exp(self) -> "Estimate":
        """The ratio of which this is the logarithm."""
        low, high = (None if end is None else math.exp(end) for end in (self.low, self.high))
        return replace(self, value=math.exp(self.value), low=low, high=high)

    def _wide(self, parts: int) -> float:
        level = min(0.025, LEVEL / parts)
        one, many = quantile([0.975, 1 - level], [self.freedom, self.freedom])
        return float(many / one)


def over_seeds(seeds: Sequence[int], statistic: Callable[[Sequence[int]], float]) -> Estimate:
    """A statistic of seeds with its jackknife interval: each seed is left out once.

    Estimate -+ t(.975, n - 1) sqrt((n - 1)/n sum (e_s - mean e)^2) (Tukey 1958; Efron and Stein,
    Ann Stat 9, 1981); of a mean it is Student's interval.

    Raises:
        NotMeasuredError: by the statistic, of all seeds; without one of them it costs the interval.
    """
    value, n = statistic(seeds), len(seeds)
    if n < MINIMUM_SEEDS:
        return Estimate(value, over=f"none: {n} seeds", n=n)
    try:
        left_out = [statistic([s for s in seeds if s != out]) for out in seeds]
    except NotMeasuredError as reason:
        return Estimate(value, over=f"none: {reason}", n=n)
    middle = fmean(left_out)
    spread = math.sqrt((n - 1) / n * sum((e - middle) ** 2 for e in left_out))
    half = float(quantile(0.975, n - 1)) * spread
    return Estimate(value, value - half, value + half, SEEDS, n, n - 1)


def part(
    what: str,
    found: Estimate,
    holds: bool | None,
    *,
    null: float | None = None,
    floor: float | None = None,
) -> ClaimPart:
    """Put one part together; without a floor it is not decided."""
    return ClaimPart(
        what=what,
        estimate=Reading(value=found.value),
        low=found.low,
        high=found.high,
        interval=found.over,
        n=found.n,
        null=null,
        floor=floor,
        holds=None if floor is None else holds,
    )


def attempt(what: str, make: Callable[[], ClaimPart]) -> ClaimPart:
    """Make a part, or say why it is not measured."""
    try:
        return make()
    except NotMeasuredError as reason:
        return ClaimPart(what=what, estimate=Reading(undefined=str(reason)))


def optional(read: Callable[[], float]) -> float | None:
    """A number that stands beside another one, where it was measured."""
    try:
        return read()
    except NotMeasuredError:
        return None


def number(value: float) -> str:
    """Three decimals, as the paper prints them."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3g}"


def span(values: Sequence[float]) -> str:
    """One number, or the smallest and the largest."""
    if not values:
        return "not measured"
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def spanned(parts: Sequence[ClaimPart]) -> str:
    """Estimates of several parts, as a span."""
    return span([p.estimate.value for p in parts if p.estimate.value is not None])


def count(parts: Sequence[ClaimPart]) -> str:
    """How many parts are shown, refuted and open."""
    states = [p.holds for p in parts]
    told = f"shown {states.count(True)}, refuted {states.count(False)}, open {states.count(None)}"
    return f"parts: {told}"
