"""Where cells run: a bare map over jobs. Local is one after another, on all threads allowed."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_local(function: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """Call the function for each job, in order, in this process."""
    return [function(job) for job in jobs]
