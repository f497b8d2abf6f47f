"""Rollouts by their share of wrong rows, from the pool of all that was sampled."""

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goniometer.config import Rollouts
from goniometer.model import load
from goniometer.rollouts import RolloutSet
from goniometer.tasks import TASKS
from tests.rollouts_factory import make_rollouts
from tests.sampling import pooled, sample

groups = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 5)).map(lambda n: "+" * n[0] + "-" * n[1]),
    min_size=1,
    max_size=4,
)
shares = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0])


@given(groups, shares, st.integers(1, 6))
def test_each_prompt_comes_as_near_as_can_be_with_as_many_rows_as_can_be(signs, share, most):
    """By trying every subset of a prompt's rows."""
    pool = make_rollouts(signs)
    kept = pool.with_wrong_share(share, most, "s")
    of_pool, of_kept = ({p: [r[i] for i in x] for p, x in s.groups()}
                        for s, r in ((pool, pool.rows), (kept, kept.rows)))  # fmt: skip
    assert list(of_kept) == list(of_pool)
    for problem, rows in of_kept.items():
        assert set(map(id, rows)) <= set(map(id, of_pool[problem]))
        assert rows == [row for row in of_pool[problem] if row in rows]  # in their order

        def distance(chosen):
            wrong = Fraction(sum(row.wrong for row in chosen), len(chosen))
            return abs(wrong - Fraction(share).limit_denominator(10**6)), -len(chosen)

        subsets = [
            subset for size in range(1, most + 1) for subset in combinations(of_pool[problem], size)
        ]
        assert distance(rows) == min(map(distance, subsets))


@given(groups, st.integers(1, 6))
def test_the_ends_are_right_rows_alone_and_wrong_rows_alone(signs, most):
    pool = make_rollouts(signs)
    none, all_ = (pool.with_wrong_share(share, most, "s") for share in (0.0, 1.0))
    assert none.wrong_share == 0
    assert all_.wrong_share == 1
    assert len(none.rows) == sum(min(most, sign.count("+")) for sign in signs)


def test_rows_are_drawn_by_the_seed():
    pool = make_rollouts(["++++----"] * 6)
    sets = [pool.with_wrong_share(0.5, 4, seed) for seed in ("a", "a", "b")]
    assert sets[0] == sets[1] != sets[2]
    assert {row.completion_tokens for row in sets[0].rows} != {
        row.completion_tokens for row in sets[2].rows
    }
    assert sets[0].wrong_share == 0.5


def test_the_share_of_a_set_leaves_ungraded_rows_out():
    assert make_rollouts(["+--?", "-"]).wrong_share == pytest.approx(3 / 4)
    assert RolloutSet(()).wrong_share == 0


def test_the_pool_is_all_graded_rows_of_the_prompts_that_are_kept():
    teacher = load("embedded:teacher", device="cpu")
    settings = Rollouts(samples=4, rows_per_prompt=2)
    asked = (teacher, TASKS["arithmetic"](), "train")
    options = {"settings": settings, "prompts": 3, "seed": 5, "advance": lambda rows: None}
    kept, _ = sample(*asked, **options)
    drawn, pool = pooled(*asked, **options)
    assert {row.problem_id for row in pool.rows} == {row.problem_id for row in kept.rows}
    assert len(pool.rows) == 3 * 4
    assert len(kept.rows) == 3 * 2
    assert set(kept.rows) < set(pool.rows)
    texts = {(row.problem_id, row.completion_tokens) for row in drawn.rows}
    assert {(row.problem_id, row.completion_tokens) for row in pool.rows} <= texts
    assert all(len(row.logprobs) == len(row.completion_tokens) for row in pool.rows)
