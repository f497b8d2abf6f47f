"""Grade answers that a log holds without a score, by one extractor, counting where others differ.

To add a grader: write a function of a text, its key and an extractor that gives a Grade, and add
its line to GRADERS.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from goniometer.errors import GoniometerError
from goniometer.logs import zeroeval
from goniometer.logs.log import Item, Log
from goniometer.options import nearest
from goniometer.tasks import Correct, Grade, Ungraded, Wrong
from goniometer.tasks.answers import EXTRACTORS, grade_number

# The extractor that fits what a format's prompt asks for.
_OF_FORMAT = {zeroeval.NAME: "json"}
# An extractor that finds an answer in fewer than this share of the texts is not theirs.
FITTING = 0.5


@final
@dataclass(frozen=True)
class Grader:
    """How a text is graded against a key, and by which extractors it may be read."""

    grade: Callable[[str, str, str, bool], Grade]
    extractors: tuple[str, ...]


def _number(text: str, gold: str, extractor: str, truncated: bool) -> Grade:
    known = next(name for name in EXTRACTORS if name == extractor)
    return grade_number(text, gold, extractor=known, truncated=truncated)


GRADERS: Mapping[str, Grader] = {"gsm8k": Grader(_number, tuple(EXTRACTORS))}


def graded(log: Log, how: str, extractor: str | None = None) -> tuple[Log, dict[str, int]]:
    """Grade a log's answers; several responses to an item become its epochs.

    An answer key that does not parse gives no score: it is never right.

    Args:
        log: one without scores.
        how: a key of GRADERS.
        extractor: which answer of a text counts; by default the one of the log's format.

    Returns:
        The graded log, and the number of items that another extractor scores otherwise, by
        extractor; without those that find an answer in few of the texts.

    Raises:
        GoniometerError: no such grader or extractor, the log has scores already or no keys, or
            the extractor finds an answer in fewer than half of the texts.
    """
    if how not in GRADERS:
        raise GoniometerError(
            "no such grader", key=f"--grade {how}", fix=nearest(how, list(GRADERS))
        )
    grader = GRADERS[how]
    if log.metric is not None:
        raise GoniometerError(
            "a log with scores of its own", file=log.name, found=log.metric, fix="omit --grade"
        )
    chosen = extractor or _OF_FORMAT.get(log.source)
    if chosen not in grader.extractors:
        raise GoniometerError(
            "no such extractor", file=log.name, found=chosen,
            expected=f"one of {', '.join(grader.extractors)}", fix="name one with --filter",
        )  # fmt: skip
    answers = [each for item in log.items for each in _each(item)]
    items = tuple(_graded(item, grader, chosen) for item in answers)
    _require_fitting(items, log, chosen)
    others = {}
    for name in grader.extractors:
        read = [_graded(item, grader, name) for item in answers] if name != chosen else []
        if _answered(read) >= FITTING * len(items):
            others[name] = sum(a.score is not b.score for a, b in zip(read, items, strict=True))
    found = replace(log, items=items, filters=grader.extractors, filter=chosen, metric=how)
    return replace(found, metrics=(how,)), others


def _each(item: Item) -> Iterator[Item]:
    for epoch, response in enumerate(item.responses, start=1):
        yield replace(item, responses=(response,), epoch=epoch)


def _graded(item: Item, grader: Grader, extractor: str) -> Item:
    if item.gold is None:
        return replace(item, score=None, reason="no answer key")
    match grader.grade(item.responses[0], item.gold, extractor, item.truncated is True):
        case Correct():
            return replace(item, score=True, reason="")
        case Wrong(reason):
            return replace(item, score=False, reason="" if reason == "answer" else reason)
        case Ungraded(reason):
            return replace(item, score=None, reason=reason)


def _answered(items: Sequence[Item]) -> int:
    return sum(item.reason != "no_answer" for item in items)


def _require_fitting(items: tuple[Item, ...], log: Log, extractor: str) -> None:
    read = _answered(items)
    if read < FITTING * len(items):
        raise GoniometerError(
            f"the extractor {extractor} finds an answer in few of these texts",
            file=log.name,
            found=f"{read} of {len(items)}",
            fix="name another with --filter",
        )
