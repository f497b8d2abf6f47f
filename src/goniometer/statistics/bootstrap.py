"""Bootstrap intervals: of problems without a draw, of clusters and of seeds by draws.

What is resampled is a unit: a problem, or a cluster of problems. Units with equal values are
interchangeable, so that only how often each distinct one is drawn matters: a multinomial draw over
a few of them, not an index for each unit, and a matrix product in blocks for many columns.

Accuracies are whole numbers over n, so a bootstrap distribution is a staircase. Its quantiles are
those of the mid-distribution F(x) - f(x)/2, interpolated (Ma, Genton and Parzen, Ann Inst Stat Math
63, 2011, 227): taken from F itself they cover up to 1 point too often, as docs/coverage.md prints.
"""

import numpy as np
from jaxtyping import Float, Int

DRAWS = 10_000
BLOCK = 4_000_000  # weights held at once
NOISE = 1e-12  # below it a chance may be rounding of the FFT


def bootstrap_limits(
    b: Int[np.ndarray, " tables"], c: Int[np.ndarray, " tables"], n: int, level: float = 0.95
) -> Float[np.ndarray, "tables 2"]:
    """Percentile interval of (b - c) / n over resamples of the n problems, as of endless draws.

    The resampled b - c is a sum of n independent steps of -1, 0 and 1: its distribution is the
    n-th power of their characteristic function, taken back by one FFT a table.

    Args:
        b: problems that only the first run has right, of each table.
        c: problems that only the second has.
        n: problems of every table.
        level: nominal coverage.
    """
    found = np.empty((len(b), 2))
    order = np.argsort(b + c)  # tables of one block need an FFT of about one length
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    for rows in np.array_split(order, max(1, len(b) // 256)):
        first, chance = _resampled_difference(b[rows], c[rows], n)
        for row, start, f in zip(rows, first, chance, strict=True):
            found[row] = mid_quantiles(start + np.arange(len(f)), f, tails) / n
    return found


def _resampled_difference(
    b: Int[np.ndarray, " tables"], c: Int[np.ndarray, " tables"], n: int
) -> tuple[Int[np.ndarray, " tables"], Float[np.ndarray, "tables values"]]:
    """Of each table the first value held and the chances of it and those after it."""
    # Ten standard deviations and 40 steps to each side hold all but 1e-20.
    reach = 10 * np.sqrt(float((b + c).max())) + 40
    length = 1 << int(np.ceil(np.log2(2 * reach)))
    turn = 2j * np.pi * np.arange(length // 2 + 1) / length
    p, q = (b / n)[:, None], (c / n)[:, None]
    step = 1 - p - q + p * np.exp(-turn) + q * np.exp(turn)
    first = b - c - length // 2
    chance = np.fft.irfft(step**n * np.exp(turn * first[:, None]), length, axis=1)
    return first, chance


def mid_quantiles(
    values: Float[np.ndarray, " values"] | Int[np.ndarray, " values"],
    chance: Float[np.ndarray, " values"],
    probabilities: Float[np.ndarray, " quantiles"],
) -> Float[np.ndarray, " quantiles"]:
    """Quantiles of a discrete distribution by its interpolated mid-distribution function."""
    held = chance > NOISE
    cumulative = np.cumsum(chance[held])
    middle = (cumulative - chance[held] / 2) / cumulative[-1]
    return np.interp(probabilities, middle, values[held])


def resampled_sums(
    units: Float[np.ndarray, "units columns"] | Int[np.ndarray, "units columns"],
    draws: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "draws columns"]:
    """Column sums of resamples of the units, with replacement, all columns together."""
    distinct, repeats = np.unique(units, axis=0, return_counts=True)
    found = np.empty((draws, units.shape[1]))
    step = max(1, BLOCK // len(distinct))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        found[start : start + rows] = _weights(rng, repeats, rows) @ distinct.astype(float)
    return found


def _weights(
    rng: np.random.Generator, repeats: Int[np.ndarray, " distinct"], draws: int
) -> Float[np.ndarray, "draws distinct"]:
    """How often each distinct unit is in a resample; two ways to the same distribution."""
    units, distinct = int(repeats.sum()), len(repeats)
    if 4 * distinct < units:
        return rng.multinomial(units, repeats / units, size=draws).astype(float)
    of = np.repeat(np.arange(distinct, dtype=np.int32), repeats)
    picked = of[rng.integers(0, units, (draws, units), dtype=np.int32)]
    picked += distinct * np.arange(draws, dtype=np.int32)[:, None]
    flat = np.bincount(picked.ravel(), minlength=draws * distinct)
    return flat.reshape(draws, distinct).astype(float)


def percentile_interval(
    values: Float[np.ndarray, " draws"], level: float = 0.95
) -> tuple[float, float]:
    """The percentile interval of drawn values; ties are a staircase as any."""
    distinct, repeats = np.unique(values, return_counts=True)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = mid_quantiles(distinct, repeats / len(values), tails)
    return float(low), float(high)
