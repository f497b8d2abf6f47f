"""AIME and its like: competition problems whose answer is an integer from 0 to 999.

Rows hold `problem` (or `question`), `answer` as a number or text, `073` too, and perhaps a
`solution`. The answer of a completion is its last LaTeX box, else its last "answer is N".
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, final

from goniometer.tasks.answers import boxed_number, graded_by_answer, graded_otherwise, with_box
from goniometer.tasks.base import Grade, Problem
from goniometer.tasks.numbers import number
from goniometer.tasks.rows import AbstractRowsTask, text_of


@final
@dataclass(frozen=True, kw_only=True)
class AIME(AbstractRowsTask):
    """AIME-style problems from files or data sets; see AbstractRowsTask.

    It has thirty problems a year and no training problems of its own: `file` or `source` may be
    those of another competition.
    """

    name: ClassVar[str] = "aime"
    expected: ClassVar[str] = "a problem (or question) and its answer, an integer from 0 to 999"

    def problem_of(self, row: dict[str, Any]) -> Problem | None:
        """Make a problem; None where the answer is no integer from 0 to 999."""
        question = text_of(row, "problem", "question", "Problem", "Question")
        answer = number(text_of(row, "answer", "Answer"))
        if answer is None or not re.fullmatch("[0-9]{1,3}", answer):
            return None
        return Problem(question, answer, with_box(text_of(row, "solution", "Solution"), answer))

    def grade(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Compare the boxed number; a completion without an end is truncated."""
        return graded_by_answer(problem, completion, truncated=truncated, extractor="boxed")

    def grade_otherwise(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Grade by the last number of the completion."""
        return graded_otherwise(problem, completion, truncated=truncated, extractor="boxed")

    def answer_of(self, completion: str) -> str | None:
        """Return the boxed number."""
        return boxed_number(completion)
