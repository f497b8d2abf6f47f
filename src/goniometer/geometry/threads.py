"""Work side by side, each piece on one thread: the numbers do not depend on the cores."""

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

_M_MMAP_THRESHOLD = -3  # of malloc.h
T = TypeVar("T")
R = TypeVar("R")


def side_by_side(
    work: Callable[[T], R], pieces: Sequence[T], *, most: int | None = None
) -> list[R]:
    """Apply `work` to all pieces, as many at once as torch has threads, `most` at most."""
    threads = torch.get_num_threads()
    workers = min(threads, most or threads)
    # A new thread starts with the default number of threads of its own.
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    with one_thread(), pool:
        return list(pool.map(work, pieces))


@contextmanager
def one_thread() -> Iterator[None]:
    """Many small operations: threads would cost each more than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def return_freed_memory() -> None:
    """Let glibc give blocks of 1 MB and more back as they are freed.

    By itself it raises that size to 32 MB as it goes, and blocks of rows stay resident in arenas
    of each thread.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 1 << 20)
