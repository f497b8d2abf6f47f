"""Where cells run: a bare map over jobs, here one after another or in processes of their own."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_local(function: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """Call the function for each job, in order, in this process."""
    return [function(job) for job in jobs]


def run_spawned(function: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """Call the function for each job, each in a fresh process, all at once.

    Function, jobs and results are pickled between our own processes. Spawned, not forked: a fork
    would inherit the threads of a process that has computed already, and hang.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(len(jobs), mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, jobs))
