"""Seconds for the paired statistics of ten runs, all pairs, and the ratio to a plain numpy loop.

    python bench/paired_statistics.py

Ten runs answer 14,000 problems that are easy or hard for all of them. Each line does all 45 pairs.
The loop draws indices, takes the mean of the picked differences, and does so again; it is timed on
a few draws of one pair, and its time for all of them is that times their number.
"""

import argparse
import time
from collections.abc import Callable
from itertools import combinations

import numpy as np

from goniometer.statistics import compare_all, seed_differences
from goniometer.statistics.bootstrap import DRAWS, percentile_interval, resampled_sums
from goniometer.statistics.outcomes import Outcomes

LOOPED = 300  # draws of the loop that are timed
SEEDS = 5


def grades(runs: int, problems: int) -> dict[str, dict[str, str]]:
    """Grade texts of runs that find the same problems hard."""
    rng = np.random.default_rng(1)
    hardness = rng.normal(0, 2, problems)
    skill = rng.normal(1, 0.3, (runs, 1))
    right = rng.random((runs, problems)) < 1 / (1 + np.exp(hardness - skill))
    texts = np.where(right, "correct", "wrong:answer").tolist()
    return {
        f"run {i}": {f"p{k}": text for k, text in enumerate(row)} for i, row in enumerate(texts)
    }


def timed(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def joint(outcomes: Outcomes, draws: int) -> list[tuple[float, float]]:
    """Percentile intervals of all differences, from the same resamples of the problems."""
    sums = resampled_sums(outcomes.marks.T, draws, np.random.default_rng(1))
    pairs = combinations(range(len(outcomes.runs)), 2)
    return [
        percentile_interval((sums[:, i] - sums[:, j]) / len(outcomes.problems)) for i, j in pairs
    ]


def loop(difference: np.ndarray, draws: int) -> np.ndarray:
    """What one would write first."""
    rng = np.random.default_rng(1)
    n = len(difference)
    return np.array([difference[rng.integers(0, n, n)].mean() for _ in range(draws)])


def main() -> None:
    """Print a line for each way to resample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--problems", type=int, default=14_000)
    parser.add_argument("--draws", type=int, default=DRAWS)
    asked = parser.parse_args()
    runs = grades(asked.runs, asked.problems)
    outcomes = Outcomes.of_grades(runs)
    pairs = asked.runs * (asked.runs - 1) // 2
    clusters = {f"p{k}": f"c{k // 4}" for k in range(asked.problems)}
    many = grades(asked.runs * SEEDS, asked.problems)
    arms = {f"arm {i}": list(many)[i * SEEDS : (i + 1) * SEEDS] for i in range(asked.runs)}

    print(f"{asked.runs} runs, {asked.problems} problems, {pairs} pairs, {asked.draws} draws")
    difference = (outcomes.marks[0] - outcomes.marks[1]).astype(float)
    looped = timed(lambda: loop(difference, LOOPED)) / LOOPED * asked.draws * pairs
    print(f"{'plain numpy loop, problems (scaled up)':<58} {looped:8.1f} s")
    ways: dict[str, Callable[[], object]] = {
        "all but draws: tests, Tango, Holm, exact bootstrap": lambda: compare_all(runs, 0.02),
        "problems by draws, all pairs from the same ones": lambda: joint(outcomes, asked.draws),
        "everything, clusters of 4 by draws": lambda: compare_all(runs, 0.02, clusters),
        f"{SEEDS} seeds of each, then problems, by draws": lambda: seed_differences(
            arms, many, draws=asked.draws
        ),
    }
    for what, work in ways.items():
        seconds = timed(work)
        print(
            f"{what:<58} {seconds:8.2f} s, {looped / seconds:7.0f} x the loop's speed", flush=True
        )


if __name__ == "__main__":
    main()
