"""Accuracy of one run and its Wilson interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from goniometer.errors import GoniometerError
from goniometer.statistics import accuracy, wilson_interval
from tests.paired_tables import unhurried


@unhurried
@given(st.integers(1, 500), st.data())
def test_wilson_agrees_with_statsmodels(n, data):
    correct = data.draw(st.integers(0, n))
    expected = proportion_confint(correct, n, method="wilson")
    assert wilson_interval(correct, n) == pytest.approx(expected, abs=1e-12)


def test_accuracy_counts_what_it_says():
    run = {"p0": "correct", "p1": "wrong:truncated", "p2": "wrong:no_answer", "p3": "ungraded:x"}
    said = {"p0": "1", "p1": "2", "p2": "3", "p3": "4"}
    found = accuracy("a", run, said, said | {"p1": "?"})
    assert (found.n, found.correct, found.truncated, found.ungraded) == (3, 1, 1, 1)
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.changed == 0.25
    assert accuracy("base", run).changed is None


def test_accuracy_of_nothing_and_of_other_problems_is_refused():
    with pytest.raises(GoniometerError, match="no problem of this run is graded"):
        accuracy("a", {"p0": "ungraded:x"})
    with pytest.raises(GoniometerError, match="not of the base's problems"):
        accuracy("a", {"p0": "correct"}, {"p0": "1"}, {"p1": "1"})
