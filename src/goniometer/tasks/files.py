"""Problems in files, JSON lines or Parquet: read, and cut into splits that never overlap.

The test file is the test; the train file is cut into the other splits by a hash of each question.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from goniometer.errors import AbsentError, GoniometerError
from goniometer.tasks.base import Problem, Split

Parts = Mapping[Split, tuple[Problem, ...]]

# Upper ends in the hash space of the train file's questions.
_SPLITS: tuple[tuple[Split, float], ...] = (("pretrain", 0.30), ("train", 0.90), ("validation", 1))


def rows(path: Path) -> list[Any]:
    """Return the rows of a file of problems.

    Raises:
        GoniometerError: neither JSON lines nor Parquet; AbsentError where there is no such file.
    """
    if not path.is_file():
        raise AbsentError("no such file of problems", file=path)
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return list(pq.read_table(path).to_pylist())
        return [json.loads(line) for line in path.read_bytes().splitlines() if line]
    except (ValueError, OSError, RecursionError) as error:  # of JSON, UTF-8 and Arrow alike
        raise GoniometerError(f"neither JSON lines nor Parquet: {error}", file=path) from None


def parted(train: Iterable[Problem], test: Iterable[Problem]) -> Parts:
    """Cut into splits; a question that stands twice counts once, and one of the test only there.

    Questions are the same whatever their case and spaces.
    """
    tests = {_key(problem): problem for problem in test}
    parts: dict[Split, dict[str, Problem]] = {split: {} for split, _ in _SPLITS}
    for problem in train:
        if (key := _key(problem)) not in tests:
            parts[_split_of(key)].setdefault(key, problem)
    whole = {**parts, "test": tests}
    return {split: tuple(problems.values()) for split, problems in whole.items()}


def in_order(parts: Parts, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
    """Take problems in an order drawn by the seed; fewer where the split has not so many."""

    def place(problem: Problem) -> bytes:
        return hashlib.sha256(f"{seed}/{split}/{problem.id}".encode()).digest()

    return tuple(sorted(parts[split], key=place)[:count])


def _key(problem: Problem) -> str:
    return " ".join(problem.question.casefold().split())


def _split_of(key: str) -> Split:
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return next((split for split, upper in _SPLITS if share < upper), "validation")
