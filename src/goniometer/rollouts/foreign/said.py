"""What a foreign file says of one completion, in texts: before any tokenizer."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

from goniometer.errors import GoniometerError
from goniometer.tasks import Correct, Grade, Ungraded, Wrong, grade_from_text

NO_LABEL = "no label"
_RIGHT = {"true", "correct", "right", "yes", "1", "c"}
_WRONG = {"false", "incorrect", "wrong", "no", "0", "i"}


class Turn(NamedTuple):
    """One message of a conversation."""

    role: str
    content: str


Prompt = tuple[Turn, ...]


@final
@dataclass(frozen=True)
class Said:
    """One completion of one prompt.

    Attributes:
        prompt: the turns before the completion; a plain question is one user turn.
        completion: what was answered.
        grade: by the file's label; ungraded where it has none.
        where: the file and the line or row, for errors.
        problem_id: the file's own name of the prompt.
        row_id: the file's own name of the completion.
        gold: the answer key.
        truncated: whether it was cut off before its end; None where the file does not say.
        logprobs: of its tokens, in nats.
    """

    prompt: Prompt
    completion: str
    grade: Grade
    where: str
    problem_id: str | None = None
    row_id: str | None = None
    gold: str | None = None
    truncated: bool | None = None
    logprobs: tuple[float, ...] | None = None


@final
@dataclass(frozen=True)
class Unusable:
    """A row that cannot be trained on: dropped, and counted by its reason."""

    reason: str
    where: str


def grade_of(label: Any, where: str, key: str = "label") -> Grade:
    """Read a label: a truth value, 0 or 1, or a word; any other word is no grade.

    `[invalid]`, which samplers write where they found no answer, is such a word: the row is
    ungraded for that reason, and neither right nor wrong.

    Raises:
        GoniometerError: a number that is neither 0 nor 1, or no single value.
    """
    if label is None:
        return Ungraded(NO_LABEL)
    if isinstance(label, int | float) and label in (0, 1):
        return Correct() if label else Wrong("answer")
    if isinstance(label, str):
        word = label.strip().casefold()
        if word in _RIGHT | _WRONG:
            return Correct() if word in _RIGHT else Wrong("answer")
        try:
            return grade_from_text(label.strip())
        except ValueError:
            return Ungraded(label.strip() or NO_LABEL)
    raise GoniometerError(
        "a label that is neither right nor wrong",
        file=where,
        key=key,
        found=repr(label)[:60],
        expected="true or false, 1 or 0, or a word",
        fix="name another key by --field label=KEY, or grade by --task",
    )


def text_of(prompt: Prompt) -> str:
    """Write a prompt as one text: the question itself, where that is all there is."""
    if len(prompt) == 1 and prompt[0].role == "user":
        return prompt[0].content
    return "\n".join(f"{turn.role}: {turn.content}" for turn in prompt)
