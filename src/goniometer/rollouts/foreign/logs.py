"""Rollouts out of evaluation logs: lm-eval's samples, Inspect's, and what else `logs` reads."""

from collections.abc import Iterator
from pathlib import Path

from goniometer.logs import Item, read_log
from goniometer.rollouts.foreign.said import NO_LABEL, Said, Turn, Unusable
from goniometer.tasks import Correct, Grade, Ungraded, Wrong

SHARED_SCORE = "one score of several answers"


def log_rows(
    path: Path, wanted_filter: str | None, wanted_metric: str | None
) -> Iterator[Said | Unusable]:
    """Yield each answer of each item; an item's one score is that of its one answer.

    Raises:
        GoniometerError: as `read_log`.
    """
    log = read_log(path, filter=wanted_filter, metric=wanted_metric)
    for item in log.items:
        where = f"{path}: item {item.id}"
        if not item.prompt.strip() or not item.responses:
            yield Unusable("the log has no prompt or no answer", where)
            continue
        grade = _grade(item) if len(item.responses) == 1 else Ungraded(SHARED_SCORE)
        for response in item.responses:
            yield Said(
                prompt=(Turn("user", item.prompt.strip()),),
                completion=response,
                grade=grade,
                where=where,
                gold=item.gold,
                truncated=item.truncated,
            )


def _grade(item: Item) -> Grade:
    if item.score is None:
        return Ungraded(item.reason or NO_LABEL)
    if item.score:
        return Correct()
    return Wrong("no_answer" if item.reason == "no_answer" else "answer")
