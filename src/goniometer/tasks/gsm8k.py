"""GSM8K (arXiv 2110.14168): school word problems of `question` and `answer`.

An answer is a solution with its sums in `<<a=b>>` and its number after `####`. On the Hub it is
`source: openai/gsm8k@main`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from goniometer.tasks.answers import (
    EXTRACTORS,
    MARKER,
    graded_by_answer,
    graded_otherwise,
    key_of_number,
)
from goniometer.tasks.base import Grade, Problem
from goniometer.tasks.rows import AbstractRowsTask


@final
@dataclass(frozen=True, kw_only=True)
class GSM8K(AbstractRowsTask):
    """GSM8K from files or a data set; see AbstractRowsTask.

    Attributes:
        extractor: which number of a completion is its answer: `strict`, the one after the last
            `####`, or `flexible`, its last one. On how many completions the other would decide
            otherwise is counted.
    """

    name: ClassVar[str] = "gsm8k"
    hub_subset: ClassVar[str | None] = "main"
    expected: ClassVar[str] = f"the texts question and answer, its number after {MARKER}"
    extractor: Literal["strict", "flexible"] = "strict"

    @property
    def options(self) -> str:
        """The extractor, where it is not the default."""
        return "" if self.extractor == "strict" else self.extractor

    def problem_of(self, row: dict[str, Any]) -> Problem | None:
        """Make a problem of the texts `question` and `answer`."""
        question, solution = (row.get(key) for key in ("question", "answer"))
        if not isinstance(question, str) or not isinstance(solution, str):
            return None
        answer = key_of_number(solution) if MARKER in solution else None
        return None if answer is None else Problem(question, answer, solution)

    def grade(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Compare the extracted number; a completion without an end is truncated."""
        return graded_by_answer(problem, completion, truncated=truncated, extractor=self.extractor)

    def grade_otherwise(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Grade by the extractor that was not chosen."""
        return graded_otherwise(problem, completion, truncated=truncated, extractor=self.extractor)

    def answer_of(self, completion: str) -> str | None:
        """Return the extracted number."""
        return EXTRACTORS[self.extractor](completion)
