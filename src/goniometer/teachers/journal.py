"""Answers kept as they come, so that a killed sampling goes on where it was. No torch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, final

from goniometer.errors import GoniometerError


@final
@dataclass(frozen=True)
class Journal:
    """Answers by key, in memory and in a file of JSON lines that only grows."""

    file: Path
    _answers: dict[str, Any]
    _opened: IO[bytes]

    def get(self, key: str, /) -> Any:
        """Return the answer of a key, None where there is none."""
        return self._answers.get(key)

    def __setitem__(self, key: str, answer: Any, /) -> None:
        """Keep an answer; it is with the operating system when this returns.

        Raises:
            GoniometerError: the file cannot be written.
        """
        line = json.dumps({"key": key, "answer": answer}, ensure_ascii=False) + "\n"
        try:
            self._opened.write(line.encode("utf-8", "surrogatepass"))
            self._opened.flush()
        except OSError as error:
            raise _unwritable(self.file, error) from None
        self._answers[key] = answer


@contextmanager
def journal(file: Path) -> Iterator[Journal]:
    """Open a journal, and cut off the line that a killed process left half-written.

    Raises:
        GoniometerError: the file cannot be written, or holds a line that is no answer.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a+b") as opened:
            opened.seek(0)
            lines = opened.read().splitlines(keepends=True)
            if lines and not lines[-1].endswith(b"\n"):
                opened.truncate(sum(map(len, lines[:-1])))
                del lines[-1]
            yield Journal(file, _read(lines, file), opened)
    except OSError as error:
        raise _unwritable(file, error) from None


def _read(lines: list[bytes], file: Path) -> dict[str, Any]:
    answers = {}
    for number, line in enumerate(lines, start=1):
        try:
            kept = json.loads(line)
            answers[kept["key"]] = kept["answer"]
        except (ValueError, KeyError, TypeError):
            raise GoniometerError(
                "not an answer that was kept",
                file=file,
                key=f"line {number}",
                fix="remove the line, and it is asked again",
            ) from None
    return answers


def _unwritable(file: Path, error: OSError) -> GoniometerError:
    return GoniometerError(f"cannot be written: {error.strerror}", file=file)
