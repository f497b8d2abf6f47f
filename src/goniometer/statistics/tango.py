"""Difference of two paired proportions: Tango's score interval and the equivalence test.

Tango, Statistics in Medicine 17 (1998) 891: the score statistic of H0: p_a - p_b = D is
T(D) = (b - c - N D) / sqrt(N (2q + D (1 - D))), with b = only_a, c = only_b and q the maximum
likelihood estimate of P(only b) under H0, the larger root of A q^2 + B q + C with A = 2N,
B = -b - c + (2N - b + c) D, C = -c D (1 - D). T falls from +inf at D = -1 to -inf at D = 1.
"""

import math

from goniometer.errors import GoniometerError
from goniometer.statistics.counts import Counts

# Each halving of [-1, 1] adds one bit; 60 reach the last one of a double.
HALVINGS = 60


def score(counts: Counts, difference: float) -> float:
    """Tango's T at H0: p_a - p_b = `difference`; its limit where the variance is 0."""
    b, c, n, d = counts.only_a, counts.only_b, counts.n, difference
    numerator = b - c - n * d
    half_b = (-b - c + (2 * n - b + c) * d) / 2
    q = (math.sqrt(max(0.0, half_b**2 + 2 * n * c * d * (1 - d))) - half_b) / (2 * n)
    variance = n * (2 * q + d * (1 - d))
    if variance > 0:
        return numerator / math.sqrt(variance)
    return math.copysign(math.inf, numerator) if numerator else 0.0


def tango_interval(counts: Counts, level: float = 0.95) -> tuple[float, float]:
    """Score interval of accuracy of a minus accuracy of b, of nominal coverage `level`."""
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    return _falls_through(counts, z), _falls_through(counts, -z)


def _falls_through(counts: Counts, value: float) -> float:
    """The D where T falls through `value`, by bisection: T may be infinite at the ends."""
    low, high = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if score(counts, middle) > value:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def equivalence_p(counts: Counts, margin: float) -> float:
    """TOST: the larger p of H0: D <= -margin and H0: D >= margin, by Tango's statistic.

    Below .05 exactly where the 90 % Tango interval lies inside (-margin, margin).

    Raises:
        GoniometerError: the margin is not between 0 and 1.
    """
    from scipy.special import ndtr

    if not 0 < margin < 1:
        raise GoniometerError("not a margin", found=margin, expected="between 0 and 1")
    return float(max(ndtr(-score(counts, -margin)), ndtr(score(counts, margin))))


def smallest_margin(counts: Counts, level: float = 0.05) -> float:
    """The margin above which these counts alone show equivalence at `level`, unadjusted."""
    low, high = tango_interval(counts, 1 - 2 * level)
    return max(-low, high)
