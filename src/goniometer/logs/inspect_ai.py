"""Logs of Inspect: one `.json`, or an `.eval`, a zip of `header.json` and `samples/*.json`.

A sample has `id`, `epoch`, `input` (a text or messages), `choices`, `target`, `output`, `scores`
(scorer -> `value`, `answer`), `error`, `limit`. Values: "C", "I", "N" (no answer), "P" (partial),
a number, NaN for what could not be scored, or a dict of these. Read from the source of
`inspect_ai` 0.3.285, log/_log.py and log/_recorders/eval.py.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from goniometer.errors import GoniometerError
from goniometer.logs.archive import members
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
from goniometer.logs.opened import Archive, Document, Opened, Row, Rows

NAME = "inspect"
_ATTACHMENT = "attachment://"
# Its own `value_to_float`, of what is right or wrong; "P" is half right and refused below.
_VALUES = {"C": True, "I": False, "N": False, "yes": True, "true": True, "1": True}
_VALUES |= {"no": False, "false": False, "0": False}


def recognised(found: Opened) -> bool:
    """Whether it is an archive, or a document with the sections of a log."""
    if isinstance(found, Document):
        return "eval" in found.value and ("samples" in found.value or "status" in found.value)
    return isinstance(found, Archive)


def read(found: Opened, wanted_filter: str | None, wanted_metric: str | None) -> Log:
    """Read the samples of one scorer.

    Raises:
        GoniometerError: several scorers and none named, a sample twice, a score that is neither
            0 nor 1, a log that was invalidated, or one that is not as Inspect writes it.
    """
    assert not isinstance(found, Rows)  # noqa: S101 (for the type checker: `recognised` says so)
    path = found.path
    header, samples = _document(found) if isinstance(found, Document) else _archive(path)
    if header.get("invalidated") is True:
        raise GoniometerError("a log that was invalidated", file=path)
    chosen("filter", wanted_filter, (), path)
    metrics = tuple(dict.fromkeys(name for _, sample in samples for name in _scores(sample)))
    metric = chosen("metric", wanted_metric, metrics, path)
    if metric is None:
        raise GoniometerError(
            "no sample of this log has a score", file=path, found=f"status {header.get('status')}"
        )
    about = _section(header, "eval")
    return Log(
        name=as_text(about.get("model")) or named(path),
        source=NAME,
        task=as_text(about.get("task")) or "",
        items=once_each((_item(sample, at, metric, path) for at, sample in samples), path),
        metrics=metrics,
        metric=metric,
    )


def _document(found: Document) -> tuple[Row, list[tuple[str, Row]]]:
    samples = found.value.get("samples")
    if not isinstance(samples, list) or not all(isinstance(sample, dict) for sample in samples):
        raise GoniometerError(
            "a log without samples", file=found.path, fix="read it with its samples, not its header"
        )
    return found.value, [(f"sample {n}", row) for n, row in enumerate(samples, start=1)]


def _archive(path: Path) -> tuple[Row, list[tuple[str, Row]]]:
    with members(path) as archive:
        names = archive.names()
        if "header.json" not in names:
            unfinished = "_journal/start.json" in names
            raise GoniometerError(
                "an evaluation that has not ended" if unfinished else "no log of Inspect",
                file=path,
                expected="header.json in the archive",
            )
        kept = [n for n in names if n.startswith("samples/") and n.endswith(".json")]
        header = _object(archive.read("header.json"), path, "header.json")
        samples = [(name, _object(archive.read(name), path, name)) for name in kept]
    return header, samples


def _object(data: bytes, path: Path, name: str) -> Row:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GoniometerError(f"not JSON: {error}", file=path, key=name) from None
    if not isinstance(value, dict):
        raise GoniometerError("no JSON object", file=path, key=name)
    return value


def _section(row: Mapping[str, Any], key: str) -> Row:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _scores(sample: Row) -> Iterator[str]:
    """Names of a sample's scores: `SCORER`, or `SCORER.KEY` where one score has several values."""
    for scorer, score in _section(sample, "scores").items():
        value = score.get("value") if isinstance(score, dict) else None
        if isinstance(value, dict):
            yield from (f"{scorer}.{key}" for key in value)
        else:
            yield scorer


def _item(sample: Row, at: str, metric: str, path: Path) -> Item:
    identity = as_text(sample.get("id"))
    epoch = sample.get("epoch", 1)
    if identity is None or "input" not in sample or not isinstance(epoch, int):
        raise GoniometerError(
            "no sample of Inspect", file=path, key=at, expected="id, epoch, input"
        )
    messages = _messages(sample)
    gold = _gold(sample.get("target"))
    score, reason = _scored(sample, metric, path, f"{at}, id {identity}, {metric}")
    asked = [messages, sample.get("choices")]
    return Item(
        key=content_key(asked, gold),
        id=identity,
        prompt="\n\n".join(text for _, text in messages),
        responses=(_completion(sample),),
        gold=gold,
        score=score,
        reason=reason,
        truncated=_truncated(sample),
        epoch=epoch,
    )


def _scored(sample: Row, metric: str, path: Path, where: str) -> tuple[bool | None, str]:
    """The score and what there is to say of it."""
    if sample.get("invalidation"):
        return None, "invalidated"
    score, value = _value(sample, metric)
    if value is None:
        error = _section(sample, "error").get("message")
        return None, f"error: {error}"[:120] if error else "no score"
    if isinstance(value, float) and math.isnan(value):
        return None, str(score.get("reason") or "could not be scored")
    if isinstance(value, str):
        value = _VALUES.get(value, _VALUES.get(value.lower(), value))
    right = zero_or_one(value, path, where)
    if right and not _gold(sample.get("target")) and score.get("answer") == "":
        return None, "the answer key does not parse"
    answerless = not right and (_value(sample, metric)[1] == "N" or score.get("answer") == "")
    return right, "no_answer" if answerless else ""


def _value(sample: Row, metric: str) -> tuple[Row, Any]:
    scores = _section(sample, "scores")
    if metric in scores:
        score = _section(scores, metric)
        return score, score.get("value")
    for scorer in scores:
        if metric.startswith(f"{scorer}."):
            score = _section(scores, scorer)
            return score, _section(score, "value").get(metric.removeprefix(f"{scorer}."))
    return {}, None


def _messages(sample: Row) -> list[tuple[str, str]]:
    """(role, text) of what was asked; ids and other traits of messages are not content."""
    asked = sample["input"]
    messages = asked if isinstance(asked, list) else [{"role": "user", "content": asked}]
    attached = _section(sample, "attachments")
    return [
        (str(message.get("role")), _text(message.get("content"), attached))
        for message in messages
        if isinstance(message, dict)
    ]


def _text(content: Any, attached: Mapping[str, Any]) -> str:
    if isinstance(content, list):
        return "\n".join(_text(part, attached) for part in content)
    if isinstance(content, dict):
        return _text(content.get("text", json.dumps(content, sort_keys=True)), attached)
    text = content if isinstance(content, str) else json.dumps(content)
    return str(attached.get(text.removeprefix(_ATTACHMENT), text))


def _gold(target: Any) -> str | None:
    if isinstance(target, list) and len(target) == 1:
        return as_text(target[0])
    return as_text(target) if target != [] else None


def _completion(sample: Row) -> str:
    output = _section(sample, "output")
    if isinstance(output.get("completion"), str):
        return str(output["completion"])
    content = _section(_choice(output), "message").get("content")
    return "" if content is None else _text(content, _section(sample, "attachments"))


def _choice(output: Row) -> Row:
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _truncated(sample: Row) -> bool | None:
    if _section(sample, "limit"):
        return True
    reason = _choice(_section(sample, "output")).get("stop_reason", "unknown")
    return None if reason == "unknown" else reason in ("max_tokens", "model_length", "length")
