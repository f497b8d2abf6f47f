"""Answers with their keys and without scores: rows of `id`, `output`, `gold`, as of ZeroEval.

`output` is a text, or a list of texts where there are several samples. They are ungraded until
`grading.graded` grades them.
"""

from collections.abc import Iterator
from typing import Any

from goniometer.errors import GoniometerError
from goniometer.logs.log import Item, Log, as_text, chosen, content_key, named, once_each
from goniometer.logs.opened import Opened, Rows

NAME = "zeroeval"
UNGRADED = "not graded in the log"
_QUESTIONS = ("question", "prompt", "problem", "input")


def recognised(found: Opened) -> bool:
    """Whether the first row has an answer and a key."""
    return isinstance(found, Rows) and {"id", "output", "gold"} <= found.rows[0][1].keys()


def read(found: Opened, wanted_filter: str | None, wanted_metric: str | None) -> Log:
    """Read the answers, ungraded.

    Raises:
        GoniometerError: an id twice, a row without what it needs, or a filter or metric asked
            for, as there is none.
    """
    assert isinstance(found, Rows)  # noqa: S101 (for the type checker: `recognised` says so)
    chosen("filter", wanted_filter, (), found.path)
    chosen("metric", wanted_metric, (), found.path)
    items = once_each(_items(found), found.path)
    return Log(name=named(found.path), source=NAME, task="", items=items)


def _items(found: Rows) -> Iterator[Item]:
    for at, row in found.rows:
        identity, outputs = as_text(row.get("id")), _outputs(row.get("output"))
        if identity is None or outputs is None:
            raise GoniometerError(
                "a row without what it needs",
                file=found.path,
                key=at,
                expected="id, output (a text), gold",
            )
        gold = as_text(row.get("gold"))
        question = next((row[key] for key in _QUESTIONS if isinstance(row.get(key), str)), "")
        yield Item(
            key=content_key(question or identity, gold),
            id=identity,
            prompt=question,
            responses=outputs,
            gold=gold,
            score=None,
            reason=UNGRADED,
        )


def _outputs(value: Any) -> tuple[str, ...] | None:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        return None
    return tuple(texts) if all(isinstance(text, str) for text in texts) else None
