"""Clustered problems against all signs, statsmodels' robust variance and what repeats must say."""

from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from statsmodels.stats.contingency_tables import mcnemar

from goniometer.errors import GoniometerError
from goniometer.seeds import derive
from goniometer.statistics import Counts, compare_all, mcnemar_exact, mcnemar_mid_p
from goniometer.statistics.clusters import Clustered, sign_flip
from goniometer.statistics.tango import tango_interval
from tests.paired_tables import counts, grades, unhurried

sums_of_few = st.lists(st.integers(-4, 4), min_size=1, max_size=9)


def clustered_table(rng: np.random.Generator, clusters: int) -> tuple[Clustered, np.ndarray]:
    """Clusters of 1 to 5 problems that lean one way, and the cluster of each problem."""
    sizes = rng.integers(1, 6, clusters)
    lean = np.repeat(rng.normal(0.1, 0.4, clusters), sizes)
    difference = np.sign(lean + rng.normal(0, 0.5, sizes.sum())).astype(int)
    difference[rng.random(sizes.sum()) < 0.6] = 0
    groups = np.repeat(np.arange(clusters), sizes)
    b, c = int((difference > 0).sum()), int((difference < 0).sum())
    table = Counts(int(sizes.sum()) - b - c, b, c, 0)
    sums = np.bincount(groups, weights=difference).astype(int)
    return Clustered(table, sums, sizes), np.stack([difference, groups])


@unhurried
@given(sums_of_few)
def test_the_exact_p_counts_every_sign(sums):
    total = abs(sum(sums))
    every = [abs(sum(s * d for s, d in zip(signs, sums, strict=True)))
             for signs in product((-1, 1), repeat=len(sums))]  # fmt: skip
    beyond = sum(x > total for x in every) / len(every)
    level = sum(x == total for x in every) / len(every)
    exact, mid = sign_flip(np.array(sums))
    assert exact == pytest.approx(beyond + level)
    assert mid == pytest.approx(1.0 if not any(sums) else beyond + level / 2)


@pytest.mark.parametrize(("b", "c"), [(6, 16), (1, 7), (40, 20), (5, 5), (0, 0), (300, 150)])
def test_clusters_of_one_problem_are_mcnemars_test(b, c):
    table, sums = counts(b, c, 500), np.array([1] * b + [-1] * c + [0] * (500 - b - c))
    exact, mid = sign_flip(sums)
    assert exact == pytest.approx(mcnemar_exact(table), rel=1e-9)
    assert mid == pytest.approx(mcnemar_mid_p(table), rel=1e-9)
    found = Clustered(table, sums, np.ones(500, int))
    if b + c:
        statistic = mcnemar([[0, b], [c, 0]], exact=False, correction=False).statistic
        assert found.obuchowski_p == pytest.approx(chi2.sf(statistic * 499 / 500, 1), rel=1e-9)


def test_the_design_effect_is_that_of_a_cluster_robust_regression():
    rng = np.random.default_rng(derive("design effect"))
    seen = []
    for _ in range(20):
        table, (difference, groups) = clustered_table(rng, 40)
        fit = sm.OLS(difference, np.ones(len(difference))).fit(
            cov_type="cluster", cov_kwds={"groups": groups}
        )
        independent = np.mean((difference - difference.mean()) ** 2) / len(difference)
        expected = float(fit.cov_params().item()) / independent
        seen.append(expected)
        assert table.design_effect == pytest.approx(max(1.0, expected), rel=1e-9)
    assert min(seen) < 1 < max(seen), "both sides of the floor"


def test_problems_that_stand_alone_need_no_clusters():
    runs = {"a": grades(60, 100), "b": grades(50, 100, first=20), "c": grades(58, 100, first=1)}
    alone = {problem: f"cluster of {problem}" for problem in runs["a"]}
    assert compare_all(runs, 0.05, alone) == compare_all(runs, 0.05)


def test_the_same_answers_four_times_over_are_no_more_evidence():
    """Each problem four times: the exact p is that of the problems, the interval about theirs."""
    once = {"a": grades(60, 100), "b": grades(52, 100, first=1)}
    often = {
        run: {f"{problem}/{i}": text for problem, text in told.items() for i in range(4)}
        for run, told in once.items()
    }
    groups = {problem: problem.split("/")[0] for problem in often["a"]}
    one, (four,) = compare_all(once, 0.02)[0], compare_all(often, 0.02, groups)
    naive = compare_all(often, 0.02)[0]
    assert four.p_exact == pytest.approx(one.p_exact)
    assert four.p_mid == pytest.approx(one.p_mid)
    assert naive.p_exact < one.p_exact / 100
    assert (four.low, four.high) == pytest.approx((one.low, one.high), abs=0.004)
    assert (four.bootstrap.low, four.bootstrap.high) == pytest.approx(
        (one.bootstrap.low, one.bootstrap.high), abs=0.006
    )
    assert (four.clusters, four.bootstrap.over) == (100, "clusters")
    assert four.design_effect == pytest.approx(4 * 100 / 99)


def test_the_verdict_is_of_clusters():
    """Two clusters hold all the difference: four hundred samples are not four hundred problems."""
    a = grades(200, 400)
    b = grades(160, 400)
    groups = {f"p{i}": f"c{i // 20}" for i in range(400)}
    (plain,), (found,) = (compare_all({"a": a, "b": b}, 0.02, c) for c in (None, groups))
    assert plain.verdict == "different"
    assert found.verdict == "undecided"
    assert found.smallest_margin_holm > plain.smallest_margin_holm
    assert found.high - found.low > 4 * (plain.high - plain.low)


def test_without_a_discordant_problem_a_cluster_counts_as_one():
    table = Clustered(counts(0, 0, 40), np.zeros(10, int), np.full(10, 4))
    assert (table.n, table.obuchowski_p, table.sign_flip) == (10, 1.0, (1.0, 1.0))
    low, high = tango_interval(table)
    assert -low == pytest.approx(high)
    assert high > tango_interval(counts(0, 0, 10))[1], "Student's t is wider"


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({f"p{i}": "one" for i in range(9)}, "all problems are of one cluster; found 9 problems"),
        ({f"p{i}": f"c{i // 2}" for i in range(8)}, "p8: problems without a cluster; found 1 of 9"),
    ],
)
def test_clusters_that_cannot_be_used_say_why(groups, message):
    with pytest.raises(GoniometerError, match=message):
        compare_all({"a": grades(4, 9), "b": grades(5, 9)}, 0.02, groups)
