"""Two runs on the same problems as a 2x2 table, and McNemar's test of their difference."""

from collections.abc import Mapping
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

    @classmethod
    def of_grades(
        cls, name_a: str, grades_a: Mapping[str, str], name_b: str, grades_b: Mapping[str, str]
    ) -> tuple["Counts", int]:
        """Join two runs' grades on the problem id.

        Args:
            name_a: what to call the first run in an error.
            grades_a: problem id -> `correct`, `wrong:REASON` or `ungraded:REASON`.
            name_b: what to call the second run in an error.
            grades_b: the same problems, graded for the second run.

        Returns:
            The counts, and how many problems were dropped as one of the two has them ungraded.

        Raises:
            GoniometerError: the runs have different problems, a text is no grade, or nothing
                is left to compare.
        """
        if grades_a.keys() != grades_b.keys():
            alone = len(grades_a.keys() ^ grades_b.keys())
            raise GoniometerError(
                f"{name_a} and {name_b} were not asked the same problems",
                found=f"{alone} problems that only one of them has",
                fix="evaluate both on the same problems",
            )
        table = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
        dropped = 0
        for problem, text in grades_a.items():
            a = is_correct(text, name_a, problem)
            b = is_correct(grades_b[problem], name_b, problem)
            if a is None or b is None:
                dropped += 1
            else:
                table[a, b] += 1
        if dropped == len(grades_a):
            raise GoniometerError(f"{name_a} and {name_b} have no problem that both have graded")
        return cls(*table.values()), dropped


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
