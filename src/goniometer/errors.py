"""The one exception a user is meant to see: bad input, said in one line a fault."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import final

_LONGEST = 500  # characters of each part


class GoniometerError(Exception):
    """Input that cannot be used: file, key, what was found, what was expected, what to do.

    The command line prints it as one line and exits with code 2. Anything else that
    reaches the user as a traceback is a bug.
    """

    def __init__(
        self,
        message: str,
        *,
        file: object = None,
        key: str | None = None,
        found: object = None,
        expected: object = None,
        fix: str | None = None,
    ) -> None:
        """Compose the line from its parts; every part but the message may be absent."""
        where = ": ".join(_short(part) for part in (file, key) if part is not None)
        line = f"{where}: {_short(message)}" if where else _short(message)
        if found is not None:
            line += f"; found {_short(found)}"
        if expected is not None:
            line += f"{',' if found is not None else ';'} expected {_short(expected)}"
        if fix is not None:
            line += f". {_short(fix[0].upper() + fix[1:])}"
        super().__init__(_printable(" ".join(line.split())))

    @property
    def faults(self) -> tuple["GoniometerError", ...]:
        """The single faults: this one, where it is no collection."""
        return (self,)


@final
class AbsentError(GoniometerError):
    """Something that a study needs and that is not on this machine: it can still be planned."""


@final
class GoniometerErrors(GoniometerError):  # noqa: N818 (several errors)
    """Several faults of one input, found at once: one line each."""

    def __init__(self, faults: Iterable[GoniometerError]) -> None:
        """Hold the single faults in the order given; a collection among them is taken apart."""
        self._faults = tuple(single for fault in faults for single in fault.faults)
        Exception.__init__(self, "\n".join(map(str, self._faults)))

    @property
    def faults(self) -> tuple[GoniometerError, ...]:
        """The single faults."""
        return self._faults


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, here or on a GPU; told by name, as no torch is imported here."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    # Of torch, for the memory of the machine.
    return named or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))


@final
class Faults:
    """Collects faults, so that a user reads all of them at once and not one a run."""

    def __init__(self) -> None:
        """Start with none."""
        self.found: list[GoniometerError] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep the error that the block raises, if it is one for the user, and go on after it."""
        try:
            yield
        except GoniometerError as error:
            self.found += error.faults

    def raise_any(self) -> None:
        """Raise what was collected, equal lines once; nothing where there is nothing.

        Raises:
            GoniometerError: the one fault, or GoniometerErrors with several.
        """
        distinct = list({str(fault): fault for fault in self.found}.values())
        if len(distinct) == 1:
            raise distinct[0]
        if distinct:
            raise GoniometerErrors(distinct)


def _short(part: object) -> str:
    text = str(part)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _printable(line: str) -> str:
    """Escape what would move a terminal's cursor, turn the text round or not be encoded."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
