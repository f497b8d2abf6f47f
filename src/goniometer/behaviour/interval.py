"""Bootstrap intervals of NLL per token: items are resampled, the same ones at every point.

NLL per token is a ratio of sums, so each draw divides the sum of its items' NLL by the sum of
their tokens. Intervals are percentiles of the draws (Efron and Tibshirani 1993, chapter 13).
"""

import numpy as np
from jaxtyping import Float, Int

SHARE = 0.95  # of an interval


def resampled(
    sums: Float[np.ndarray, "point item"],
    tokens: Int[np.ndarray, " item"],
    draws: int,
    seed: int,
) -> Float[np.ndarray, "draw point"]:
    """Draw as many items as there are, with replacement; return each draw's NLL per token.

    Points with a loss that is not finite are NaN.
    """
    items = len(tokens)
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(items, np.full(items, 1 / items), size=draws).astype(float)
    finite = np.isfinite(sums).all(1)
    found = np.full((draws, len(sums)), np.nan)
    found[:, finite] = counts @ sums[finite].T / (counts @ tokens)[:, None]
    return found


def interval(values: Float[np.ndarray, " draw"], items: int) -> tuple[float | None, float | None]:
    """95 % percentile interval; None where a draw is not finite or there is a single item."""
    if items < 2 or not np.isfinite(values).all():
        return None, None
    low, high = np.quantile(values, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)


def humps(paths: Float[np.ndarray, "path position"]) -> Float[np.ndarray, " path"]:
    """How far each path rises above its least value before and its least value after, at most."""
    before = np.minimum.accumulate(paths, axis=1)
    after = np.minimum.accumulate(paths[:, ::-1], axis=1)[:, ::-1]
    return (paths - np.maximum(before, after)).max(1)


def turns(path: Float[np.ndarray, " position"], draws: Float[np.ndarray, "draw position"]) -> bool:
    """Whether a path surely rises somewhere and surely falls elsewhere.

    Sure is what lies beyond a simultaneous 95 % band of the differences between all positions: the
    largest studentised deviation of a draw decides its width (sup-t, Montiel Olea and
    Plagborg-Moller, J Appl Econometrics 34, 2019).
    """
    first, second = np.triu_indices(len(path), 1)
    difference = path[second] - path[first]
    drawn = draws[:, second] - draws[:, first]
    scale = drawn.std(0)
    studentised = np.abs(drawn - difference) / np.where(scale > 0, scale, np.inf)
    half = np.quantile(studentised.max(1), SHARE) * scale
    return bool((difference > half).any() and (difference < -half).any())
