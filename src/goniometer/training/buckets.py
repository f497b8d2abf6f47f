"""Rows of a step put together by length, so that little of a batch is padding."""

from collections.abc import Sequence

# What a run of the network costs beside its tokens, in tokens: on a CPU little, on a GPU the time
# in which it would have done some thousands more.
RUN_COST = {"cpu": 32, "cuda": 4096}


def buckets(lengths: Sequence[int], run_cost: int) -> list[list[int]]:
    """Split rows into runs of similar length, so that padded tokens plus runs cost the least.

    Sorted by length (the first of equals first), rows that run together are neighbours: by dynamic
    programming over where to cut, exact. A run of n rows costs n times its longest length.

    Args:
        lengths: tokens of each row.
        run_cost: of one more run, in tokens.

    Returns:
        The rows of each run, shortest first.
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    best, cut = [0], [0]  # of the first n rows: the least cost, and where its last run starts
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        cost, start = min(
            (best[start] + (end - start) * longest + run_cost, start) for start in range(end)
        )
        best.append(cost)
        cut.append(start)
    runs, end = [], len(order)
    while end:
        runs.append(order[cut[end] : end])
        end = cut[end]
    return runs[::-1]
