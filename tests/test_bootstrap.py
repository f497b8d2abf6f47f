"""Bootstrap intervals against every resample of a few problems, draws, theory and symmetry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial

from goniometer.seeds import derive
from goniometer.statistics import paired
from goniometer.statistics.bootstrap import (
    bootstrap_limits,
    mid_quantiles,
    percentile_interval,
    resampled_sums,
)
from tests.paired_tables import grades, unhurried


def limits(b: int, c: int, n: int, level: float = 0.95) -> list[float]:
    return bootstrap_limits(np.array([b]), np.array([c]), n, level)[0].tolist()


def slow_limits(b: int, c: int, n: int) -> list[float]:
    """Every resample with its chance, and the mid-distribution as its definition says."""
    law = multinomial(n, [b / n, c / n, 1 - (b + c) / n])
    chance = dict.fromkeys(range(-n, n + 1), 0.0)
    for x in range(n + 1):
        for y in range(n + 1 - x):
            chance[x - y] += float(law.pmf([x, y, n - x - y]))
    held = [value for value, p in chance.items() if p > 1e-12]
    middle = [sum(chance[w] for w in held if w < v) + chance[v] / 2 for v in held]
    return (np.interp([0.025, 0.975], middle, held) / n).tolist()


@pytest.mark.parametrize(
    ("b", "c", "n"), [(3, 5, 20), (6, 0, 15), (0, 1, 12), (9, 9, 18), (2, 1, 30)]
)
def test_the_distribution_is_that_of_every_resample(b, c, n):
    assert limits(b, c, n) == pytest.approx(slow_limits(b, c, n), abs=1e-9)


@pytest.mark.parametrize(("b", "c", "n"), [(30, 18, 1319), (400, 300, 14000), (12, 40, 100)])
def test_draws_of_single_problems_come_to_the_same_interval(b, c, n):
    rng = np.random.default_rng(derive("single problems", b))
    units = np.array([1] * b + [-1] * c + [0] * (n - b - c))[:, None]
    drawn = resampled_sums(units, 40_000, rng)[:, 0] / n
    assert percentile_interval(drawn) == pytest.approx(limits(b, c, n), abs=0.06 * drawn.std())


@unhurried
@given(st.integers(0, 80), st.integers(0, 80), st.integers(1, 2000))
def test_limits_swap_with_the_runs_and_hold_the_difference(b, c, rest):
    n = b + c + rest
    low, high = limits(b, c, n)
    assert (low, high) == pytest.approx([-x for x in reversed(limits(c, b, n))], abs=1e-9)
    assert low <= (b - c) / n <= high
    inner = limits(b, c, n, 0.9)
    assert low <= inner[0] <= inner[1] <= high


def test_many_tables_at_once_are_each_table_alone():
    rng = np.random.default_rng(derive("many tables"))
    b, c = rng.integers(0, 300, (2, 700))
    found = bootstrap_limits(b, c, 1319)
    for i in range(0, 700, 97):
        assert found[i].tolist() == pytest.approx(limits(int(b[i]), int(c[i]), 1319), abs=1e-9)


@pytest.mark.parametrize("kinds", [3, 400], ids=["multinomial", "indices"])
def test_sums_of_resamples_have_the_moments_of_drawing_with_replacement(kinds):
    rng = np.random.default_rng(derive("moments", kinds))
    units = rng.normal(size=(kinds, 2))[rng.integers(0, kinds, 600)]
    sums = resampled_sums(units, 20_000, rng)
    spread = 600 * np.cov(units.T, bias=True)
    error = np.sqrt(np.diag(spread) / 20_000)
    assert np.all(np.abs(sums.mean(0) - units.sum(0)) < 4.5 * error)
    assert np.cov(sums.T) == pytest.approx(spread, rel=0.08, abs=0.03 * spread.max())


def test_mid_quantiles_lie_between_the_steps():
    values, chance = np.array([0.0, 1.0, 2.0]), np.array([0.25, 0.5, 0.25])
    found = mid_quantiles(values, chance, np.array([0.05, 0.125, 0.5, 0.6875, 0.99]))
    assert found.tolist() == pytest.approx([0, 0, 1, 1.5, 2])


def test_a_pair_that_no_resample_changes_has_a_reason_for_no_interval():
    same = paired("a", grades(5, 9), "b", grades(5, 9), 0.02).bootstrap
    apart = paired("a", grades(9, 9), "b", grades(0, 9), 0.02).bootstrap
    for found in (same, apart):
        assert (found.low, found.high) == (None, None)
        assert "no resample varies" in found.undefined
    some = paired("a", grades(5, 9), "b", grades(5, 9, first=1), 0.02).bootstrap
    assert (some.undefined, some.draws, some.over) == (None, None, "problems")
    assert [some.low, some.high] == pytest.approx(limits(1, 1, 9))
