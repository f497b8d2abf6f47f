"""What a source says, of whatever kind it is: a file, a folder, a data set of the Hub, a log."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, final

from goniometer.deltas.hub import hub_id
from goniometer.errors import GoniometerError
from goniometer.logs import FORMATS as LOGS
from goniometer.logs.opened import Rows, opened
from goniometer.options import nearest
from goniometer.rollouts.data import Rollout
from goniometer.rollouts.foreign.keys import Fields, check_fields
from goniometer.rollouts.foreign.layouts import LAYOUTS
from goniometer.rollouts.foreign.layouts import Rows as SaidRows
from goniometer.rollouts.foreign.logs import log_rows
from goniometer.rollouts.records import records
from goniometer.rollouts.sources import rollout_of
from goniometer.tasks.hub import dataset_rows

AUTO, TOKENS, LOG = "auto", "tokens", "log"
FORMATS = (AUTO, TOKENS, *LAYOUTS, LOG)
_LOGS = ("samples_*.jsonl", "*.eval")
_JSON = (".json", ".json.gz")  # one document: a log, or a list of records


@final
@dataclass(frozen=True)
class Source:
    """Where rollouts come from, and how to read them.

    Attributes:
        reference: a file; a folder; OWNER/NAME@REVISION, a data set of the Hub.
        format: one of FORMATS; `auto` goes by the first record's keys.
        fields: keys by what they hold, where they have no usual name.
        split: of a data set.
        subset: of a data set that has several.
        filter: of a log that has scores of several answer extractors.
        metric: of a log that has several scores.

    Raises:
        GoniometerError: on creation: an unknown format or field.
    """

    reference: str
    format: str = AUTO
    fields: Fields = field(default_factory=dict)
    split: str = "train"
    subset: str | None = None
    filter: str | None = None
    metric: str | None = None

    def __post_init__(self) -> None:
        """Refuse a format or a field that there is not."""
        if self.format not in FORMATS:
            fix = nearest(self.format, FORMATS)
            raise GoniometerError(f"unknown format {self.format!r}", key="format", fix=fix)
        check_fields(self.fields)


def read(source: Source) -> Iterator[Rollout] | SaidRows:
    """Yield what a source says, row by row: texts, or rollouts where it holds token ids.

    Raises:
        GoniometerError: no such source, no rows, a format that does not fit, or the first row that
            cannot be read, by its number.
    """
    path = Path(source.reference)
    if source.format == LOG or (source.format == AUTO and _is_log(path)):
        yield from log_rows(path, source.filter, source.metric)
        return
    places = _records(source, path)
    first = next(places, None)
    if first is None:
        raise GoniometerError("no rollouts in it", file=source.reference)
    name = _format_of(*first, source) if source.format == AUTO else source.format
    for where, record in chain([first], places):
        place = f"{source.reference}: {where}"
        if name == TOKENS:
            yield rollout_of(record, path, where)
            continue
        if not isinstance(record, dict):
            raise GoniometerError("no record of keys", file=place, found=repr(record)[:60])
        yield from LAYOUTS[name].read(record, source.fields, place)


def is_tokens(source: Source) -> bool:
    """Say whether a file holds token ids, as `sources` has them, and no texts."""
    path = Path(source.reference)
    if source.format != AUTO or _is_log(path):
        return source.format == TOKENS
    first = next(_records(source, path), None)
    return first is None or _format_of(*first, source) == TOKENS


def _is_log(path: Path) -> bool:
    if path.is_dir():
        return any(next(path.rglob(pattern), None) is not None for pattern in _LOGS)
    if any(path.match(pattern) or path.match(f"{pattern}.gz") for pattern in _LOGS):
        return True
    if not path.is_file() or path.suffix == ".parquet":
        return False
    if path.name.endswith(_JSON):
        found = opened(path)
        return not isinstance(found, Rows) or any(log.recognised(found) for log in LOGS.values())
    _, first = next(records(path), ("", None))
    return isinstance(first, dict) and {"doc", "resps"} <= first.keys()


def _records(source: Source, path: Path) -> Iterator[tuple[str, Any]]:
    if path.is_file():
        return iter(_listed(path)) if path.name.endswith(_JSON) else records(path)
    asked = hub_id(source.reference) if "@" in source.reference else None
    if path.is_dir() or asked is not None:
        return dataset_rows(source.reference, source.split, source.subset, streamed=True)
    raise GoniometerError(
        "no such file of rollouts", file=source.reference,
        fix="name a file or folder, or a data set of the Hub with its revision, as "
        "owner/name@main: nothing is fetched without one",
    )  # fmt: skip


def _listed(path: Path) -> tuple[tuple[str, Any], ...]:
    found = opened(path)
    if not isinstance(found, Rows):
        raise GoniometerError("no list of records", file=path, fix="read a log by --format log")
    return found.rows


def _format_of(where: str, record: Any, source: Source) -> str:
    keys = record.keys() if isinstance(record, dict) else ()
    if {"prompt_tokens", "completion_tokens"} <= set(keys):
        return TOKENS
    for name, layout in LAYOUTS.items():
        if keys and layout.fits(record, source.fields):
            return name
    raise GoniometerError(
        "no format that is known here",
        file=source.reference,
        key=where,
        found=f"the keys {', '.join(map(str, keys))}" if keys else repr(record)[:60],
        expected="prompt and completion, prompt and a list of outputs, or chosen and rejected",
        fix="name keys by --field prompt=KEY --field completion=KEY --field label=KEY",
    )
