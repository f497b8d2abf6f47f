"""Progress: bars on stderr for a person who waits, or nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@runtime_checkable
class Shown(Protocol):
    """Something that can show the progress of a task."""

    def task(self, title: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """Show a task; the value is a function that advances it."""
        ...

    def say(self, line: str) -> None:
        """Say what is about to be done."""
        ...


FORECAST = 30  # seconds into a task at which, without a terminal, the rest is forecast


@final
@dataclass(frozen=True)
class Bars:
    """Progress bars on stderr; without a terminal, one line a task as it ends.

    Without a terminal a task that takes long says once how much of it is done by then, and how
    long the rest takes at that rate.
    """

    progress: Progress

    @contextmanager
    def task(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show a task; the value is a function that advances it."""
        task = self.progress.add_task(title, total=total)
        started = time.monotonic()
        done = 0
        forecast = self.progress.console.is_interactive  # by a bar

        def advance(count: int) -> None:
            nonlocal done, forecast
            done += count
            seconds = time.monotonic() - started
            if not forecast and total and 0 < done < total and seconds >= FORECAST:
                forecast = True
                left = seconds * (total - done) / done
                self.say(f"{title}: {done} of {total} in {seconds:.0f} s, about {left:.0f} s left")
            # How many rollouts it takes is known when enough prompts are mixed, not before.
            expected = None if total is None else max(total, done)
            self.progress.update(task, completed=done, total=expected)

        yield advance
        self.progress.remove_task(task)
        seconds = time.monotonic() - started
        self.progress.console.print(f"{title} [dim]{seconds:.1f} s[/dim]", highlight=False)

    def say(self, line: str) -> None:
        """Print a line."""
        self.progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


@final
@dataclass(frozen=True)
class Silent:
    """Shows nothing."""

    @contextmanager
    def task(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Take note of nothing."""
        yield lambda _: None

    def say(self, line: str) -> None:
        """Say nothing."""


@contextmanager
def bars() -> Iterator[Bars]:
    """Open the progress display."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    if not progress.console.is_interactive:  # rich would end it with an empty line
        yield Bars(progress)
        return
    with progress:
        yield Bars(progress)
