"""One evaluation of one model: its items, each with what was asked, said and scored."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from goniometer.errors import GoniometerError


@final
@dataclass(frozen=True)
class Item:
    """One item as one model answered it.

    Attributes:
        key: hash of what was asked and of the answer key: items of two logs are joined on it.
        id: as the log names the item; one id is one item, and once an epoch.
        prompt: the text that the model saw, or the question; empty where the log has none.
        responses: what the model said, several where it was sampled; empty for likelihoods.
        gold: the answer key as text, where there is one.
        score: right or wrong; None is ungraded, and `reason` says why.
        reason: why there is no score, or `no_answer` for a wrong one; else empty.
        truncated: cut off before its end; None where the log does not say.
        epoch: which repeat of the item this is, from 1.
    """

    key: str
    id: str
    prompt: str
    responses: tuple[str, ...]
    gold: str | None
    score: bool | None
    reason: str = ""
    truncated: bool | None = None
    epoch: int = 1

    @property
    def grade(self) -> str:
        """The score as goniometer writes grades: `correct`, `wrong:REASON`, `ungraded:REASON`."""
        if self.score is None:
            return f"ungraded:{self.reason or 'no score'}"
        if self.score:
            return "correct"
        return f"wrong:{self.reason or ('truncated' if self.truncated else 'answer')}"


@final
@dataclass(frozen=True)
class Log:
    """One model's answers to one task.

    Attributes:
        name: the model where the log names it, else the file's name.
        source: the format, a key of FORMATS.
        task: as the log names it; empty where it does not.
        items: in the log's order.
        filters: answer extractors that the log holds scores of; empty where it knows none.
        metrics: scores that it holds.
        filter: the one of `filters` that `items` are of.
        metric: the one of `metrics` that `Item.score` is of; None where nothing is scored.
    """

    name: str
    source: str
    task: str
    items: tuple[Item, ...]
    filters: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    filter: str | None = None
    metric: str | None = None


def content_key(asked: object, gold: str | None) -> str:
    """Hash of what was asked, any JSON value, and of the answer key: 16 hex digits."""
    text = json.dumps([asked, gold], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_text(value: Any) -> str | None:
    """An id or an answer key as text; a whole number has no fraction (`18.0` is `18`)."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return json.dumps(value, sort_keys=True)


def zero_or_one(value: Any, path: Path, where: str) -> bool:
    """A score as right or wrong.

    Raises:
        GoniometerError: it is neither 0 nor 1; `where` names the item and the metric.
    """
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise GoniometerError(
        "a score that is neither 0 nor 1 cannot be paired so",
        file=path,
        key=where,
        found=json.dumps(value)[:80],
        expected="0 or 1",
        fix="name another metric",
    )


def chosen(kind: str, wanted: str | None, names: Sequence[str], path: Path) -> str | None:
    """The filter or metric to read: the one that was asked for, or the only one.

    Raises:
        GoniometerError: several exist and none is named, or the named one does not exist.
    """
    listed = ", ".join(names)
    if wanted is None:
        if len(names) > 1:
            raise GoniometerError(
                f"several {kind}s and none named",
                file=path,
                found=listed,
                fix=f"name one with --{kind}",
            )
        return names[0] if names else None
    if wanted not in names:
        raise GoniometerError(
            f"no such {kind}", file=path, found=repr(wanted), expected=listed or f"no {kind}"
        )
    return wanted


def once_each(items: Iterable[Item], path: Path) -> tuple[Item, ...]:
    """The items; the n-th of equal content gets a key of its own, as data sets repeat questions.

    Raises:
        GoniometerError: there is none, or an id stands twice in one epoch.
    """
    ids: set[tuple[str, int]] = set()
    seen: dict[tuple[str, int], int] = {}
    found: list[Item] = []
    for item in items:
        if (item.id, item.epoch) in ids:
            again = f" in epoch {item.epoch}" if item.epoch > 1 else ""
            raise GoniometerError(f"an id that stands twice{again}", file=path, key=repr(item.id))
        ids.add((item.id, item.epoch))
        nth = seen[item.key, item.epoch] = seen.get((item.key, item.epoch), 0) + 1
        found.append(item if nth == 1 else replace(item, key=f"{item.key}-{nth}"))
    if not found:
        raise GoniometerError("no items in this log", file=path)
    return tuple(found)


def named(path: Path) -> str:
    """A file's name without what its kind adds to it."""
    name = path.name.removesuffix(".gz")
    for suffix in (".jsonl", ".json", ".eval"):
        name = name.removesuffix(suffix)
    return name or path.name
