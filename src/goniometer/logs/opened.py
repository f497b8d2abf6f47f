"""A log file, opened: JSON lines, one JSON document or a zip archive, whatever it is called."""

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, final

from goniometer.errors import GoniometerError

Row = dict[str, Any]


@final
@dataclass(frozen=True)
class Rows:
    """JSON lines, or one JSON list, of objects; each with where it stands (`line 3`)."""

    path: Path
    rows: tuple[tuple[str, Row], ...]


@final
@dataclass(frozen=True)
class Document:
    """One JSON object."""

    path: Path
    value: Row


@final
@dataclass(frozen=True)
class Archive:
    """A zip archive."""

    path: Path


Opened = Rows | Document | Archive


def opened(path: Path) -> Opened:
    """Open a log, gzipped or not.

    Raises:
        GoniometerError: no such file, an empty one, a line that is not JSON (with its number),
            or a damaged one.
    """
    data = _content(path)
    if data[:4] == b"PK\x03\x04":
        return Archive(path)
    if not data.strip():
        raise GoniometerError("an empty file", file=path)
    if data.lstrip()[:1] == b"[":
        return _listed(path, data)
    lines = [(n, line) for n, line in enumerate(data.split(b"\n"), start=1) if line.strip()]
    first = _parsed(lines[0][1])
    if isinstance(first, ValueError) or len(lines) == 1:
        whole = _parsed(data)
        if isinstance(whole, dict) and not _a_row(whole):
            return Document(path, whole)
    return Rows(path, tuple((f"line {n}", _row(path, f"line {n}", line)) for n, line in lines))


def _a_row(value: Row) -> bool:
    """Whether an only object is a line of one item, and no document of many."""
    return not ("samples" in value or "eval" in value or "results" in value)


def _listed(path: Path, data: bytes) -> Rows:
    value = _parsed(data)
    if not isinstance(value, list):
        _refuse_line(path, "file", value)
    for n, row in enumerate(value, start=1):
        if not isinstance(row, dict):
            _refuse_line(path, f"entry {n}", row)
    return Rows(path, tuple((f"entry {n}", row) for n, row in enumerate(value, start=1)))


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise GoniometerError("no such file", file=path)
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise GoniometerError(f"cannot be read: {error}", file=path) from None


def _row(path: Path, where: str, line: bytes) -> Row:
    value = _parsed(line)
    if not isinstance(value, dict):
        _refuse_line(path, where, value, line)
    return value


def _parsed(text: bytes) -> Any:
    """The JSON value, or the ValueError that it gives."""
    try:
        return json.loads(text)
    except ValueError as error:  # of UTF-8 too
        return error
    except RecursionError:
        return ValueError("nested too deep")


def _refuse_line(path: Path, where: str, value: Any, line: bytes | None = None) -> NoReturn:
    broken = isinstance(value, ValueError)
    raise GoniometerError(
        f"not JSON: {value}" if broken else "no JSON object",
        file=path,
        key=where,
        found=repr(line[:60]) if line is not None else None,
        expected="a JSON object an item",
    )
