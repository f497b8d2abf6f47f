"""Scores of runs on problems, alone and in pairs."""

from typing import Literal

from goniometer.results.values import Frozen


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


class Paired(Frozen):
    """Two runs on the same problems: the 2x2 counts and what they allow one to say."""

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
    smallest_margin: float  # at which these counts would show equivalence (unadjusted 5 %)
    verdict: Literal[
        "different", "different but within the margin", "equivalent within the margin", "undecided"
    ]
