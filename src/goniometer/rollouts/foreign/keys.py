"""Under which keys a foreign file holds what: the usual names, or those that the user gives."""

from collections.abc import Mapping
from typing import Any

from goniometer.errors import GoniometerError
from goniometer.options import nearest
from goniometer.rollouts.foreign.said import Prompt, Turn

Record = Mapping[str, Any]
Fields = Mapping[str, str]  # what it holds -> key, given by the user; an empty key means none

# Usual names, in the order in which they are looked for.
USUAL: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "problem", "query", "instruction", "input"),
    "completion": ("completion", "response", "output", "generation", "text"),
    "completions": ("outputs", "responses", "completions", "generations", "samples"),
    "chosen": ("chosen",),
    "rejected": ("rejected",),
    "messages": ("messages", "conversation"),
    "label": ("label", "grade", "correct", "is_correct", "score", "reward"),
    "gold": ("gold", "ground_truth", "target", "reference_answer"),
    "problem_id": ("problem_id", "prompt_id", "question_id"),
    "id": (),
    "truncated": ("truncated",),
    "finish": ("finish_reason", "stop_reason"),
    "logprobs": ("logprobs",),
}
_CUT = {"length", "max_tokens", "model_length"}


def check_fields(fields: Fields) -> None:
    """Require that each field is one that is read.

    Raises:
        GoniometerError: an unknown one; the nearest known one is named.
    """
    for role in fields:
        if role not in USUAL:
            raise GoniometerError(
                f"unknown field {role!r}", key="field", fix=nearest(role, list(USUAL))
            )


def key_of(record: Record, role: str, fields: Fields) -> str | None:
    """Return the key that holds something in a record; None where it has none.

    A given key may lead into the record by dots, as `doc.question`.

    Raises:
        GoniometerError: a key that the user gave is not there.
    """
    if role in fields:
        return fields[role] or None
    return next((key for key in USUAL[role] if record.get(key) is not None), None)


def value_of(record: Record, role: str, fields: Fields, where: str) -> Any:
    """Return what a record holds; None where it has no such key.

    Raises:
        GoniometerError: a key that the user gave is not there.
    """
    key = key_of(record, role, fields)
    if key is None:
        return None
    value: Any = record
    for part in (key,) if key in record else key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise GoniometerError(
                f"no such key, which --field names for {role}",
                file=where,
                key=key,
                found=f"the keys {', '.join(map(str, record))}",
            )
        value = value[part]
    return value


def text_at(record: Record, role: str, fields: Fields, where: str) -> str | None:
    """Return a text, or a whole number as one; None where there is none.

    Raises:
        GoniometerError: something else stands there.
    """
    value = value_of(record, role, fields, where)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise GoniometerError(
        f"the {role} is no text", file=where, key=key_of(record, role, fields),
        found=repr(value)[:60],
    )  # fmt: skip


def turns_of(value: Any, where: str, key: str) -> Prompt:
    """Read a conversation: a list of messages with role and content.

    Raises:
        GoniometerError: anything else.
    """
    turns = value if isinstance(value, list | tuple) else ()
    pairs = [(t.get("role"), t.get("content")) for t in turns if isinstance(t, Mapping)]
    good = [Turn(r, c) for r, c in pairs if isinstance(r, str) and isinstance(c, str)]
    if not good or len(good) < len(turns):
        raise GoniometerError(
            "no conversation",
            file=where,
            key=key,
            found=repr(value)[:60],
            expected="a list of messages with the texts role and content",
        )
    return tuple(good)


def prompt_of(value: Any, where: str, key: str) -> Prompt:
    """Read a prompt: a text is one user turn; white space around it is dropped.

    Raises:
        GoniometerError: an empty text, or as `turns_of`.
    """
    if not isinstance(value, str):
        return turns_of(value, where, key)
    if not value.strip():
        raise GoniometerError("an empty prompt", file=where, key=key)
    return (Turn("user", value.strip()),)


def truncated_of(record: Record, fields: Fields, where: str) -> bool | None:
    """Say whether a completion was cut off; None where the record does not.

    Raises:
        GoniometerError: a value that is neither true nor false.
    """
    value = value_of(record, "truncated", fields, where)
    if value is None:
        reason = value_of(record, "finish", fields, where)
        return None if reason is None else str(reason) in _CUT
    if not isinstance(value, bool):
        raise GoniometerError(
            "neither true nor false", file=where, key=key_of(record, "truncated", fields),
            found=repr(value)[:60],
        )  # fmt: skip
    return value


def logprobs_of(record: Record, fields: Fields, where: str) -> tuple[float, ...] | None:
    """Return the log-probs of a completion's tokens, in nats; None where there are none.

    Raises:
        GoniometerError: anything but a list of numbers, none above 0.
    """
    values = value_of(record, "logprobs", fields, where)
    if values is None:
        return None
    numbers = isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and v <= 1e-6 for v in values
    )
    if not numbers:
        raise GoniometerError(
            "no log-probs", file=where, key=key_of(record, "logprobs", fields),
            found=repr(values)[:60], expected="a list of numbers, none above 0",
        )  # fmt: skip
    return tuple(map(float, values))
