"""Scores of runs on problems, alone and in pairs."""

from typing import Literal

from pydantic import model_validator

from goniometer.results.values import Frozen, Reading


class Interval(Frozen):
    """A 95 % interval, or the reason why there is none."""

    low: float | None = None
    high: float | None = None
    undefined: str | None = None
    over: str  # what was resampled: "problems", "clusters", "seeds, then problems"
    draws: int | None = None  # None where the distribution is known without drawing

    @model_validator(mode="after")
    def _both_ends_or_a_reason(self) -> "Interval":
        if {self.low is None, self.high is None} != {self.undefined is not None}:
            raise ValueError("an interval has both ends or a reason, and not both")
        return self


class Accuracy(Frozen):
    """Greedy accuracy of one run on the test problems, with a Wilson 95 % interval."""

    run: str
    n: int
    correct: int
    truncated: int
    ungraded: int
    accuracy: float
    low: float
    high: float
    changed: float | None  # share of completions that differ from the base's; None for the base
    # completions that the task's other extractor would decide otherwise; None where it has one only
    extractors_disagree: int | None = None


class Paired(Frozen):
    """Two runs on the same problems: the 2x2 counts and what they allow one to say.

    Where the problems come in clusters, every p-value, interval and margin is that of clusters:
    exact and mid p count the signs of whole clusters, Tango's interval and the equivalence test
    take the counts divided by `design_effect`. The counts here stay those of problems.
    """

    a: str
    b: str
    n: int
    both: int
    only_a: int
    only_b: int
    neither: int
    dropped: int  # problems that one of the two has ungraded
    difference: float  # accuracy of a minus accuracy of b
    low: float  # Tango 95 % interval of the difference
    high: float
    p_exact: float
    p_mid: float
    p_holm: float  # Holm over all pairs, of the exact p
    margin: float
    p_equivalence: float  # TOST by the Tango score statistic
    p_equivalence_holm: float
    smallest_margin: float  # above which this pair alone shows equivalence (unadjusted 5 %)
    # Above which it is so after Holm over all pairs, all at that margin: what the verdict takes.
    smallest_margin_holm: float | None = None
    bootstrap: Interval | None = None  # percentile interval of the difference
    clusters: int | None = None  # None where every problem stands alone
    design_effect: float | None = None  # variance over that of independent problems, 1 at least
    p_obuchowski: float | None = None  # clustered McNemar, not exact, for comparison
    verdict: Literal[
        "different", "different but within the margin", "equivalent within the margin", "undecided"
    ]


class SeedScores(Frozen):
    """Accuracy of one arm seed by seed, on the same problems."""

    arm: str
    runs: tuple[str, ...]
    accuracies: tuple[float, ...]
    mean: float
    sd: Reading  # between seeds, n - 1; undefined with one


class SeedDifference(Frozen):
    """Two arms seed by seed: what the paired test of their first runs does not hold."""

    a: str
    b: str
    n: int  # problems that all these runs have graded
    dropped: int
    differences: tuple[float, ...]  # accuracy of a minus that of b, in each seed
    mean: float
    interval: Interval  # hierarchical bootstrap, from five seeds up
