"""GSM8K (arXiv 2110.14168): school word problems from files of `question` and `answer`.

An answer is a solution with its sums in `<<a=b>>` and its number after `####`. The test file is the
test; the train file is cut into the other splits by a hash of each question.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, final

from goniometer.errors import AbsentError, GoniometerError
from goniometer.tasks.answers import MARKER, final_answer, graded_by_answer
from goniometer.tasks.base import AbstractTask, Grade, Problem, Split

# Upper ends in the hash space of the train file's questions.
_SPLITS: tuple[tuple[Split, float], ...] = (("pretrain", 0.30), ("train", 0.90), ("validation", 1))


@final
@dataclass(frozen=True)
class GSM8K(AbstractTask):
    """GSM8K from local files, JSON lines or Parquet; both are read, and checked, on creation.

    A question that stands twice counts once, and one of the test file is in no other split,
    whatever its case and spaces.

    Attributes:
        file: of the training problems.
        test_file: of the test problems.

    Raises:
        GoniometerError: on creation: no such file, or a row that is no problem.
    """

    name: ClassVar[str] = "gsm8k"
    file: str
    test_file: str
    parts: dict[Split, tuple[Problem, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read both files."""
        test = {_key(problem): problem for problem in _read(Path(self.test_file))}
        parts: dict[Split, dict[str, Problem]] = {split: {} for split, _ in _SPLITS}
        for problem in _read(Path(self.file)):
            if (key := _key(problem)) not in test:
                parts[_split_of(key)].setdefault(key, problem)
        whole = {**parts, "test": test}
        tuples = {split: tuple(problems.values()) for split, problems in whole.items()}
        object.__setattr__(self, "parts", tuples)

    @property
    def fingerprint(self) -> str:
        """Hash of all problems, wherever the files lie."""
        digest = hashlib.sha256(repr((self.name, sorted(self.parts.items()))).encode())
        return f"{self.name} {digest.hexdigest()}"

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """Take problems in an order drawn by the seed; fewer where the split has not so many."""

        def place(problem: Problem) -> bytes:
            return hashlib.sha256(f"{seed}/{split}/{problem.id}".encode()).digest()

        return tuple(sorted(self.parts[split], key=place)[:count])

    def grade(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Compare the number after the last `####`; a completion without an end is truncated."""
        return graded_by_answer(problem, completion, truncated=truncated)


def _key(problem: Problem) -> str:
    return " ".join(problem.question.casefold().split())


def _split_of(key: str) -> Split:
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return next((split for split, upper in _SPLITS if share < upper), "validation")


def _read(path: Path) -> Iterator[Problem]:
    if not path.is_file():
        raise AbsentError("no such file of problems", file=path)
    for number, row in enumerate(_rows(path), start=1):
        texts = [row.get(key) if isinstance(row, dict) else None for key in ("question", "answer")]
        question, solution = (text if isinstance(text, str) else "" for text in texts)
        answer = final_answer(solution)
        if not question.strip() or answer is None:
            raise GoniometerError(
                "no problem of GSM8K",
                file=path,
                key=f"row {number}",
                found=json.dumps(row, default=str)[:80],
                expected=f"the texts question and answer, its number after {MARKER}",
            )
        yield Problem(question=question, answer=answer, solution=solution)


def _rows(path: Path) -> list[Any]:
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return list(pq.read_table(path).to_pylist())
        return [json.loads(line) for line in path.read_bytes().splitlines() if line]
    except (ValueError, OSError, RecursionError) as error:  # of JSON, UTF-8 and Arrow alike
        raise GoniometerError(f"neither JSON lines nor Parquet: {error}", file=path) from None
