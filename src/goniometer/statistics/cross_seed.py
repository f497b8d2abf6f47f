"""Two arms across seeds: their cosine without what another init and another order add. No torch.

A run is its arm's own update plus what its seed adds. Between two seeds the latter have nothing to
do with each other: they do not change the inner product of X_s and Y_t, but make both longer, so
that the cosine is too small. The cosine of an arm with its own repeat falls for the same reason,
and so is what to divide by (Spearman, Am J Psychol 15, 1904, correction for attenuation):

    mean_{s != t} cos(X_s, Y_t) / sqrt(mean_{s < t} cos(X_s, X_t) mean_{s < t} cos(Y_s, Y_t))

It is no cosine: with few seeds it may exceed 1.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, permutations
from statistics import fmean

from goniometer.results import CrossSeed, Reading

Cosines = Mapping[tuple[str, str], float | None]
MINIMUM_SEEDS = 3  # fewer leave nothing over when one is left out


def cross_seed(
    a: str, b: str, runs_a: Sequence[str], runs_b: Sequence[str], cosines: Cosines
) -> CrossSeed:
    """Put together what the seeds of two arms say.

    Args:
        a: name of one arm.
        b: name of the other.
        runs_a: its runs by seed, two at least.
        runs_b: the other's, seed for seed.
        cosines: of pairs of runs, either way round; None where there is none.

    Returns:
        The cosines, the corrected one, and from three seeds on its jackknife interval: the estimate
        -+ t(.975, n - 1) sqrt((n - 1)/n sum (e_s - mean e)^2), with e_s that without seed s
        (Tukey 1958; Efron and Stein, Ann Stat 9, 1981).
    """
    seeds = range(len(runs_a))
    between = [_of(cosines, runs_a[s], runs_b[t]) for s, t in permutations(seeds, 2)]
    within_a = [_of(cosines, runs_a[s], runs_a[t]) for s, t in combinations(seeds, 2)]
    within_b = [_of(cosines, runs_b[s], runs_b[t]) for s, t in combinations(seeds, 2)]
    left_out = [
        _corrected(_without(runs_a, seed), _without(runs_b, seed), cosines).value for seed in seeds
    ]
    corrected = _corrected(runs_a, runs_b, cosines)
    half = _half_width(left_out)
    low, high = (
        None if corrected.value is None or half is None else corrected.value + sign * half
        for sign in (-1, 1)
    )
    return CrossSeed(
        a=a,
        b=b,
        seeds=len(seeds),
        cosines=_known(between),
        repeats_a=_known(within_a),
        repeats_b=_known(within_b),
        corrected=corrected,
        low=low,
        high=high,
    )


def _half_width(left_out: Sequence[float | None]) -> float | None:
    from scipy.special import stdtrit

    known = [value for value in left_out if value is not None]
    n = len(left_out)
    if n < MINIMUM_SEEDS or len(known) < n:
        return None
    spread = sum((value - fmean(known)) ** 2 for value in known)
    return float(stdtrit(n - 1, 0.975)) * math.sqrt((n - 1) / n * spread)


def _corrected(runs_a: Sequence[str], runs_b: Sequence[str], cosines: Cosines) -> Reading:
    seeds = range(len(runs_a))
    between = [_of(cosines, runs_a[s], runs_b[t]) for s, t in permutations(seeds, 2)]
    within = [
        [_of(cosines, runs[s], runs[t]) for s, t in combinations(seeds, 2)]
        for runs in (runs_a, runs_b)
    ]
    if not between:
        return Reading(undefined="one seed" if runs_a else "no seed at which both were trained")
    if None in between or None in within[0] or None in within[1]:
        return Reading(undefined="a run has no cosine")
    repeats = [fmean(_known(values)) for values in within]
    if min(repeats) <= 0:
        return Reading(undefined="repeats of one arm have nothing in common")
    return Reading(value=fmean(_known(between)) / math.sqrt(repeats[0] * repeats[1]))


def _of(cosines: Cosines, one: str, other: str) -> float | None:
    return cosines[one, other] if (one, other) in cosines else cosines.get((other, one))


def _without(runs: Sequence[str], seed: int) -> Sequence[str]:
    return [*runs[:seed], *runs[seed + 1 :]]


def _known(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)
