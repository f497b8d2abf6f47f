"""Work side by side, each piece on one thread: the numbers do not depend on the cores."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(
    work: Callable[[T], R], pieces: Sequence[T], *, most: int | None = None
) -> list[R]:
    """Apply `work` to all pieces, as many at once as torch has threads, `most` at most."""
    threads = torch.get_num_threads()
    workers = min(threads, most or threads)
    torch.set_num_threads(1)
    try:
        # A new thread starts with the default number of threads of its own.
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, pieces))
    finally:
        torch.set_num_threads(threads)
