"""Logs to one document: accuracies, all pairs, and what a reader should know of the logs."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from itertools import combinations

from goniometer.errors import GoniometerError
from goniometer.logs import Item
from goniometer.paired.join import Joined, join
from goniometer.paired.sources import Source
from goniometer.results.paired import LogScores, PairedLogs
from goniometer.statistics import LEVEL, accuracy, compare_all

MARGIN = 0.02
VERSIONED = ("goniometer", "numpy", "scipy")


def compare_logs(
    sources: Mapping[str, Source], margin: float = MARGIN, *, allow_partial: bool = False
) -> PairedLogs:
    """Compare every pair of logs on the items that all have.

    Epochs of an item are one cluster: the tests are then of items, not of samples.

    Args:
        sources: logs by name.
        margin: the difference of accuracies within which two count as equivalent.
        allow_partial: compare also where less than 90 % of the items are common.

    Raises:
        GoniometerError: answers without scores, too few common items, or as `compare_all`.
    """
    for name, source in sources.items():
        if source.log.metric is None:
            raise GoniometerError(
                "answers without scores", file=name, fix="grade them with --grade, as in gsm8k"
            )
    joined = join(
        {name: source.log for name, source in sources.items()}, allow_partial=allow_partial
    )
    grades = {
        name: {key: item.grade for key, item in items.items()}
        for name, items in joined.items.items()
    }
    clusters = joined.clusters
    return PairedLogs(
        versions={name: version(name) for name in VERSIONED},
        level=LEVEL,
        margin=margin,
        items=len(next(iter(grades.values()))),
        clusters=len(set(clusters.values())) if clusters else None,
        runs=tuple(_scores(name, source, joined) for name, source in sources.items()),
        pairs=compare_all(grades, margin, clusters),
        notes=tuple(_notes(joined)),
    )


def _scores(name: str, source: Source, joined: Joined) -> LogScores:
    log, items = source.log, joined.items[name]
    said = [item.truncated for item in items.values() if item.truncated is not None]
    return LogScores(
        accuracy=accuracy(name, {key: item.grade for key, item in items.items()}),
        source=log.source,
        task=log.task,
        filter=log.filter,
        metric=log.metric or "",
        items=len(log.items),
        dropped=joined.dropped[name],
        no_answer=sum(item.grade == "wrong:no_answer" for item in items.values()),
        truncated=sum(said) if said else None,
        others=source.others,
    )


def _notes(joined: Joined) -> Iterator[str]:
    """What could mislead: one log twice, other prompts, keys that do not parse, repeats."""
    for a, b in combinations(joined.items, 2):
        one, other = joined.items[a], joined.items[b]
        if all(_same_text(one[key], other[key]) for key in one):
            yield f"{a} and {b} gave the same text to every item: one model twice?"
        prompts = [(one[key].prompt, other[key].prompt) for key in one]
        differ = sum(bool(p and q) and p != q for p, q in prompts)
        if differ:
            yield f"{a} and {b} were prompted differently at {differ} of {len(prompts)} items"
    for name, items in joined.items.items():
        reasons = [item.reason or "no score" for item in items.values() if item.score is None]
        for reason in sorted(set(reasons)):
            yield f"{name}: {reasons.count(reason)} ungraded: {reason}"
    if joined.clusters:
        yield (
            "items were asked several times: tests and intervals of differences are of items, not "
            "of samples; Wilson intervals take samples as independent and are too narrow"
        )


def _same_text(one: Item, other: Item) -> bool:
    return bool(one.responses) and one.responses == other.responses
