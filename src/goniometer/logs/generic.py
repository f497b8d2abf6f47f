"""Rows of an id and a score, from any tool.

| key | meaning |
|---|---|
| id, sample_id, problem_id, question_id, task_id, doc_id, uid | what the item is called |
| correct, is_correct, score, passed, pass, exact_match, acc | 0, 1, true, false; null is ungraded |
| grade | `correct`, `wrong:REASON` or `ungraded:REASON` |
| question, prompt, problem, input | what was asked; without it items are joined on their ids |
| gold, target, reference | the answer key |
| output, response, completion | what was said |
| truncated, or finish_reason = length | cut off |

Any other key that holds scores is read where it is named as the metric.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from goniometer.errors import GoniometerError
from goniometer.logs.log import (
    Item,
    Log,
    as_text,
    chosen,
    content_key,
    named,
    once_each,
    zero_or_one,
)
from goniometer.logs.opened import Opened, Row, Rows

NAME = "generic"
IDS = ("id", "sample_id", "problem_id", "question_id", "task_id", "doc_id", "uid")
SCORES = ("correct", "is_correct", "score", "passed", "pass", "exact_match", "acc", "grade")
QUESTIONS = ("question", "prompt", "problem", "input")
GOLDS = ("gold", "target", "reference")
RESPONSES = ("output", "response", "completion")


def recognised(found: Opened) -> bool:
    """Whether the first row has an id; a score may go by a name of its own."""
    return isinstance(found, Rows) and _first(found.rows[0][1], IDS) is not None


def read(found: Opened, wanted_filter: str | None, wanted_metric: str | None) -> Log:
    """Read the rows, scored by one key.

    Raises:
        GoniometerError: several scores and none named, no score, an id twice, a score that is
            neither 0 nor 1, or a row without what it needs.
    """
    assert isinstance(found, Rows)  # noqa: S101 (for the type checker: `recognised` says so)
    first = found.rows[0][1]
    chosen("filter", wanted_filter, (), found.path)
    metrics = tuple(key for key in SCORES if key in first)
    if wanted_metric is not None and wanted_metric in first:
        metrics = (wanted_metric,)
    metric = chosen("metric", wanted_metric, metrics, found.path)
    if metric is None:
        raise GoniometerError(
            "no score in this log",
            file=found.path,
            key=found.rows[0][0],
            found=", ".join(first),
            expected=f"one of {', '.join(SCORES)}",
            fix="name the key of the score with --metric",
        )
    items = once_each(_items(found, metric), found.path)
    return Log(
        name=named(found.path), source=NAME, task="", items=items, metrics=metrics, metric=metric
    )


def _items(found: Rows, metric: str) -> Iterator[Item]:
    for at, row in found.rows:
        identity = as_text(_first(row, IDS))
        if identity is None or metric not in row:
            missing = f"no {metric}" if identity else "no id"
            raise GoniometerError(
                "a row without what it needs", file=found.path, key=at, found=missing
            )
        gold, question = as_text(_first(row, GOLDS)), as_text(_first(row, QUESTIONS)) or ""
        score, reason = _scored(row[metric], found, f"{at}, id {identity}, {metric}")
        response = _first(row, RESPONSES)
        yield Item(
            key=content_key(question or identity, gold),
            id=identity,
            prompt=question,
            responses=() if response is None else (as_text(response) or "",),
            gold=gold,
            score=score,
            reason=reason,
            truncated=_truncated(row, reason),
        )


def _first(row: Row, keys: Sequence[str]) -> Any:
    return next((row[key] for key in keys if row.get(key) is not None), None)


def _scored(value: Any, found: Rows, where: str) -> tuple[bool | None, str]:
    if value is None:
        return None, "null in the log"
    if isinstance(value, str):
        kind, _, reason = value.partition(":")
        if value == "correct":
            return True, ""
        if kind in ("wrong", "ungraded") and reason:
            return (False if kind == "wrong" else None), "" if reason == "answer" else reason
    return zero_or_one(value, found.path, where), ""


def _truncated(row: Row, reason: str) -> bool | None:
    if isinstance(row.get("truncated"), bool):
        return bool(row["truncated"])
    if reason == "truncated":
        return True
    return row["finish_reason"] == "length" if row.get("finish_reason") else None
