"""Where cells run: a bare map over jobs, here one after another or in processes of their own."""

import os
import signal
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any, TypeVar

from goniometer.errors import GoniometerError

Given = TypeVar("Given")
Job = TypeVar("Job")
Result = TypeVar("Result")

_opened: list[Callable[[Any], Any]] = []  # what this spawned process has opened


def run_local(function: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """Call the function for each job, in order, in this process."""
    return [function(job) for job in jobs]


def run_spawned(
    opening: Callable[[Given], Callable[[Job], Result]],
    given: Given,
    jobs: Sequence[Job],
    *,
    workers: int,
    done: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Call `opening(given)(job)` for each job, in fresh processes that each open once.

    Whoever is free takes the next job. `done` is called here with each result as it comes; if it
    raises, what has not begun is not begun. Processes end with this one, also where it is killed.
    Function, jobs and results are pickled between our own processes. Spawned, not forked: a fork
    would inherit the threads of a process that has computed already, and hang.

    Returns:
        The results in the order of the jobs.

    Raises:
        GoniometerError: a process was ended from outside, by a lack of memory for one.
    """
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent) as pool:
        futures = [pool.submit(_call, opening, given, job) for job in jobs]
        try:
            for future in as_completed(futures):
                done(future.result())
        except BrokenProcessPool:
            raise GoniometerError(
                "a process that trains cells was ended from outside, perhaps for want of memory",
                key="training.workers",
                found=workers,
                fix="take fewer; what is finished is kept",
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what runs ends first: it writes
            raise
    return [future.result() for future in futures]


def _call(opening: Callable[[Given], Callable[[Job], Result]], given: Given, job: Job) -> Result:
    if not _opened:
        _opened.append(opening(given))
    result: Result = _opened[0](job)
    return result


def _follow_parent() -> None:
    """End this process with its parent, which else another may start beside; quietly at Ctrl-C."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of a shell's background job
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()
