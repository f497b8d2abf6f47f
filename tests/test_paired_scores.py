"""All pairs of a set of runs: the join, both families, four verdicts, what is refused."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from goniometer.errors import GoniometerError
from goniometer.seeds import derive
from goniometer.statistics import compare_all, holm, paired
from tests.paired_tables import grades


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_closed_testing_by_bonferroni(p_values):
    every = range(len(p_values))
    subsets = [s for size in every for s in combinations(every, size + 1)]
    expected = [
        max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in subsets if i in s)
        for i in every
    ]
    assert holm(p_values) == pytest.approx(expected)
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_of_nothing_is_nothing():
    assert holm([]) == ()


def test_runs_are_joined_on_the_problem_and_not_on_the_position():
    a, b = grades(60, 100), grades(50, 100, first=20)
    shuffled = dict(reversed(b.items()))
    row = paired("a", a, "b", shuffled, 0.02)
    assert (row.both, row.only_a, row.only_b, row.neither) == (40, 20, 10, 30)
    assert row.difference == pytest.approx(0.1)
    assert row == paired("a", a, "b", b, 0.02)


def test_an_ungraded_problem_is_dropped_counted_and_never_wrong():
    a, b = grades(60, 100), grades(50, 100, first=20)
    a["p0"], b["p1"], b["p99"] = "ungraded:timeout", "ungraded:", "ungraded:crash"
    row = paired("a", a, "b", b, 0.02)
    assert (row.n, row.dropped) == (97, 3)
    assert (row.both, row.only_a, row.only_b, row.neither) == (40, 18, 10, 29)


@pytest.mark.parametrize(
    ("correct_b", "first_b", "total", "expected"),
    [
        (500, 200, 1000, "different"),
        (9900, 30, 20000, "different but within the margin"),
        (500, 2, 1000, "equivalent within the margin"),
        (50, 10, 100, "undecided"),
    ],
)
def test_the_four_verdicts(correct_b, first_b, total, expected):
    a = grades(total // 2 if expected != "different" else 900, total)
    row = paired("a", a, "b", grades(correct_b, total, first_b), 0.02)
    assert row.verdict == expected
    different, within = row.p_holm < 0.05, row.p_equivalence_holm < 0.05
    assert different == row.verdict.startswith("different")
    assert within == row.verdict.endswith("within the margin")


def test_a_pair_alone_differs_and_one_of_many_does_not():
    a, b = grades(60, 100), grades(52, 100, first=1)
    alone = paired("a", a, "b", b, 0.02)
    runs = {"a": a, "b": b} | {f"a{i}": a for i in range(4)}
    among = next(row for row in compare_all(runs, 0.02) if (row.a, row.b) == ("a", "b"))
    assert (alone.p_exact, alone.low) == (among.p_exact, among.low)
    assert alone.verdict == "different"
    assert among.verdict == "undecided"
    assert among.p_holm > alone.p_holm == alone.p_exact


def test_all_pairs_are_there_and_both_families_are_holm_adjusted():
    rng = np.random.default_rng(derive("compare all"))
    runs = {
        name: {f"p{i}": "correct" if rng.random() < p else "wrong:answer" for i in range(80)}
        for name, p in (("a", 0.9), ("b", 0.5), ("c", 0.5), ("d", 0.6))
    }
    rows = compare_all(runs, 0.3)
    assert [(row.a, row.b) for row in rows] == list(combinations("abcd", 2))
    assert tuple(row.p_holm for row in rows) == holm([row.p_exact for row in rows])
    assert tuple(row.p_equivalence_holm for row in rows) == holm([r.p_equivalence for r in rows])
    assert compare_all({"a": runs["a"]}, 0.3) == ()


@pytest.mark.parametrize(
    ("b", "message"),
    [
        ({"p0": "correct"}, "not asked the same problems; found 1 problems"),
        ({"p0": "correct", "p1": "rihgt"}, "b: p1: not a grade; found 'rihgt'"),
        ({"p0": "correct", "p1": "correct:"}, "not a grade"),
        ({"p0": "ungraded:x", "p1": "ungraded:y"}, "no problem that both have graded"),
    ],
)
def test_runs_that_cannot_be_compared_say_why(b, message):
    with pytest.raises(GoniometerError, match=message):
        paired("a", {"p0": "correct", "p1": "wrong:answer"}, "b", b, 0.02)


def test_one_name_twice_is_refused():
    with pytest.raises(GoniometerError, match="one name"):
        paired("a", grades(1, 2), "a", grades(1, 2), 0.02)


def test_neither_statistics_nor_claims_load_torch_or_scipy_when_imported():
    code = (
        "import sys, goniometer.statistics, goniometer.claims;"
        "assert not {'torch', 'scipy', 'statsmodels'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_adjusted_smallest_margin_is_where_the_verdict_turns():
    rng = np.random.default_rng(derive("smallest margins"))
    runs = {
        name: {f"p{i}": "correct" if rng.random() < p else "wrong:answer" for i in range(60)}
        for name, p in (("a", 0.95), ("b", 0.9), ("c", 0.6))
    }
    rows = compare_all(runs, 0.3)
    assert len({row.smallest_margin_holm for row in rows}) > 2
    for i, row in enumerate(rows):
        margin = row.smallest_margin_holm
        assert margin >= row.smallest_margin
        above, below = (compare_all(runs, margin * x)[i] for x in (1.0001, 0.9999))
        assert above.p_equivalence_holm < 0.05 < below.p_equivalence_holm
        assert "within the margin" in above.verdict
        assert "within the margin" not in below.verdict
    (alone,) = compare_all({"a": runs["a"], "b": runs["b"]}, 0.3)
    assert alone.smallest_margin_holm == pytest.approx(alone.smallest_margin)
