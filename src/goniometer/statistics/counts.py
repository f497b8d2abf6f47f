"""Two runs on the same problems as a 2x2 table, and McNemar's test of their difference."""

import math
from dataclasses import dataclass
from typing import final

from goniometer.errors import GoniometerError


@final
@dataclass(frozen=True)
class Counts:
    """How many problems both runs have right, only one of them, or neither."""

    both: int
    only_a: int
    only_b: int
    neither: int

    def __post_init__(self) -> None:
        """Refuse counts that no set of problems gives."""
        if min(self.both, self.only_a, self.only_b, self.neither) < 0 or self.n == 0:
            raise GoniometerError("no table of counts", found=self, expected="n > 0, none below 0")

    @property
    def n(self) -> int:
        """Problems that both runs have graded."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of a minus accuracy of b."""
        return (self.only_a - self.only_b) / self.n

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the difference's variance: problems are many."""
        return math.inf


def is_correct(text: str, run: str, problem: str) -> bool | None:
    """Read a grade's text; None where it is ungraded.

    Raises:
        GoniometerError: the text is no grade.
    """
    kind, colon, _ = text.partition(":")
    if text == "correct":
        return True
    if colon and kind in ("wrong", "ungraded"):
        return False if kind == "wrong" else None
    raise GoniometerError(
        "not a grade",
        file=run,
        key=problem,
        found=repr(text),
        expected="correct, wrong:REASON or ungraded:REASON",
    )


def mcnemar_exact(counts: Counts) -> float:
    """Two-sided exact conditional McNemar p: Binomial(b + c, 1/2); 1 where b = c = 0."""
    from scipy.stats import binomtest

    discordant = counts.only_a + counts.only_b
    return float(binomtest(counts.only_a, discordant).pvalue) if discordant else 1.0


def mcnemar_mid_p(counts: Counts) -> float:
    """Two-sided mid-p McNemar (Fagerland et al., BMC Med Res Methodol 2013, 13:91).

    exact - f(min(b, c)) with f the Binomial(b + c, 1/2) mass; where b = c the exact p is cut
    at 1, and mid-p is 1 - f/2. We set it to 1 where b = c = 0: nothing was observed.
    """
    from scipy.stats import binom

    b, c = counts.only_a, counts.only_b
    if b == c == 0:
        return 1.0
    mass = float(binom.pmf(min(b, c), b + c, 0.5))
    return 1 - mass / 2 if b == c else mcnemar_exact(counts) - mass
