"""Several pairs judged together: Holm's adjustment, and what margin it leaves to each pair."""

from collections.abc import Sequence

import numpy as np

from goniometer.statistics.tango import Table, falls_through, quantile


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjustment (Scand J Statist 6, 1979): family-wise, any dependence."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return tuple(adjusted)


def smallest_margins_holm(tables: Sequence[Table], level: float) -> tuple[float, ...]:
    """Of each table, the margin above which its Holm-adjusted TOST shows equivalence.

    All tables are tested at that margin. Holm closes Bonferroni tests: a table stands at margin m
    unless it and k - 1 others all need more than m at level / k. With m_i(k) what table i needs at
    level / k alone, its threshold is max over k of min(m_i(k), k-th largest m_j(k)).
    """
    size = len(tables)
    if size == 0:
        return ()
    rows = [(table.only_a, table.only_b, table.n, table.freedom) for table in tables]
    b, c, n, freedom = np.array(rows, float).T
    z = quantile(1 - level / np.arange(1, size + 1)[:, None], freedom)
    needed = np.maximum(-falls_through(b, c, n, z), falls_through(b, c, n, -z))  # [k, table]
    largest = np.diagonal(np.sort(needed, axis=1)[:, ::-1])  # the k-th of row k
    return tuple(np.minimum(needed, largest[:, None]).max(axis=0).tolist())
