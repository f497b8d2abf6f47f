"""`samples_*.jsonl` of lm-evaluation-harness, written with `--log_samples`.

One row a document and filter: `doc_id`, `doc`, `target`, `arguments` (what each request asked),
`resps`, `filtered_resps`, `filter`, `metrics` (names of further keys that hold the scores),
`doc_hash`. Logs of older releases have no `filter` or no `metrics`. Read from the source of
`lm_eval` 0.4.13, evaluator.py and loggers/evaluation_tracker.py.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
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

NAME = "lm-eval"
# What its regex filters give where nothing matches.
NO_MATCH = "[invalid]"
_KNOWN = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash", "schema_version",
}  # fmt: skip
_FILE = re.compile(r"samples_(?P<task>.+?)(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl")


def recognised(found: Opened) -> bool:
    """Whether the first row is a sample of lm-eval."""
    if not isinstance(found, Rows):
        return False
    keys = found.rows[0][1].keys()
    return "doc_id" in keys and ("doc" in keys or "filtered_resps" in keys)


def read(found: Opened, wanted_filter: str | None, wanted_metric: str | None) -> Log:
    """Read the rows of one filter, scored by one metric.

    Raises:
        GoniometerError: several filters or metrics and none named, a document twice, a score
            that is neither 0 nor 1, or a row without what it needs.
    """
    assert isinstance(found, Rows)  # noqa: S101 (for the type checker: `recognised` says so)
    path = found.path
    filters = tuple(dict.fromkeys(str(row.get("filter", "none")) for _, row in found.rows))
    name = chosen("filter", wanted_filter, filters, path)
    rows = [(at, row) for at, row in found.rows if str(row.get("filter", "none")) == name]
    metrics = tuple(dict.fromkeys(metric for _, row in rows for metric in _metrics(row)))
    metric = chosen("metric", wanted_metric, metrics, path)
    if metric is None:
        raise GoniometerError("no metric in this log", file=path, key=rows[0][0])
    matched = _FILE.match(path.name)
    return Log(
        name=_model(path),
        source=NAME,
        task=matched["task"] if matched else "",
        items=once_each(_items(rows, metric, path), path),
        filters=filters,
        metrics=metrics,
        filter=name,
        metric=metric,
    )


def _metrics(row: Row) -> list[str]:
    listed = row.get("metrics")
    if isinstance(listed, list):
        return [str(name) for name in listed]
    return [key for key, value in row.items() if key not in _KNOWN and _is_number(value)]


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _items(rows: list[tuple[str, Row]], metric: str, path: Path) -> Iterator[Item]:
    for at, row in rows:
        missing = [key for key in ("doc_id", metric) if row.get(key) in (None, "")]
        if missing:
            raise GoniometerError("a row without what it needs", file=path, key=at, found=missing)
        score = zero_or_one(row[metric], path, f"{at}, doc_id {row['doc_id']}, {metric}")
        gold = as_text(row.get("target"))
        answers = _texts(row.get("filtered_resps"))
        no_answer = bool(answers) and all(answer == NO_MATCH for answer in answers)
        unread = score and gold in (None, NO_MATCH, "None") and (gold or "") in answers
        yield Item(
            key=content_key(_asked(row), gold),
            id=as_text(row["doc_id"]) or "",
            prompt=_prompt(row),
            responses=_texts(row.get("resps")),
            gold=gold,
            score=None if unread else score,
            reason=_reason(unread, no_answer and not score),
        )


def _asked(row: Row) -> Any:
    """What was asked, the same for every model: a chat template is the model's own."""
    return row.get("doc_hash") or row.get("doc") or _prompt(row) or row["doc_id"]


def _reason(unread: bool, no_answer: bool) -> str:
    if unread:
        return "the answer key does not parse"
    return "no_answer" if no_answer else ""


def _texts(value: Any) -> tuple[str, ...]:
    """Texts of a nested list; empty for log-likelihoods, pairs of a number and a flag."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or _likelihood(value):
        return ()
    return tuple(text for part in value for text in _texts(part))


def _likelihood(value: list[Any]) -> bool:
    return len(value) == 2 and str(value[1]) in ("True", "False")


def _prompt(row: Row) -> str:
    arguments = row.get("arguments")
    if isinstance(arguments, dict):
        first = arguments.get("gen_args_0")
        asked = first.get("arg_0") if isinstance(first, dict) else None
    else:
        asked = arguments
    while isinstance(asked, list) and asked:
        asked = asked[0]
    if asked is None:
        return ""
    return asked if isinstance(asked, str) else json.dumps(asked)


def _model(path: Path) -> str:
    """The folder that lm-eval names after the model; the file's name where that says nothing."""
    folder = path.absolute().parent.name
    written_so = _FILE.match(path.name) and any(path.parent.glob("results_*.json"))
    return folder.replace("__", "/") if written_so and folder else named(path)
