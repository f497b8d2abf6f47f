"""Difference of two paired proportions: Tango's score interval and the equivalence test.

Tango, Statistics in Medicine 17 (1998) 891: the score statistic of H0: p_a - p_b = D is
T(D) = (b - c - N D) / sqrt(N (2q + D (1 - D))), with b = only_a, c = only_b and q the maximum
likelihood estimate of P(only b) under H0, the larger root of A q^2 + B q + C with A = 2N,
B = -b - c + (2N - b + c) D, C = -c D (1 - D). T falls from +inf at D = -1 to -inf at D = 1.

Everything here also works on arrays of tables, and on the effective counts of clustered problems
(clusters.py), which need not be whole; their T is held against Student's t.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from goniometer.errors import GoniometerError

# Each halving of [-1, 1] adds one bit; 60 reach the last one of a double.
HALVINGS = 60


@runtime_checkable
class Table(Protocol):
    """Discordant counts among n problems, and the degrees of freedom of their variance."""

    @property
    def only_a(self) -> float: ...  # noqa: D102

    @property
    def only_b(self) -> float: ...  # noqa: D102

    @property
    def n(self) -> float: ...  # noqa: D102

    @property
    def freedom(self) -> float: ...  # noqa: D102


def scores(b: ArrayLike, c: ArrayLike, n: ArrayLike, d: ArrayLike) -> np.ndarray:
    """Tango's T at H0: p_a - p_b = d, all arrays broadcast; its limit where the variance is 0."""
    b, c, n, d = (np.asarray(x, float) for x in (b, c, n, d))
    numerator = b - c - n * d
    half_b = (-b - c + (2 * n - b + c) * d) / 2
    q = (np.sqrt(np.maximum(0.0, half_b**2 + 2 * n * c * d * (1 - d))) - half_b) / (2 * n)
    variance = n * (2 * q + d * (1 - d))
    limit = np.where(numerator == 0, 0.0, np.copysign(np.inf, numerator))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 0, numerator / np.sqrt(variance), limit)


def falls_through(b: ArrayLike, c: ArrayLike, n: ArrayLike, value: ArrayLike) -> np.ndarray:
    """The D where T falls through `value`, by bisection: T may be infinite at the ends."""
    b, c, n, value = np.broadcast_arrays(b, c, n, value)
    low, high = np.full(b.shape, -1.0), np.full(b.shape, 1.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = scores(b, c, n, middle) > value
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return (low + high) / 2


def score(table: Table, difference: float) -> float:
    """Tango's T of one table at H0: p_a - p_b = `difference`."""
    return float(scores(table.only_a, table.only_b, table.n, difference))


def tango_interval(table: Table, level: float = 0.95) -> tuple[float, float]:
    """Score interval of accuracy of a minus accuracy of b, of nominal coverage `level`."""
    z = quantile((1 + level) / 2, table.freedom)
    low, high = falls_through(table.only_a, table.only_b, table.n, np.array([z, -z]))
    return float(low), float(high)


def equivalence_p(table: Table, margin: float) -> float:
    """TOST: the larger p of H0: D <= -margin and H0: D >= margin, by Tango's statistic.

    Below .05 exactly where the 90 % Tango interval lies inside (-margin, margin).

    Raises:
        GoniometerError: the margin is not between 0 and 1.
    """
    if not 0 < margin < 1:
        raise GoniometerError("not a margin", found=margin, expected="between 0 and 1")
    too_low = _below(-score(table, -margin), table.freedom)
    too_high = _below(score(table, margin), table.freedom)
    return max(too_low, too_high)


def smallest_margin(table: Table, level: float = 0.05) -> float:
    """The margin above which this table alone shows equivalence at `level`, unadjusted."""
    low, high = tango_interval(table, 1 - 2 * level)
    return max(-low, high)


def quantile(probability: ArrayLike, freedom: ArrayLike) -> np.ndarray:
    """Of Student's t; of the normal distribution where the degrees of freedom are infinite."""
    from scipy.special import ndtri, stdtrit

    finite = np.where(np.isinf(freedom), 1.0, freedom)
    return np.where(np.isinf(freedom), ndtri(probability), stdtrit(finite, probability))


def _below(value: float, freedom: float) -> float:
    from scipy.special import ndtr, stdtr

    return float(ndtr(value) if np.isinf(freedom) else stdtr(freedom, value))
