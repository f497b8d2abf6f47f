"""MATH (arXiv 2103.03874) and its like: answers are expressions, compared by math-verify.

Rows hold `problem` (or `question`) and `answer`, or a `solution` with its answer in a LaTeX box.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from goniometer.tasks.answers import boxed, with_box
from goniometer.tasks.base import Grade, Problem
from goniometer.tasks.expressions import grade_expression, require_math_verify
from goniometer.tasks.rows import AbstractRowsTask, text_of


@final
@dataclass(frozen=True, kw_only=True)
class MATH(AbstractRowsTask):
    """MATH-style problems from files or data sets; see AbstractRowsTask.

    A row without an answer is refused. Whether math-verify can parse a key is known only when it
    is asked, milliseconds a key: a completion to a problem whose key does not parse is Ungraded,
    dropped and counted, and never correct.
    """

    name: ClassVar[str] = "math"
    expected: ClassVar[str] = r"a problem (or question) and its answer, or a solution with \boxed"

    def __post_init__(self) -> None:
        """Read all rows, where what grades them is installed."""
        require_math_verify()
        AbstractRowsTask.__post_init__(self)

    def problem_of(self, row: dict[str, Any]) -> Problem | None:
        """Make a problem; None where there is no answer."""
        question = text_of(row, "problem", "question", "Problem", "Question")
        solution = text_of(row, "solution", "Solution")
        answer = text_of(row, "answer", "Answer").strip() or boxed(solution)
        return Problem(question, answer, with_box(solution, answer)) if answer else None

    def grade(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Ask math-verify; a completion without an end is truncated."""
        return grade_expression(completion, problem.answer, truncated=truncated)

    def answer_of(self, completion: str) -> str | None:
        """Return the boxed expression as written."""
        return boxed(completion)
