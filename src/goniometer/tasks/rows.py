"""Tasks whose problems stand in files or data sets: read once, checked, cut into splits.

Training problems come from `file` or `source`, test problems from `test_file`, `test_source` or
the test split of `source`. A file is JSON lines or Parquet; a source is a folder of data files or
a name of the Hub.
"""

import abc
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from goniometer.errors import GoniometerError
from goniometer.tasks.base import AbstractTask, Problem, Split
from goniometer.tasks.files import Parts, in_order, parted, rows
from goniometer.tasks.hub import dataset_rows, on_hub


@dataclass(frozen=True, kw_only=True)
class AbstractRowsTask(AbstractTask):
    """A task of rows. All are read, and checked, on creation.

    Attributes:
        file: of the training problems.
        test_file: of the test problems.
        source: in place of `file`, and of a test where none is given: a data set,
            `owner/name@revision` of the Hub or a folder here.
        test_source: another one for the test.
        subset: of `source`; None is its only one.
        test_subset: of `test_source`.
        train_split: of `source`.
        test_split: of `test_source`, or else of `source`.

    Raises:
        GoniometerError: on creation: nothing is given, no such file or data set, or a row that is
            no problem.
    """

    hub_subset: ClassVar[str | None] = None  # of `source`, where it is of the Hub and none is given
    expected: ClassVar[str]  # what a row holds, for an error

    file: str | None = None
    test_file: str | None = None
    source: str | None = None
    test_source: str | None = None
    subset: str | None = None
    test_subset: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    parts: Parts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read all rows."""
        self._check_given()
        parts = parted(self._read(*self._train()), self._read(*self._test()))
        object.__setattr__(self, "parts", parts)

    @abc.abstractmethod
    def problem_of(self, row: dict[str, Any]) -> Problem | None:
        """Make the problem of a row; None where the row holds none, or its key is no answer."""

    @property
    def options(self) -> str:
        """What grades depend on beside the problems; empty at the defaults."""
        return ""

    @property
    def fingerprint(self) -> str:
        """Hash of all problems, wherever they lie, and the options of the grader."""
        digest = hashlib.sha256(repr((self.name, sorted(self.parts.items()))).encode())
        return f"{self.name} {digest.hexdigest()} {self.options}".rstrip()

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """Take problems in an order drawn by the seed; fewer where the split has not so many."""
        return in_order(self.parts, split, count, seed)

    def _check_given(self) -> None:
        if not any((self.file, self.test_file, self.source, self.test_source)):
            raise GoniometerError("no problems are given", expected="file and test_file, or source")
        for one, other in (("file", "source"), ("test_file", "test_source")):
            if getattr(self, one) and getattr(self, other):
                raise GoniometerError(f"{one} and {other} both give the same problems")

    def _train(self) -> tuple[str | None, Iterator[tuple[str, Any]]]:
        if self.file:
            return self.file, _file_rows(self.file)
        return self.source, self._of_source(self.source, self.train_split, self.subset)

    def _test(self) -> tuple[str | None, Iterator[tuple[str, Any]]]:
        if self.test_file:
            return self.test_file, _file_rows(self.test_file)
        if self.test_source:
            found = self._of_source(self.test_source, self.test_split, self.test_subset)
            return self.test_source, found
        return self.source, self._of_source(self.source, self.test_split, self.subset)

    def _of_source(
        self, source: str | None, split: str, subset: str | None
    ) -> Iterator[tuple[str, Any]]:
        if source is None:
            return iter(())
        own = self.hub_subset if subset is None and on_hub(source) else subset
        return dataset_rows(source, split, own)

    def _read(self, where: str | None, found: Iterator[tuple[str, Any]]) -> Iterator[Problem]:
        for place, row in found:
            problem = self.problem_of(row) if isinstance(row, dict) else None
            if problem is None or not problem.question.strip():
                raise GoniometerError(
                    f"no problem of {type(self).__name__}",
                    file=where,
                    key=place,
                    found=json.dumps(row, default=str, ensure_ascii=False)[:80],
                    expected=self.expected,
                )
            yield problem


def text_of(row: dict[str, Any], *keys: str) -> str:
    """Give the first of these keys that a row holds as a text or a number, else an empty text."""
    for key in keys:
        value = row.get(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
    return ""


def _file_rows(file: str) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(rows(Path(file)), start=1):
        yield f"row {number}", row
