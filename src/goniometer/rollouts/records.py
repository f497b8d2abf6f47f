"""Records of a file, one at a time: JSON lines, plain or gzipped, and Parquet."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from goniometer.errors import GoniometerError

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz")
_GZIP = b"\x1f\x8b"
_BATCH = 1024  # rows of Parquet in memory at once


def records(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield each record with its place, `line 3` or `row 3`; empty lines are passed over.

    Raises:
        GoniometerError: no such file, another kind of file, or the first line that is not JSON,
            by its number.
    """
    if not path.is_file():
        raise GoniometerError("no such file of rollouts", file=path)
    if path.name.endswith(".parquet"):
        yield from _parquet_rows(path)
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        yield from _json_lines(path)
    else:
        raise GoniometerError(
            "not a file of rollouts", file=path, expected=f"a name in {' or '.join(SUFFIXES)}"
        )


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for record in batch.to_pylist():
                    number += 1
                    yield f"row {number}", record
    except (pa.ArrowException, OSError) as error:
        raise GoniometerError(f"not a whole Parquet file: {error}", file=path) from None


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    number = 0
    try:
        with path.open("rb") as file:
            zipped = file.peek(2)[:2] == _GZIP  # whatever its name says
            lines = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if zipped else file
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"line {number}", json.loads(line)
    except (ValueError, RecursionError) as error:
        raise GoniometerError(f"not JSON: {error}", file=path, key=f"line {number}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise GoniometerError(f"not a whole gzip file: {error}", file=path) from None
