"""Which format a log is of, and reading it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from goniometer.errors import GoniometerError
from goniometer.logs import generic, inspect_ai, lm_eval, zeroeval
from goniometer.logs.log import Log
from goniometer.logs.opened import Document, Opened, opened


@final
@dataclass(frozen=True)
class Format:
    """A kind of log: whether an opened file is one, and how it is read."""

    recognised: Callable[[Opened], bool]
    read: Callable[[Opened, str | None, str | None], Log]


# In this order: the first that recognises a file reads it.
FORMATS: dict[str, Format] = {
    lm_eval.NAME: Format(lm_eval.recognised, lm_eval.read),
    inspect_ai.NAME: Format(inspect_ai.recognised, inspect_ai.read),
    zeroeval.NAME: Format(zeroeval.recognised, zeroeval.read),
    generic.NAME: Format(generic.recognised, generic.read),
}
# What a folder is searched for.
_IN_FOLDERS = ("samples_*.jsonl", "*.eval")


def read_log(path: str | Path, *, filter: str | None = None, metric: str | None = None) -> Log:
    """Read one evaluation log, whatever wrote it.

    Args:
        path: a file, or a folder that holds one log.
        filter: which answer extractor's scores, where the log holds several (lm-eval).
        metric: which score, where the log holds several.

    Returns:
        The log; every item of it is once in each epoch. Answers without scores come ungraded.

    Raises:
        GoniometerError: no such file, one of no known format, or as the format's reader says:
            several filters or metrics and none named, ids that stand twice, a score that is
            neither 0 nor 1, a line that is not JSON (with its number).
    """
    found = opened(_file(Path(path)))
    for known in FORMATS.values():
        if known.recognised(found):
            return known.read(found, filter, metric)
    if isinstance(found, Document) and "results" in found.value:
        raise GoniometerError(
            "a summary without items",
            file=found.path,
            fix="name the samples_*.jsonl that lm-eval writes beside it with --log_samples",
        )
    raise GoniometerError(
        "a log of no known format", file=found.path, expected=f"one of {', '.join(FORMATS)}"
    )


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(file for pattern in _IN_FOLDERS for file in path.rglob(pattern))
    if len(found) == 1:
        return found[0]
    raise GoniometerError(
        "several logs in this folder" if found else "no log in this folder",
        file=path,
        found=", ".join(file.name for file in found) or None,
        expected=None if found else " or ".join(_IN_FOLDERS),
        fix="name the file",
    )
