"""Arguments of the command line to logs: `NAME=PATH` or `PATH`, read and, if asked, graded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from goniometer.comparison.names import name_runs
from goniometer.logs import Log, read_log
from goniometer.progress import Shown, Silent


@final
@dataclass(frozen=True)
class Source:
    """A log, and by each other extractor the items that it scores otherwise (graded here)."""

    log: Log
    others: dict[str, int]


def read_named(
    arguments: Sequence[str],
    *,
    filter: str | None = None,
    metric: str | None = None,
    grade: str | None = None,
    shown: Shown | None = None,
) -> dict[str, Source]:
    """Read logs by name: as given, else the model's where all differ, else the file's.

    Args:
        arguments: `NAME=PATH` or `PATH`.
        filter: which answer extractor's scores.
        metric: which score.
        grade: grade answers without scores by this grader.
        shown: where to show progress.

    Raises:
        GoniometerError: fewer than two, one name twice, or as `read_log` and `graded` say.
    """
    named = name_runs(arguments)
    found: dict[str, Source] = {}
    with (shown or Silent()).task("read logs", len(named)) as advance:
        for name, path in named.items():
            found[name] = _source(path, filter, metric, grade)
            advance(1)
    given = [
        argument.startswith(f"{name}=") for name, argument in zip(named, arguments, strict=True)
    ]
    names = [
        name if is_given else _shown(found[name].log.name)
        for name, is_given in zip(found, given, strict=True)
    ]
    if len(set(names)) < len(names):
        return found
    return dict(zip(names, found.values(), strict=True))


def _source(path: str, wanted: str | None, metric: str | None, grade: str | None) -> Source:
    if grade is None:
        return Source(read_log(path, filter=wanted, metric=metric), {})
    from goniometer.logs.grading import graded

    return Source(*graded(read_log(path, metric=metric), grade, wanted))


def _shown(name: str) -> str:
    """A name out of a file, without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
