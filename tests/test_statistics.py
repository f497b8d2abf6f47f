"""Paired statistics against brute force, closed forms, other libraries and their own symmetries."""

import math
import subprocess
import sys
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, multinomial, t
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from goniometer.errors import GoniometerError
from goniometer.results import Band, Floor, Reading
from goniometer.seeds import derive
from goniometer.statistics import (
    SAMENESS,
    UNTOLD,
    Counts,
    accuracy,
    compare_all,
    equivalence_p,
    floor_low,
    holm,
    mcnemar_exact,
    mcnemar_mid_p,
    paired,
    sameness,
    seed_floor,
    smallest_margin,
    tango_interval,
    wilson_interval,
)
from goniometer.statistics.tango import score

# Two busy cores make any one example slow.
unhurried = settings(deadline=None)

Z95, Z90 = 1.959963984540054, 1.6448536269514722
ORDER, INIT = "same init, other order", "other init, same order"


def counts(b: int, c: int, n: int) -> Counts:
    """Discordant counts among n problems."""
    return Counts(n - b - c, b, c, 0)


def swapped(table: Counts) -> Counts:
    return Counts(table.both, table.only_b, table.only_a, table.neither)


tables = st.builds(
    Counts,
    both=st.integers(0, 200),
    only_a=st.integers(0, 60),
    only_b=st.integers(0, 60),
    neither=st.integers(1, 200),
)


# McNemar


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


# Tango's interval and equivalence


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


# Multiplicity


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


# Runs of grades


def grades(correct: int, total: int, first: int = 0) -> dict[str, str]:
    """`correct` right ones from problem `first` on, the others wrong."""
    return {
        f"p{i}": "correct" if first <= i < first + correct else "wrong:answer" for i in range(total)
    }


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


def test_counts_below_zero_or_of_nothing_are_refused():
    for bad in ((0, 0, 0, 0), (1, -1, 1, 1)):
        with pytest.raises(GoniometerError, match="no table of counts"):
            Counts(*bad)


# Accuracy


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


# The seed floor


def named(cosines: np.ndarray) -> tuple[dict[tuple[str, str], float], tuple[str, ...]]:
    runs = tuple(f"order {i}" for i in range(len(cosines)))
    pairs = combinations(range(len(runs)), 2)
    return {(runs[i], runs[j]): float(cosines[i, j]) for i, j in pairs}, runs


def replicates(rng: np.random.Generator, sets: int, runs: int, variation: float) -> np.ndarray:
    """Cosines of runs that are one direction plus noise of a fifth of it, in 400 dimensions."""
    spread = math.sqrt(math.log1p(variation**2))
    sizes = 0.2 * np.exp(spread * rng.standard_normal((sets, runs, 1)) - spread**2 / 2)
    updates = sizes * rng.standard_normal((sets, runs, 400)) / 20
    updates[:, :, 0] += 1
    updates /= np.linalg.norm(updates, axis=2, keepdims=True)
    return updates @ updates.transpose(0, 2, 1)


@pytest.mark.parametrize(("n", "variation"), [(3, 0.0), (3, 0.1), (5, 0.05)])
def test_the_floor_covers_a_new_pair_in_high_dimension(n, variation):
    rng = np.random.default_rng(derive("floor coverage", n, variation))
    sets = 3000
    covered, lowest = np.zeros(sets), np.zeros(sets)
    for i, cosines in enumerate(replicates(rng, sets, n + 2, variation)):
        known, runs = named(cosines[:n, :n])
        low = floor_low(known, runs)
        covered[i] = cosines[n, n + 1] >= low
        lowest[i] = cosines[n, n + 1] >= min(known.values())
    assert 0.94 <= covered.mean() <= 0.98
    assert lowest.mean() < 0.9, "the lowest cosine seen is no bound"


def test_the_floor_is_exact_where_its_model_holds():
    """z_ij = mean + r_i + r_j + e_ij: nominal without e, a little above where e weighs."""
    rng = np.random.default_rng(derive("floor model"))
    for n, run_sd, pair_sd, most in ((3, 0.1, 0.0, 0.96), (6, 0.05, 0.1, 0.975)):
        covered = 0
        for _ in range(4000):
            effect = rng.normal(0, run_sd, n + 2)
            noise = np.triu(rng.normal(0, pair_sd, (n + 2, n + 2)), 1)
            cosines = np.tanh(1.8 + effect[:, None] + effect + noise + noise.T)
            covered += cosines[n, n + 1] >= floor_low(*named(cosines[:n, :n]))
        assert 0.94 <= covered / 4000 <= most


def test_three_replicates_have_two_degrees_of_freedom():
    """With n = 3 the run effects spread just as the cosines do: a closed form."""
    z = np.array([1.9, 2.0, 2.15])
    runs = ("a", "b", "c")
    cosines = dict(zip(combinations(runs, 2), np.tanh(z).tolist(), strict=True))
    bound = z.mean() - t.ppf(0.95, 2) * z.std(ddof=1) * math.sqrt(2 + 4 / 3)
    assert floor_low(cosines, runs) == pytest.approx(math.tanh(bound))


@unhurried
@given(st.lists(st.floats(-0.99, 0.999), min_size=6, max_size=6), st.permutations("abcd"))
def test_the_floor_does_not_depend_on_the_order_of_runs_or_of_a_pair(values, order):
    cosines = dict(zip(combinations("abcd", 2), values, strict=True))
    turned = {(b, a): value for (a, b), value in cosines.items()}
    low = floor_low(cosines, tuple("abcd"))
    assert floor_low(turned, tuple(order)) == pytest.approx(low, abs=1e-9)
    assert -1 <= low <= math.tanh(np.arctanh(values).mean()) + 1e-9


def test_a_floor_of_equal_cosines_is_that_cosine_and_of_identical_runs_one():
    for cosine in (-0.2, 0.07, 0.95, 1.0):
        cosines, runs = named(np.full((4, 4), cosine))
        assert floor_low(cosines, runs) == pytest.approx(cosine, abs=1e-12)
    assert floor_low(cosines, runs) <= 1.0


def test_a_floor_says_its_rule_and_has_no_bound_below_three_runs():
    cosines = {("a", "b"): 0.96, ("c", "a"): 0.95, ("b", "c"): 0.97}
    three = seed_floor(ORDER, ("a", "b", "c"), cosines)
    assert three.cosines == (0.96, 0.95, 0.97)
    assert three.low == floor_low(cosines, ("a", "b", "c")) < 0.95
    assert "2 degrees of freedom" in three.rule
    two = seed_floor(INIT, ("a", "b"), cosines)
    assert (two.low, two.cosines) == (None, (0.96,))
    assert "provisional" in two.rule
    with pytest.raises(GoniometerError, match="no cosine of the replicates a and d"):
        seed_floor(ORDER, ("a", "d"), cosines)


# Sameness

NULLS = {
    "independent": Band(low=-0.01, median=0, high=0.01, draws=200),
    "shared_A0": Band(low=-0.05, median=0, high=0.05, draws=200),
}


def seen(low: float | None, kind: str = ORDER, cosines: tuple[float, ...] = (0.95, 0.97)) -> Floor:
    return Floor(kind=kind, runs=("a", "b"), cosines=cosines, low=low, rule="")


@pytest.mark.parametrize(
    ("cosine", "floor", "nulls", "expected"),
    [
        (0.95, seen(0.93), NULLS, "same update"),
        (0.94, seen(0.93), NULLS, UNTOLD),
        (0.93, seen(0.93), {}, UNTOLD),
        (0.92, seen(0.93), NULLS, "not the same update"),
        (-0.9, seen(0.93), NULLS, "not the same update"),
        (0.96, seen(None), NULLS, "same update (provisional: fewer than 3 replicates)"),
        (0.94, seen(None), NULLS, "not the same update (provisional: fewer than 3 replicates)"),
        (0.96, seen(0.3, INIT), NULLS, "same update up to its init"),
        (0.34, seen(0.3, INIT), NULLS, UNTOLD),
        (0.005, seen(-0.1, INIT), NULLS, "not distinguishable from independent"),
        (0.03, seen(-0.1), NULLS, "beyond independence, within the shared-A0 null"),
        (0.99, seen(None, cosines=()), NULLS, "similar, relative to the nulls"),
        (0.99, None, NULLS, "similar, relative to the nulls"),
        (0.02, None, NULLS, "beyond independence, within the shared-A0 null"),
        (-0.02, None, NULLS, "beyond independence, within the shared-A0 null"),
        (0.02, None, {"independent": NULLS["independent"]}, "similar, relative to the nulls"),
        (0.0, None, NULLS, "not distinguishable from independent"),
        (-0.5, None, NULLS, "opposed, relative to the nulls"),
        (0.99, None, None, "no floor and no null to judge by"),
    ],
)
def test_sameness(cosine, floor, nulls, expected):
    assert sameness(Reading(value=cosine), "comparable", floor, nulls) == expected
    assert expected in SAMENESS


@pytest.mark.parametrize(
    ("cosine", "expected"),
    [(0.99, UNTOLD), (0.94, UNTOLD), (0.92, "not the same update")],
)
def test_a_cosine_that_shares_the_repeats_noise_can_only_fall_below(cosine, expected):
    found = sameness(Reading(value=cosine), "comparable", seen(0.93), NULLS, shares_noise=True)
    assert found == expected


def test_states_come_before_numbers():
    one, none = Reading(value=1.0), Reading(undefined="zero delta")
    assert sameness(one, "identical", seen(0.9), NULLS) == "identical"
    assert sameness(none, "zero delta", seen(0.9), NULLS) == "zero delta"
    assert sameness(one, "no common module", seen(0.9), NULLS) == "not comparable"
    assert sameness(none, "comparable", None, NULLS) == "not comparable"


@unhurried
@given(
    st.floats(-1, 1),
    st.sampled_from(["comparable", "identical", "zero delta", "no common module"]),
    st.sampled_from([None, seen(None), seen(0.9), seen(0.2, INIT), seen(None, INIT)]),
    st.sampled_from([None, NULLS, {"independent": NULLS["independent"]}]),
)
def test_sameness_is_always_one_of_its_table_and_never_similarity_below_a_floor(
    cosine, state, floor, nulls
):
    said = sameness(Reading(value=cosine), state, floor, nulls)
    assert said in SAMENESS
    if floor is not None and state == "comparable":
        assert "similar" not in said
        assert ("provisional" in said) <= (floor.low is None)


def test_neither_statistics_nor_claims_load_torch_or_scipy_when_imported():
    code = (
        "import sys, goniometer.statistics, goniometer.claims;"
        "assert not {'torch', 'scipy', 'statsmodels'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
