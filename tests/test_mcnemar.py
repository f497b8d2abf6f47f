"""McNemar's tests against brute force, statsmodels and the error that they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar

from goniometer.errors import GoniometerError
from goniometer.statistics import Counts, mcnemar_exact, mcnemar_mid_p
from tests.paired_tables import counts, swapped, tables, unhurried


@pytest.mark.parametrize("b", range(11))
@pytest.mark.parametrize("c", range(0, 11, 2))
def test_mcnemar_is_what_counting_all_outcomes_gives(b, c):
    table, n = counts(b, c, 30), b + c
    chance = [math.comb(n, x) / 2**n for x in range(n + 1)]
    far = [abs(2 * x - n) - abs(b - c) for x in range(n + 1)]
    beyond = sum(p for p, d in zip(chance, far, strict=True) if d > 0)
    level = sum(p for p, d in zip(chance, far, strict=True) if d == 0)
    assert mcnemar_exact(table) == pytest.approx(beyond + level)
    # Half of what is as far as the observed: the definition of mid-p, whatever the side.
    assert mcnemar_mid_p(table) == pytest.approx(beyond + level / 2 if n else 1)
    library = mcnemar([[5, b], [c, 5]], exact=True).pvalue if n else 1.0
    assert mcnemar_exact(table) == pytest.approx(library)


@unhurried
@given(tables)
def test_mcnemar_does_not_know_which_run_is_first(table):
    assert mcnemar_exact(table) == pytest.approx(mcnemar_exact(swapped(table)))
    assert mcnemar_mid_p(table) == pytest.approx(mcnemar_mid_p(swapped(table)))
    assert mcnemar_mid_p(table) <= mcnemar_exact(table) <= 1


@pytest.mark.parametrize("discordance", [0.05, 0.2, 0.6])
def test_type_one_error_summed_over_all_outcomes(discordance):
    """Exact never exceeds 5 %; mid-p is nearer to it and exceeds it by half a point at most."""
    n, errors = 60, {mcnemar_exact: 0.0, mcnemar_mid_p: 0.0}
    for k in range(1, 40):
        weights = binom.pmf(k, n, discordance) * binom.pmf(range(k + 1), k, 0.5)
        for test in errors:
            rejected = [test(counts(b, k - b, n)) < 0.05 for b in range(k + 1)]
            errors[test] += float(weights @ np.array(rejected))
    assert errors[mcnemar_exact] <= 0.05
    assert errors[mcnemar_exact] <= errors[mcnemar_mid_p] <= 0.055


def test_counts_below_zero_or_of_nothing_are_refused():
    for bad in ((0, 0, 0, 0), (1, -1, 1, 1)):
        with pytest.raises(GoniometerError, match="no table of counts"):
            Counts(*bad)
