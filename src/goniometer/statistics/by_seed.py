"""Scores across seeds: every seed on its own, and a hierarchical bootstrap from five seeds up.

One seed's paired test holds the noise of the problems, not that of training. Over seeds both are
resampled: seeds with replacement, then problems with replacement. All runs answer the same
problems, and seed s of either arm has the same init and data order, so one resample of seeds and
one of problems serves every run (the pigeonhole bootstrap of Owen, Ann Appl Stat 1, 2007, 386:
its variance is not below the true one); problems drawn anew in each seed would let the difficulty
of a problem average out, which it does not.

Few seeds spread less than all would, by (S - 1)/S and more: the seeds' part of each draw is widened
by t(.975, S - 1)/z sqrt(S/(S - 1)) (the expanded percentile interval of Hesterberg, Am Stat 69,
2015, 371). Without it five seeds cover some 87 % where seeds are what varies; with it the interval
is too wide where they are not. `bench/coverage.py` prints both.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean, stdev

import numpy as np
from jaxtyping import Float, Int8

from goniometer.errors import GoniometerError
from goniometer.results import Interval, Reading, SeedDifference, SeedScores
from goniometer.seeds import derive
from goniometer.statistics.bootstrap import DRAWS, percentile_interval, resampled_sums
from goniometer.statistics.clusters import cluster_index
from goniometer.statistics.outcomes import Outcomes
from goniometer.statistics.tango import quantile

MINIMUM_SEEDS = 5  # with fewer, resampled seeds undercover, or say nothing once widened
OVER = "seeds, then problems"


def seed_scores(
    arms: Mapping[str, Sequence[str]], grades: Mapping[str, Mapping[str, str]]
) -> tuple[SeedScores, ...]:
    """Accuracy of every seed of every arm; ungraded problems are left out run by run.

    Args:
        arms: arm -> its runs by seed.
        grades: run -> problem id -> grade text.

    Raises:
        GoniometerError: runs have different problems, a text is no grade, or a run has none graded.
    """
    outcomes = Outcomes.of_grades({run: grades[run] for runs in arms.values() for run in runs})
    found = []
    for arm, runs in arms.items():
        values = [_accuracy(outcomes, run) for run in runs]
        sd = Reading(value=stdev(values)) if len(values) > 1 else Reading(undefined="one seed")
        found.append(
            SeedScores(
                arm=arm, runs=tuple(runs), accuracies=tuple(values), mean=fmean(values), sd=sd
            )
        )
    return tuple(found)


def _accuracy(outcomes: Outcomes, run: str) -> float:
    marks = outcomes.of(run)[outcomes.graded(run)]
    if len(marks) == 0:
        raise GoniometerError("no problem of this run is graded", file=run)
    return float(marks.mean())


def seed_differences(
    arms: Mapping[str, Sequence[str]],
    grades: Mapping[str, Mapping[str, str]],
    clusters: Mapping[str, str] | None = None,
    draws: int = DRAWS,
) -> tuple[SeedDifference, ...]:
    """Difference of every pair of arms, seed by seed, with its hierarchical bootstrap interval.

    All pairs are resampled at once. A problem that any of these runs has ungraded is dropped from
    all, and counted.

    Args:
        arms: arm -> its runs by seed; seed for seed the same ones in each arm.
        grades: run -> problem id -> grade text.
        clusters: problem id -> cluster; clusters are then resampled in place of problems.
        draws: bootstrap draws.

    Raises:
        GoniometerError: the arms have different numbers of seeds, runs have different problems,
            a problem has no cluster, or none is graded in all runs.
    """
    seeds = {len(runs) for runs in arms.values()}
    if not seeds:
        return ()
    if len(seeds) != 1:
        raise GoniometerError("the arms have different numbers of seeds", found=sorted(seeds))
    names = [run for runs in arms.values() for run in runs]
    outcomes = Outcomes.of_grades({run: grades[run] for run in names})
    graded = outcomes.graded(*names)
    if not graded.any():
        raise GoniometerError("no problem is graded in all runs", found=f"{len(names)} runs")
    kept = [outcomes.problems[i] for i in np.flatnonzero(graded)]
    marks = outcomes.marks[:, graded]
    count = seeds.pop()
    means = marks.mean(1).reshape(len(arms), count)
    drawn = None
    if count >= MINIMUM_SEEDS:
        units = _units(marks, kept, clusters)
        drawn = hierarchical_means(units, len(arms), draws, derive("hierarchical", *names))
    rows = []
    for (i, a), (j, b) in combinations(enumerate(arms), 2):
        values = (means[i] - means[j]).tolist()
        rows.append(
            SeedDifference(
                a=a,
                b=b,
                n=len(kept),
                dropped=len(graded) - len(kept),
                differences=tuple(values),
                mean=fmean(values),
                interval=_interval(None if drawn is None else drawn[:, i] - drawn[:, j], count),
            )
        )
    return tuple(rows)


def hierarchical_means(
    units: Float[np.ndarray, "units columns"],
    arms: int,
    draws: int,
    seed: int,
    *,
    widened: bool = True,
) -> Float[np.ndarray, "draws arms"]:
    """Mean accuracy of each arm in resamples of seeds and of units, the same for all arms.

    Args:
        units: problems, or clusters of them: right answers of each run (seeds of the first arm,
            then of the second, ...), and in the last column how many problems the unit holds.
        arms: how many; each has the same number of seeds.
        draws: bootstrap draws.
        seed: of the generator.
        widened: widen the seeds' part for their small number.
    """
    rng = np.random.default_rng(seed)
    count = (units.shape[1] - 1) // arms
    sums = resampled_sums(units, draws, rng)
    means = (sums[:, :-1] / sums[:, -1:]).reshape(draws, arms, count)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=draws) / count
    if widened:
        weights = 1 / count + _widening(count) * (weights - 1 / count)
    return np.einsum("das,ds->da", means, weights)


def _widening(seeds: int) -> float:
    t, z = quantile(0.975, [seeds - 1, math.inf])
    return float(t / z) * math.sqrt(seeds / (seeds - 1))


def _units(
    marks: Int8[np.ndarray, "runs problems"],
    problems: Sequence[str],
    clusters: Mapping[str, str] | None,
) -> Float[np.ndarray, "units columns"]:
    """What is resampled, one row each: right answers by run, and how many problems."""
    whole = np.vstack([marks, np.ones_like(marks[:1])]).T.astype(float)
    if clusters is None:
        return whole
    index = cluster_index(problems, clusters)
    sums = np.zeros((index.max() + 1, whole.shape[1]))
    np.add.at(sums, index, whole)
    return sums


def _interval(values: Float[np.ndarray, " draws"] | None, seeds: int) -> Interval:
    if values is None:
        return Interval(
            undefined=f"{seeds} seeds; with fewer than {MINIMUM_SEEDS} it undercovers", over=OVER
        )
    low, high = percentile_interval(values)
    return Interval(low=low, high=high, over=OVER, draws=len(values))
