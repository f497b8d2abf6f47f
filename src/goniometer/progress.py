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


@final
@dataclass(frozen=True)
class Bars:
    """Progress bars on stderr; without a terminal, one line a task as it ends."""

    progress: Progress

    @contextmanager
    def task(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show a task; the value is a function that advances it."""
        task = self.progress.add_task(title, total=total)
        started = time.monotonic()
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            # How many rollouts it takes is known when enough prompts are mixed, not before.
            expected = None if total is None else max(total, done)
            self.progress.update(task, completed=done, total=expected)

        yield advance
        self.progress.remove_task(task)
        seconds = time.monotonic() - started
        self.progress.console.print(f"{title} [dim]{seconds:.1f} s[/dim]", highlight=False)


@final
@dataclass(frozen=True)
class Silent:
    """Shows nothing."""

    @contextmanager
    def task(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Take note of nothing."""
        yield lambda _: None


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
