"""Tango's interval and the equivalence test: printed values, a slow twin, symmetries, size."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import multinomial

from goniometer.errors import GoniometerError
from goniometer.statistics import (
    equivalence_p,
    mcnemar_exact,
    mcnemar_mid_p,
    smallest_margin,
    tango_interval,
)
from goniometer.statistics.tango import score
from tests.paired_tables import counts, swapped, tables, unhurried

Z95, Z90 = 1.959963984540054, 1.6448536269514722


@pytest.mark.parametrize(
    ("b", "c", "n", "exact", "mid", "interval"),
    [
        (6, 16, 161, 0.052479, 0.034690, (-0.1240, -0.0054)),
        (1, 7, 21, 0.0703, 0.0391, (-0.5172, -0.0260)),
        (40, 20, 160, None, None, (0.0309, 0.2181)),
    ],
)
def test_values_printed_in_the_literature(b, c, n, exact, mid, interval):
    table = counts(b, c, n)
    assert tango_interval(table) == pytest.approx(interval, abs=5e-5)
    if exact is not None:
        assert mcnemar_exact(table) == pytest.approx(exact, abs=5e-5)
        assert mcnemar_mid_p(table) == pytest.approx(mid, abs=5e-5)


def slow_interval(b: int, c: int, n: int, z: float) -> tuple[float, float]:
    """Invert the score test on a grid, with the restricted likelihood maximised by bisection."""
    d = np.linspace(-1, 1, 40001)[1:-1]
    low, high = np.maximum(0, -d), (1 - d) / 2
    for _ in range(60):
        q = (low + high) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = b / (q + d) + (c / q if c else 0) - 2 * (n - b - c) / (1 - 2 * q - d)
        low, high = np.where(slope > 0, q, low), np.where(slope > 0, high, q)
    variance = n * (2 * q + d - d**2)
    inside = d[np.abs(b - c - n * d) <= z * np.sqrt(np.maximum(variance, 0))]
    return float(inside.min()), float(inside.max())


@pytest.mark.parametrize(
    ("b", "c", "n"),
    [(6, 16, 161), (1, 7, 21), (0, 4, 9), (4, 0, 4), (3, 2, 5), (1, 0, 2),
     (30, 30, 1319), (0, 0, 7)]
)  # fmt: skip
def test_tango_is_the_inverted_score_test(b, c, n):
    for level, z in ((0.95, Z95), (0.90, Z90)):
        assert tango_interval(counts(b, c, n), level) == pytest.approx(
            slow_interval(b, c, n, z), abs=1.1e-4
        )


@pytest.mark.parametrize("n", [1, 2, 5, 1319])
def test_tango_at_its_edges_has_a_closed_form(n):
    edge = Z95**2 / (n + Z95**2)
    assert tango_interval(counts(0, 0, n)) == pytest.approx((-edge, edge), abs=1e-12)
    all_a = ((n - Z95**2) / (n + Z95**2), 1.0)
    assert tango_interval(counts(n, 0, n)) == pytest.approx(all_a, abs=1e-12)


@unhurried
@given(tables)
def test_tango_swaps_nests_and_holds_the_estimate(table):
    low, high = tango_interval(table)
    other = tango_interval(swapped(table))
    assert (-other[1], -other[0]) == pytest.approx((low, high), abs=1e-9)
    inner = tango_interval(table, 0.90)
    assert -1 <= low < inner[0] <= table.difference <= inner[1] < high <= 1


@unhurried
@given(tables, st.lists(st.integers(-999, 999), min_size=2, max_size=6))
def test_the_score_falls_with_the_difference(table, differences):
    scores = [score(table, d / 1000) for d in sorted(differences)]
    assert all(a >= b - 1e-9 * (1 + abs(a)) for a, b in pairwise(scores))


@unhurried
@given(tables, st.floats(0.001, 0.9))
def test_equivalence_is_the_ninety_percent_interval_inside_the_margin(table, margin):
    low, high = tango_interval(table, 0.90)
    assume(min(abs(margin - high), abs(margin + low)) > 1e-9)
    assert (equivalence_p(table, margin) < 0.05) == (-margin < low and high < margin)
    assert equivalence_p(table, margin) == pytest.approx(equivalence_p(swapped(table), margin))


@unhurried
@given(tables)
def test_the_smallest_margin_is_where_equivalence_begins(table):
    margin = smallest_margin(table)
    assume(margin < 0.99)
    assert equivalence_p(table, margin * (1 + 1e-6)) < 0.05 < equivalence_p(table, margin * 0.99999)


def test_sixty_discordant_of_1319_show_one_point_and_sixty_two_do_not():
    assert smallest_margin(counts(30, 30, 1319)) < 0.01 < smallest_margin(counts(31, 31, 1319))


@pytest.mark.parametrize(("p_a", "p_b"), [(0.2, 0.2), (0.25, 0.05), (0.1, 0.02)])
def test_coverage_and_equivalence_size_summed_over_all_outcomes(p_a, p_b):
    n, truth, covered, equivalent = 40, p_a - p_b, 0.0, 0.0
    chance = multinomial(n, [p_a, p_b, 1 - p_a - p_b])
    for b in range(n + 1):
        for c in range(n + 1 - b):
            weight = float(chance.pmf([b, c, n - b - c]))
            if weight > 1e-6:
                table = counts(b, c, n)
                covered += weight * (abs(score(table, truth)) <= Z95)
                equivalent += weight * (truth > 0 and equivalence_p(table, truth) < 0.05)
    assert 0.93 <= covered <= 0.97
    assert equivalent <= 0.06


@pytest.mark.parametrize("margin", [0, 1, -0.02])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(GoniometerError, match="not a margin"):
        equivalence_p(counts(1, 2, 9), margin)
