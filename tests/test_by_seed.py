"""Scores by seed and the hierarchical bootstrap against a slow twin and closed forms."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from goniometer.errors import GoniometerError
from goniometer.seeds import derive
from goniometer.statistics import seed_differences, seed_scores
from goniometer.statistics.by_seed import hierarchical_means

Runs = dict[str, dict[str, str]]


def made(
    arms: int, seeds: int, problems: int = 60
) -> tuple[dict[str, list[str]], Runs, np.ndarray]:
    """Arms of seeds on problems of unequal difficulty: names, grades, right answers."""
    rng = np.random.default_rng(derive("by seed", arms, seeds))
    chance = rng.uniform(0.1, 0.9, problems) + rng.normal(0, 0.08, (arms * seeds, 1))
    right = rng.random((arms * seeds, problems)) < chance
    names = {f"arm {i}": [f"arm {i} seed {s}" for s in range(seeds)] for i in range(arms)}
    flat = [run for runs in names.values() for run in runs]
    texts = np.where(right, "correct", "wrong:answer").tolist()
    grades = {
        run: {f"p{k}": x for k, x in enumerate(row)} for run, row in zip(flat, texts, strict=True)
    }
    return names, grades, right.reshape(arms, seeds, problems)


def test_scores_of_seeds_are_means_and_their_spread():
    names, grades, right = made(3, 4)
    for i, found in enumerate(seed_scores(names, grades)):
        expected = right[i].mean(1)
        assert found.accuracies == pytest.approx(expected)
        assert found.mean == pytest.approx(expected.mean())
        assert found.sd.value == pytest.approx(expected.std(ddof=1))
    one = seed_scores({"arm 0": names["arm 0"][:1]}, grades)[0]
    assert one.sd.undefined == "one seed"


@pytest.mark.parametrize("seeds", [1, 2, 4, 5, 7])
def test_an_interval_over_seeds_is_given_from_five_seeds_up(seeds):
    names, grades, right = made(3, seeds)
    rows = seed_differences(names, grades, draws=500)
    assert [(row.a, row.b) for row in rows] == [
        ("arm 0", "arm 1"), ("arm 0", "arm 2"), ("arm 1", "arm 2")
    ]  # fmt: skip
    gap = (right[0] * 1.0 - right[2]).mean(1)
    assert rows[1].differences == pytest.approx(gap)
    assert rows[1].mean == pytest.approx(gap.mean())
    for row in rows:
        assert row.interval.over == "seeds, then problems"
        if seeds < 5:
            assert row.interval.low is row.interval.high is None
            assert row.interval.undefined.startswith(f"{seeds} seeds; with fewer than 5")
        else:
            assert row.interval.low < row.mean < row.interval.high
            assert row.interval.draws == 500
    assert rows == seed_differences(names, grades, draws=500)


def test_seeds_and_problems_are_resampled_as_a_plain_loop_does():
    _, _, right = made(2, 6)
    rng = np.random.default_rng(derive("slow twin"))
    slow = []
    for _ in range(6000):
        seeds, problems = rng.integers(0, 6, 6), rng.integers(0, 60, 60)
        slow.append((right[0] * 1.0 - right[1])[np.ix_(seeds, problems)].mean())
    units = np.vstack([right.reshape(12, 60), np.ones((1, 60))]).T
    found = hierarchical_means(units, 2, 20_000, derive("fast"), widened=False)
    fast = found[:, 0] - found[:, 1]
    assert fast.mean() == pytest.approx(np.mean(slow), abs=5 * np.std(slow) / math.sqrt(6000))
    assert fast.std() == pytest.approx(np.std(slow), rel=0.05)


def test_few_seeds_are_widened_by_students_t_and_problems_are_not():
    """Where all problems agree only seeds vary, and where all seeds agree only problems do."""
    seeds = np.array([[1, 1, 0, 1, 0], [0, 1, 0, 0, 0]]).reshape(10)
    by_seed = np.vstack([np.repeat(seeds[:, None], 40, axis=1), np.ones((1, 40))]).T
    by_problem = np.vstack([np.tile(np.arange(40) % 3 == 0, (10, 1)), np.ones((1, 40))]).T
    factor = t.ppf(0.975, 4) / norm.ppf(0.975) * math.sqrt(5 / 4)
    for units, expected in ((by_seed, factor), (by_problem, 1.0)):
        plain, wide = (hierarchical_means(units, 2, 2000, 1, widened=w) for w in (False, True))
        assert wide.std(0) == pytest.approx(expected * plain.std(0))


def test_an_ungraded_problem_is_dropped_from_all_and_counted():
    names, grades, right = made(2, 5)
    grades["arm 1 seed 3"]["p7"] = "ungraded:crash"
    (row,) = seed_differences(names, grades, draws=100)
    assert (row.n, row.dropped) == (59, 1)
    kept = np.delete(right * 1.0, 7, axis=2)
    assert row.differences == pytest.approx((kept[0] - kept[1]).mean(1))


def test_clusters_are_resampled_in_place_of_problems():
    """Six copies of ten problems say what ten problems say, and less than sixty."""
    names, grades, _ = made(2, 5, 10)
    often = {
        run: {f"{p}/{i}": text for p, text in told.items() for i in range(6)}
        for run, told in grades.items()
    }
    groups = {problem: problem.split("/")[0] for problem in often["arm 0 seed 0"]}
    (once,), (found,), (naive,) = (
        seed_differences(names, x, c) for x, c in ((grades, None), (often, groups), (often, None))
    )
    width = [row.interval.high - row.interval.low for row in (once, found, naive)]
    assert width[1] == pytest.approx(width[0], rel=0.05)
    assert width[2] < 0.9 * width[0]


def test_what_cannot_be_told_by_seed_says_why():
    names, grades, _ = made(2, 3)
    with pytest.raises(GoniometerError, match=r"different numbers of seeds; found \[2, 3\]"):
        seed_differences(names | {"arm 1": names["arm 1"][:2]}, grades)
    none = dict.fromkeys(grades["arm 0 seed 0"], "ungraded:x")
    with pytest.raises(GoniometerError, match="no problem of this run is graded"):
        seed_scores(names, grades | {"arm 0 seed 0": none})
    assert seed_scores({}, {}) == seed_differences({}, {}) == ()
