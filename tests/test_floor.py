"""The seed floor by simulation and in closed form, and the verdict on sameness."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from goniometer.errors import GoniometerError
from goniometer.results import Band, Floor, Reading
from goniometer.seeds import derive
from goniometer.statistics import SAMENESS, UNTOLD, floor_low, sameness, seed_floor
from tests.paired_tables import unhurried

ORDER, INIT = "same init, other order", "other init, same order"


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
