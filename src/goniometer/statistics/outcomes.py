"""Runs on the same problems as one array: joined on the problem id, parsed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Int8

from goniometer.errors import GoniometerError
from goniometer.statistics.counts import Counts, is_correct

UNGRADED = -1


@final
@dataclass(frozen=True, eq=False)
class Outcomes:
    """What each run made of each problem: 1 right, 0 wrong, -1 ungraded."""

    runs: tuple[str, ...]
    problems: tuple[str, ...]
    marks: Int8[np.ndarray, "runs problems"]

    @classmethod
    def of_grades(cls, runs: Mapping[str, Mapping[str, str]]) -> "Outcomes":
        """Join runs on the problem id; the order of problems is the first run's.

        Args:
            runs: run -> problem id -> `correct`, `wrong:REASON` or `ungraded:REASON`.

        Raises:
            GoniometerError: two runs have different problems, or a text is no grade.
        """
        names = tuple(runs)
        problems = tuple(runs[names[0]]) if names else ()
        for name in names[1:]:
            _require_same(names[0], runs[names[0]], name, runs[name])
        marks = [
            [_mark(runs[name][problem], name, problem) for problem in problems] for name in names
        ]
        shape = (len(names), len(problems))
        return cls(names, problems, np.array(marks, np.int8).reshape(shape))

    def of(self, run: str) -> Int8[np.ndarray, " problems"]:
        """One run's marks."""
        return np.asarray(self.marks[self.runs.index(run)])

    def counts(self, a: str, b: str) -> tuple[Counts, int]:
        """The 2x2 table of two runs, and how many problems one of the two has ungraded.

        Raises:
            GoniometerError: no problem is graded in both.
        """
        one, other = self.of(a), self.of(b)
        graded = self.graded(a, b)
        if not graded.any():
            raise GoniometerError(f"{a} and {b} have no problem that both have graded")
        cells = np.bincount((2 * one + other)[graded], minlength=4).tolist()
        neither, only_b, only_a, both = cells
        return Counts(both, only_a, only_b, neither), int((~graded).sum())

    def graded(self, *runs: str) -> np.ndarray:
        """Which problems all of these runs have graded, as a mask."""
        rows = [self.runs.index(run) for run in runs]
        return np.asarray((self.marks[rows] != UNGRADED).all(0))


def _mark(text: str, run: str, problem: str) -> int:
    found = is_correct(text, run, problem)
    return UNGRADED if found is None else int(found)


def _require_same(
    name_a: str, grades_a: Mapping[str, str], name_b: str, grades_b: Mapping[str, str]
) -> None:
    if grades_a.keys() != grades_b.keys():
        alone = len(grades_a.keys() ^ grades_b.keys())
        raise GoniometerError(
            f"{name_a} and {name_b} were not asked the same problems",
            found=f"{alone} problems that only one of them has",
            fix="evaluate both on the same problems",
        )
