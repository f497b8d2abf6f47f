"""How one record of a foreign file is laid out: one completion, a group of them, or a pair.

| format | a record | as |
|---|---|---|
| texts | a prompt, a completion, a label | TRL's unpaired preferences, SFT's messages, own dumps |
| groups | a prompt and a list of completions, each with its label | samplers, OpenR1-Math |
| preferences | chosen and rejected, with a prompt or sharing one | TRL, UltraFeedback, HH-RLHF |

To add one: write its function from a record to what was said and add its line to LAYOUTS below.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, final

from goniometer.errors import GoniometerError
from goniometer.rollouts.foreign.keys import (
    Fields,
    Record,
    key_of,
    logprobs_of,
    prompt_of,
    text_at,
    truncated_of,
    turns_of,
    value_of,
)
from goniometer.rollouts.foreign.said import Prompt, Said, Turn, Unusable, grade_of
from goniometer.tasks import Correct, Wrong

Rows = Iterator[Said | Unusable]
SEVERAL = "more than one turn after the prompt"
SAME = "chosen and rejected are equal"


@final
@dataclass(frozen=True)
class Layout:
    """A way to lay out records: whether one fits, by its keys, and what it says."""

    fits: Callable[[Record, Fields], bool]
    read: Callable[[Record, Fields, str], Rows]


def _fits_texts(record: Record, fields: Fields) -> bool:
    def has(role: str) -> bool:
        return key_of(record, role, fields) is not None

    return (has("prompt") and has("completion")) or has("messages")


def _read_texts(record: Record, fields: Fields, where: str) -> Rows:
    messages = key_of(record, "messages", fields)
    if key_of(record, "completion", fields) is None and messages is not None:
        turns = turns_of(value_of(record, "messages", fields, where), where, messages)
        prompt, answer = turns[:-1], turns[-1:]
    else:
        prompt = _prompt(record, fields, where)
        value = _needed(record, "completion", fields, where)
        answer = _answer(value, where, key_of(record, "completion", fields) or "")
    yield _said(record, fields, where, prompt, answer)


def _fits_groups(record: Record, fields: Fields) -> bool:
    key = key_of(record, "completions", fields)
    return key is not None and isinstance(record.get(key), list)


def _read_groups(record: Record, fields: Fields, where: str) -> Rows:
    """Each completion is a record of its own, or a text whose label is in a list beside it."""
    shared = {**fields}
    if "problem_id" not in fields and record.get("problem_id") is None and "idx" in record:
        shared["problem_id"] = "idx"
    prompt = _prompt(record, fields, where)
    entries = _needed(record, "completions", fields, where)
    if not isinstance(entries, list):
        raise GoniometerError("no list of completions", file=where, found=repr(entries)[:60])
    for number, entry in enumerate(entries, start=1):
        place = f"{where}, completion {number}"
        own, roles = entry, {role: key for role, key in fields.items() if role in _OF_ONE}
        if isinstance(entry, str):
            own = {"completion": entry, **_beside(record, fields, number - 1, len(entries))}
            roles = {}
        if not isinstance(own, Mapping):
            raise GoniometerError("no completion", file=place, found=repr(entry)[:60])
        value = _needed(own, "completion", roles, place)
        one = _said(own, roles, place, prompt, _answer(value, place, "completion"))
        if isinstance(one, Said):
            gold = text_at(record, "gold", fields, where)
            one = _named(one, text_at(record, "problem_id", shared, where), gold)
        yield one


# What each completion of a group holds for itself.
_OF_ONE = ("completion", "label", "truncated", "finish", "logprobs", "id")


def _beside(record: Record, fields: Fields, index: int, count: int) -> dict[str, Any]:
    """What lists beside the completions say of one of them."""
    found = {}
    for role in ("label", "truncated", "logprobs"):
        key = key_of(record, role, fields)
        values = record.get(key) if key is not None else None
        if isinstance(values, list) and len(values) == count:
            found[role] = values[index]
    return found


def _fits_preferences(record: Record, fields: Fields) -> bool:
    return all(key_of(record, role, fields) is not None for role in ("chosen", "rejected"))


def _read_preferences(record: Record, fields: Fields, where: str) -> Rows:
    """Two rows of one prompt: chosen is right, rejected wrong.

    Without a prompt, that of a conversation is the turns that both share, as in TRL's
    `extract_prompt`; that of a plain text is what stands before the last `Assistant:`, as in
    HH-RLHF. TRL cuts plain texts where their letters begin to differ, which leaves the beginning of
    an answer in the prompt: not done here.
    """
    sides = [_needed(record, role, fields, where) for role in ("chosen", "rejected")]
    if key_of(record, "prompt", fields) is not None:
        prompt = _prompt(record, fields, where)
        answers = [_answer(side, where, "chosen") for side in sides]
        if all(answer[: len(prompt)] == prompt for answer in answers):  # said again in each
            answers = [answer[len(prompt) :] for answer in answers]
    else:
        talks = [
            _dialogue(side, where) if isinstance(side, str) else turns_of(side, where, "chosen")
            for side in sides
        ]
        prompt = tuple(a for a, _ in takewhile(lambda p: p[0] == p[1], zip(*talks, strict=False)))
        if all(len(talk) == len(prompt) for talk in talks):
            prompt = prompt[:-1]
        answers = [talk[len(prompt) :] for talk in talks]
    if answers[0] == answers[1]:
        yield Unusable(SAME, where)
        return
    grades: tuple[Correct | Wrong, ...] = (Correct(), Wrong("answer"))
    for answer, grade in zip(answers, grades, strict=True):
        one = _said({}, {}, where, prompt, answer)
        problem_id = text_at(record, "problem_id", fields, where)
        yield _named(one, problem_id, None, grade) if isinstance(one, Said) else one


def _dialogue(text: str, where: str) -> Prompt:
    parts = re.split(r"\n\n(Human|Assistant):", text)
    pairs = list(zip(parts[1::2], parts[2::2], strict=True))
    if not pairs or pairs[-1][0] != "Assistant":
        raise GoniometerError(
            "a pair of plain texts without a prompt",
            file=where,
            key="chosen",
            found=repr(text[:60]),
            expected="turns after 'Human:' and 'Assistant:'",
            fix="name the prompt's key by --field prompt=KEY",
        )
    roles = {"Human": "user", "Assistant": "assistant"}
    return tuple(Turn(roles[who], said.strip()) for who, said in pairs)


def _prompt(record: Record, fields: Fields, where: str) -> Prompt:
    value = _needed(record, "prompt", fields, where)
    return prompt_of(value, where, key_of(record, "prompt", fields) or "prompt")


def _needed(record: Record, role: str, fields: Fields, where: str) -> Any:
    value = value_of(record, role, fields, where)
    if value is None:
        raise GoniometerError(
            f"no {role}", file=where, found=f"the keys {', '.join(map(str, record))}",
            fix=f"name its key by --field {role}=KEY",
        )  # fmt: skip
    return value


def _answer(value: Any, where: str, key: str) -> Prompt:
    if isinstance(value, str):
        return (Turn("assistant", value),)
    return turns_of(value, where, key)


def _said(
    record: Record, fields: Fields, where: str, prompt: Prompt, answer: Prompt
) -> Said | Unusable:
    if not prompt:
        return Unusable("no prompt", where)
    if len(answer) != 1 or answer[0].role != "assistant":
        return Unusable(SEVERAL if len(answer) > 1 else "no answer after the prompt", where)
    label = value_of(record, "label", fields, where)
    return Said(
        prompt=prompt,
        completion=answer[0].content,
        grade=grade_of(label, where, key_of(record, "label", fields) or "label"),
        where=where,
        problem_id=text_at(record, "problem_id", fields, where),
        row_id=text_at(record, "id", fields, where),
        gold=text_at(record, "gold", fields, where),
        truncated=truncated_of(record, fields, where),
        logprobs=logprobs_of(record, fields, where),
    )


def _named(
    one: Said, problem_id: str | None, gold: str | None, grade: Correct | Wrong | None = None
) -> Said:
    return replace(one, problem_id=problem_id, gold=gold or one.gold, grade=grade or one.grade)


LAYOUTS: dict[str, Layout] = {
    "groups": Layout(_fits_groups, _read_groups),
    "preferences": Layout(_fits_preferences, _read_preferences),
    "texts": Layout(_fits_texts, _read_texts),
}
