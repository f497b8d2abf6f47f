"""The seed floor: what another seed alone does to a cosine, and sameness decided against it.

Runs of one objective that differ in one seed only have n (n - 1) / 2 pairwise cosines, but
each run stands in n - 1 of them: there are n independent things, not n (n - 1) / 2. So each
cosine is taken as z_ij = atanh(cos_ij) = mean + r_i + r_j + e_ij with run effects r and pair
residuals e (the round robin of Warner, Kenny and Stoto, J Pers Soc Psychol 37, 1979), and the
bound for a pair of two *new* runs is

    mean - t(.95, n - 1) sqrt((2 + 4/n) s^2 + max(0, (n - 4)/(n - 2)) e^2)

with s^2 the variance of the estimated run effects and e^2 that of the residuals. As
E s^2 = var r + var e / (n - 2), the root holds at least the variance of a new pair and that of the
mean: it errs to the wide side, most where all noise is of pairs and n is small.
"""

import math
from collections.abc import Mapping
from itertools import combinations
from statistics import NormalDist
from typing import Literal

from goniometer.errors import GoniometerError
from goniometer.results import Band, Floor, NullKind, Reading

MINIMUM_RUNS = 3
PROVISIONAL = " (provisional: fewer than 3 replicates)"
REPEAT = "a repeat: the floor is made of it"
ANOTHER_SEED = "a repeat: another seed of one arm"
STEPS = "steps of one run"
UNTOLD = "not told apart from a repeat"

# Every verdict that `sameness` gives, and when.
SAMENESS: dict[str, str] = {
    "identical": "the same numbers, to rounding",
    "zero delta": "one of the two changed nothing",
    REPEAT: "two runs of one arm that differ in one seed",
    ANOTHER_SEED: "two runs of one arm that differ in init and data order",
    STEPS: "two checkpoints of one run: not judged",
    "not comparable": "no module in common, or no cosine",
    "same update": "cosine as high as some repeat's in another data order, and above the nulls",
    UNTOLD: "within the floor's bound, but below each repeat that was seen, or sharing its order",
    "same update up to its init": "the same, against the floor of another initialisation",
    "not the same update": "cosine below the floor that applies",
    "same update" + PROVISIONAL: "not below the lowest cosine seen, of fewer than 3 replicates",
    "same update up to its init" + PROVISIONAL: "the same, of another initialisation",
    "not the same update" + PROVISIONAL: "below the lowest cosine seen, of fewer than 3 replicates",
    "similar, relative to the nulls": "no floor; above every null, all pairs together",
    "beyond independence, within the shared-A0 null": "what a common initialisation alone can give",
    "not distinguishable from independent": "within the independent null",
    "opposed, relative to the nulls": "below every null, all pairs together",
    "no floor and no null to judge by": "neither was measured",
}


def family_wise(sd: float, excess: float, pairs: int, draws: int) -> Band:
    """Where all of `pairs` cosines of mean 0 fall together, 95 times in 100.

    Bonferroni over the pairs; the far quantile is the normal one with the Cornish-Fisher term of
    the excess kurtosis, as a cosine that few directions decide has heavy tails.

    Args:
        sd: standard deviation of one cosine.
        excess: its excess kurtosis; taken as 0 where negative.
        pairs: how many cosines are judged together.
        draws: simulations behind both, for the record.
    """
    z = NormalDist().inv_cdf(1 - 0.025 / max(1, pairs))
    half = sd * (z + max(0.0, excess) / 24 * (z**3 - 3 * z))
    return Band(low=max(-1.0, -half), median=0.0, high=min(1.0, half), draws=draws)


def floor_low(cosines: Mapping[tuple[str, str], float], runs: tuple[str, ...]) -> float | None:
    """Lower 95 % prediction bound of the cosine of one more pair of replicates (see above).

    `bench/floor_coverage.py` prints its coverage by simulation: near 95 % for a pair of two new
    runs, more for a replicate and a new run, against some 70 % for the lowest of three cosines.
    The price with three replicates is width, which the same table shows.

    Args:
        cosines: one for every pair of runs, either way round.
        runs: the replicates, by name.

    Returns:
        The bound, or None with fewer than 3 runs.

    Raises:
        GoniometerError: the cosine of a pair is missing or not in [-1, 1].
    """
    import numpy as np
    from scipy.special import stdtrit

    n = len(runs)
    values = _values(cosines, runs)
    if n < MINIMUM_RUNS:
        return None
    z = np.zeros((n, n))
    above = np.triu_indices(n, 1)
    most = math.nextafter(1.0, 0.0)  # atanh is infinite at 1
    z[above] = np.arctanh(np.clip(values, -most, most))
    z += z.T
    mean = z[above].mean()
    effect = (z.sum(1) - (n - 1) * mean) / (n - 2)
    residual = (z - mean - effect[:, None] - effect)[above]
    pair_variance = (residual**2).sum() / (n * (n - 3) / 2) if n > MINIMUM_RUNS else 0.0
    variance = (2 + 4 / n) * effect.var(ddof=1) + max(0.0, (n - 4) / (n - 2)) * pair_variance
    return float(np.tanh(mean - stdtrit(n - 1, 0.95) * math.sqrt(variance)))


def seed_floor(
    kind: Literal["same init, other order", "other init, same order"],
    runs: tuple[str, ...],
    cosines: Mapping[tuple[str, str], float],
) -> Floor:
    """Put a floor together: the replicates' cosines in order, the bound and its rule in words.

    Raises:
        GoniometerError: as `floor_low`.
    """
    low = floor_low(cosines, runs)
    if low is None:
        rule = (
            f"{len(runs)} replicates: no bound below {MINIMUM_RUNS}; verdicts compare with the "
            "lowest cosine seen and are provisional"
        )
    else:
        rule = (
            "lower 95 % prediction bound for the cosine of two more replicates, on the atanh "
            f"scale, with {len(runs) - 1} degrees of freedom as the pairs share {len(runs)} runs"
        )
    return Floor(kind=kind, runs=runs, cosines=_values(cosines, runs), low=low, rule=rule)


def _values(cosines: Mapping[tuple[str, str], float], runs: tuple[str, ...]) -> tuple[float, ...]:
    """Cosines in the order of `combinations(runs, 2)`."""
    found = [cosines.get((a, b), cosines.get((b, a))) for a, b in combinations(runs, 2)]
    for (a, b), value in zip(combinations(runs, 2), found, strict=True):
        if value is None or not -1 <= value <= 1:
            raise GoniometerError(
                f"no cosine of the replicates {a} and {b}", found=value, expected="within [-1, 1]"
            )
    return tuple(value for value in found if value is not None)


def sameness(
    cosine: Reading,
    state: str,
    floor: Floor | None = None,
    nulls: Mapping[NullKind, Band] | None = None,
    *,
    shares_noise: bool = False,
) -> str:
    """Decide whether two updates are the same one: a key of SAMENESS.

    A floor decides where there is one, but not for a cosine that the nulls explain: a floor
    among unlike replicates reaches down to chance. A bound from few replicates is far below
    them: what lies between is not shown to differ, which does not make it the same.

    Args:
        cosine: whole-model cosine of the pair.
        state: `PairReadings.state`.
        floor: the one that applies: of another order for a pair of one init, of another init
            for a pair of two; None where the study has no such replicates.
        nulls: bands of the whole-model cosine; `shared_A0` only for a pair of one init.
        shares_noise: the two share the seed in which the floor's runs differ: their cosine is
            too high to be held against it, unless it falls below all the same.
    """
    if state in ("identical", "zero delta"):
        return state
    if state == "no common module" or cosine.value is None:
        return "not comparable"
    chance = _against_nulls(cosine.value, nulls)
    if floor is None or not floor.cosines:
        return chance
    suffix = PROVISIONAL if floor.low is None else ""
    if cosine.value < (min(floor.cosines) if floor.low is None else floor.low):
        return "not the same update" + suffix
    if nulls and chance != "similar, relative to the nulls":
        return chance
    same = "same update" if floor.kind == "same init, other order" else "same update up to its init"
    return UNTOLD if shares_noise or cosine.value < min(floor.cosines) else same + suffix


def _against_nulls(cosine: float, nulls: Mapping[NullKind, Band] | None) -> str:
    if not nulls:
        return "no floor and no null to judge by"
    if cosine > max(band.high for band in nulls.values()):
        return "similar, relative to the nulls"
    if cosine < min(band.low for band in nulls.values()):
        return "opposed, relative to the nulls"
    independent = nulls.get("independent")
    if independent is None or not independent.low <= cosine <= independent.high:
        return "beyond independence, within the shared-A0 null"
    return "not distinguishable from independent"
