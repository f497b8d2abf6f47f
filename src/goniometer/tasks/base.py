"""What a task is: problems in splits that never overlap, and one grader for reward and score."""

import abc
import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar, Literal, cast, final, get_args

Split = Literal["pretrain", "train", "validation", "test"]
# The last three are of code: a test does not hold, it raises or ends, it takes too long.
WrongReason = Literal["answer", "no_answer", "truncated", "tests", "error", "timeout"]


@final
@dataclass(frozen=True)
class Correct:
    """The final answer is right."""


@final
@dataclass(frozen=True)
class Wrong:
    """The final answer is wrong, absent or cut off, or its tests fail; the reason says which."""

    reason: WrongReason


@final
@dataclass(frozen=True)
class Ungraded:
    """The grader itself failed: not a wrong answer, the pair is dropped and counted."""

    reason: str


Grade = Correct | Wrong | Ungraded


def grade_to_text(grade: Grade) -> str:
    """Write a grade as the text kept in files: `correct`, `wrong:REASON` or `ungraded:REASON`."""
    match grade:
        case Correct():
            return "correct"
        case Wrong(reason):
            return f"wrong:{reason}"
        case Ungraded(reason):
            return f"ungraded:{reason}"


def grade_from_text(text: str) -> Grade:
    """Read back what `grade_to_text` wrote; raise ValueError on anything else."""
    kind, _, reason = text.partition(":")
    if kind == "correct" and not reason:
        return Correct()
    if kind == "wrong" and reason in get_args(WrongReason):
        return Wrong(cast(WrongReason, reason))
    if kind == "ungraded":
        return Ungraded(reason)
    raise ValueError(f"not a grade: {text!r}")


@final
@dataclass(frozen=True)
class Problem:
    """One problem: what is asked, the gold answer and a reference solution.

    `id` is a hash of the question, so equal problems have equal ids wherever they come from.
    """

    question: str
    answer: str
    solution: str
    id: str = field(init=False)

    def __post_init__(self) -> None:
        """Derive the id from the content."""
        digest = hashlib.sha256(self.question.encode()).hexdigest()[:16]
        object.__setattr__(self, "id", digest)


class AbstractTask(abc.ABC):
    """A source of problems and the grader of answers to them; its fields are its options."""

    name: ClassVar[str]
    at_once: ClassVar[int] = 1  # grades, in threads

    @property
    def fingerprint(self) -> str:
        """All that problems and grades depend on: name and options, but no path of a file."""
        return repr(self)

    @abc.abstractmethod
    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """Return `count` distinct problems of a split, fewer where it has not so many.

        The same seed gives a list that a larger count extends.
        """

    @abc.abstractmethod
    def grade(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Grade one completion; `truncated` says that it never reached its end token."""

    def grade_otherwise(
        self, problem: Problem, completion: str, *, truncated: bool
    ) -> Grade | None:
        """Grade by the task's other reading of the answer; None where it has one only."""
        return None

    def answer_of(self, completion: str) -> str | None:
        """Return the final answer as the grader reads it; None without one, or of such a task."""
        return None


def grade_or_ungraded(
    task: AbstractTask, problem: Problem, completion: str, *, truncated: bool
) -> Grade:
    """Grade one completion; a grader that fails gives Ungraded with its error, never Wrong."""
    try:
        return task.grade(problem, completion, truncated=truncated)
    except Exception as error:
        return Ungraded(f"{type(error).__name__}: {error}")


def grade_all(task: AbstractTask, answers: Iterable[tuple[Problem, str, bool]]) -> list[Grade]:
    """Grade completions as `grade_or_ungraded` does, as many at once as the task allows.

    Args:
        task: grades.
        answers: problem, completion, and whether it was truncated.
    """

    def grade(answer: tuple[Problem, str, bool]) -> Grade:
        problem, completion, truncated = answer
        return grade_or_ungraded(task, problem, completion, truncated=truncated)

    if task.at_once == 1:
        return list(map(grade, answers))
    with ThreadPoolExecutor(task.at_once) as pool:
        return list(pool.map(grade, answers))
