"""Anybody's questions and answers from JSON lines, Parquet or a data set, by a chosen grader."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from goniometer.tasks.answers import (
    EXTRACTORS,
    boxed,
    graded_by_answer,
    graded_otherwise,
    key_of_number,
    with_box,
)
from goniometer.tasks.base import Grade, Problem
from goniometer.tasks.expressions import grade_expression, require_math_verify
from goniometer.tasks.rows import AbstractRowsTask, text_of

_ENDINGS = {"strict": "#### {}", "flexible": "The answer is {}.", "json": '{{"answer": "{}"}}'}


@final
@dataclass(frozen=True, kw_only=True)
class File(AbstractRowsTask):
    """Problems whose columns are named; see AbstractRowsTask.

    Attributes:
        grader: what reads a completion's answer: `strict`, `flexible`, `boxed` or `json` compare
            numbers (tasks/answers.py), `expression` asks math-verify.
        question_key: the column of the question.
        answer_key: of the answer, a number, with its solution before `####` or not; for
            `expression` a formula.
        solution_key: of a written-out solution; without one it is the answer itself.
    """

    name: ClassVar[str] = "file"
    expected: ClassVar[str] = "a question and an answer that the grader can read, in the columns"
    grader: Literal["strict", "flexible", "boxed", "json", "expression"] = "flexible"
    question_key: str = "question"
    answer_key: str = "answer"
    solution_key: str = "solution"

    def __post_init__(self) -> None:
        """Read all rows, where what grades them is installed."""
        if self.grader == "expression":
            require_math_verify()
        AbstractRowsTask.__post_init__(self)

    @property
    def options(self) -> str:
        """The grader."""
        return self.grader

    def problem_of(self, row: dict[str, Any]) -> Problem | None:
        """Make a problem; None where the answer is none for the grader."""
        written = text_of(row, self.answer_key).strip()
        answer = written if self.grader == "expression" else key_of_number(written)
        if not answer:
            return None
        solution = self._ending(text_of(row, self.solution_key) or written, answer)
        return Problem(text_of(row, self.question_key), answer, solution)

    def _ending(self, solution: str, answer: str) -> str:
        """Let a solution end so that the grader finds it right."""
        match self.grader:
            case "boxed" | "expression":
                return with_box(solution, answer)
            case extractor if EXTRACTORS[extractor](solution) == answer:
                return solution
            case extractor:
                return f"{solution}\n{_ENDINGS[extractor].format(answer)}"

    def grade(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Grade as chosen; a completion without an end is truncated."""
        if self.grader == "expression":
            return grade_expression(completion, problem.answer, truncated=truncated)
        return graded_by_answer(problem, completion, truncated=truncated, extractor=self.grader)

    def grade_otherwise(
        self, problem: Problem, completion: str, *, truncated: bool
    ) -> Grade | None:
        """Grade numbers by another extractor; expressions have one grader only."""
        if self.grader == "expression":
            return None
        return graded_otherwise(problem, completion, truncated=truncated, extractor=self.grader)

    def answer_of(self, completion: str) -> str | None:
        """Return the number that the grader reads, or the boxed expression as written."""
        if self.grader == "expression":
            return boxed(completion)
        return EXTRACTORS[self.grader](completion)
