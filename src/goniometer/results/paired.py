"""Evaluation logs in pairs, `paired.json`: a document of its own, as it needs no weights."""

from typing import Final, Literal

from goniometer.results.scores import Accuracy, Paired
from goniometer.results.values import Frozen

# Any change of a field is a new version.
PAIRED_VERSION: Final = 1


class LogScores(Frozen):
    """One log: what was read of it, and its accuracy on the items that all logs have."""

    accuracy: Accuracy
    source: str  # the log's format
    task: str
    filter: str | None  # the answer extractor
    metric: str
    items: int  # in the log, each epoch of an item counted
    dropped: int  # of these, not in every other log
    no_answer: int  # of the common ones, wrong as there is no answer to read
    truncated: int | None  # cut off, right or wrong; None where the log does not say
    others: dict[str, int]  # other extractor -> items of the log that it scores otherwise


class PairedLogs(Frozen):
    """Some evaluation logs of the same items, alone and in all pairs."""

    schema_version: Literal[1] = PAIRED_VERSION
    versions: dict[str, str]
    level: float  # of both families, after Holm
    margin: float
    items: int  # common to all logs, each epoch counted
    clusters: int | None  # distinct items, where they were asked several times
    runs: tuple[LogScores, ...]
    pairs: tuple[Paired, ...]
    notes: tuple[str, ...]  # what a reader should know of the logs


def paired_json(found: PairedLogs) -> str:
    """Serialise in the order of the fields, so that equal values are equal bytes."""
    return found.model_dump_json(indent=1) + "\n"
