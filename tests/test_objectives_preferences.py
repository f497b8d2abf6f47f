"""Preference objectives: pairing, TRL as the oracle, and what the closed forms say."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from goniometer.objectives.dpo import DPO, spread_pairs
from goniometer.objectives.ipo import IPO
from goniometer.objectives.kto import KTO
from goniometer.objectives.simpo import SimPO
from tests.rollouts_factory import GROUPS, gradient, make_batch, make_rollouts
from tests.trl_oracle import sequence_sums, trl_kto, trl_preference, trl_simpo

ROLLOUTS = make_rollouts(GROUPS)


def with_equal_lengths(length=5):
    """Rollouts whose completions all have so many tokens."""
    rows = tuple(
        dataclasses.replace(row, completion_tokens=(2,) * length, logprobs=(-1.0,) * length)
        for row in ROLLOUTS.rows
    )
    return type(ROLLOUTS)(rows)


@pytest.mark.parametrize(
    ("objective", "loss_type", "beta"),
    [
        (DPO(beta=0.7, length_normalised=True), "sigmoid_norm", 0.7),
        (IPO(tau=0.3, length_normalised=True), "ipo", 0.3),
    ],
)
def test_preferences_by_mean_log_prob_equal_trl(objective, loss_type, beta):
    batch = make_batch(objective, ROLLOUTS)
    mean, slope, _ = trl_preference(batch, loss_type, beta)
    ours = objective.loss(batch)
    torch.testing.assert_close(ours.total / ours.units, mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        gradient(objective, batch)[batch.mask] / ours.units, slope[batch.mask], rtol=1e-12, atol=0
    )


def test_simpo_equals_trl():
    objective = SimPO(beta=2.5, gamma=1.4)
    batch = make_batch(objective, ROLLOUTS)
    means = sequence_sums(batch.logprobs, batch.mask) / batch.mask.sum(1)
    losses = trl_simpo(means[::2], means[1::2], 2.5, 1.4)
    (slope,) = torch.autograd.grad(losses.sum(), batch.logprobs)
    ours = objective.loss(batch)
    torch.testing.assert_close(ours.total, losses.sum(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient(objective, batch), slope, rtol=1e-12, atol=0)
    assert ours.metrics["ordered_pairs"] == float((means[::2] > means[1::2]).sum())


@pytest.mark.parametrize("z_refs", [[0.2, 0.9, -0.3], [-4.0, 1.0]])  # mean above 0, and below
def test_kto_equals_trl(z_refs):
    objective = KTO(beta=0.4, lambda_desirable=1.3, lambda_undesirable=0.7)
    batch = make_batch(objective, ROLLOUTS)
    batch = dataclasses.replace(batch, mismatched=torch.tensor(z_refs, dtype=torch.float64))
    mean, slope, logged = trl_kto(batch, 0.4, 1.3, 0.7)
    ours = objective.loss(batch)
    torch.testing.assert_close(ours.total / ours.units, mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        gradient(objective, batch)[batch.mask] / ours.units, slope[batch.mask], rtol=1e-12, atol=0
    )
    assert ours.metrics["z_ref"] / ours.units == pytest.approx(logged["kl"], rel=1e-12, abs=1e-15)
    right = int((batch.coefficient > 0).sum())
    assert ours.metrics["reward_right"] / right == pytest.approx(logged["rewards/chosen"])
    wrong = ours.units - right
    assert ours.metrics["reward_wrong"] / wrong == pytest.approx(logged["rewards/rejected"])


# IPO as printed sums over tokens, which TRL does not offer: a twin, one pair at a time.


def test_ipo_equals_the_slow_twin():
    objective = IPO(tau=0.25, pairs_per_prompt=3)
    batch = make_batch(objective, ROLLOUTS)
    slope, total, ordered = gradient(objective, batch), 0.0, 0
    for chosen in range(0, len(batch.mask), 2):
        h = [
            math.fsum((batch.logprobs - batch.reference)[row][batch.mask[row]].tolist())
            for row in (chosen, chosen + 1)
        ]
        miss = h[0] - h[1] - 2.0  # 1 / (2 * 0.25)
        total += miss**2
        ordered += h[0] > h[1]
        for row, sign in ((chosen, 1.0), (chosen + 1, -1.0)):
            expected = torch.full_like(slope[row][batch.mask[row]], 2 * sign * miss)
            torch.testing.assert_close(slope[row][batch.mask[row]], expected, rtol=1e-11, atol=0)
    assert objective.loss(batch).total.item() == pytest.approx(total, rel=1e-12)
    assert objective.loss(batch).metrics["ordered_pairs"] == ordered


def test_ipo_is_at_rest_once_the_margin_is_its_target():
    objective = IPO(tau=0.5)  # a margin of 1 nat
    batch = make_batch(objective, make_rollouts(["+-"]))
    shift = batch.coefficient.clamp(min=0) / batch.mask.sum(1)
    leaf = (batch.reference + shift[:, None]).requires_grad_()
    rest = dataclasses.replace(batch, logprobs=leaf)
    assert objective.loss(rest).total.item() == pytest.approx(0.0, abs=1e-25)
    assert gradient(objective, rest).abs().max() < 1e-12


@pytest.mark.parametrize("length", [1, 5])
def test_for_texts_of_one_length_normalising_divides_beta(length):
    rollouts = with_equal_lengths(length)
    batch = make_batch(DPO(), rollouts)
    by_mean = DPO(beta=0.3 * length, length_normalised=True)
    torch.testing.assert_close(
        gradient(by_mean, batch), gradient(DPO(beta=0.3), batch), rtol=1e-12, atol=0
    )


def test_simpo_without_gamma_is_normalised_dpo_against_certainty():
    batch = make_batch(DPO(), ROLLOUTS)
    certain = dataclasses.replace(batch, reference=torch.zeros_like(batch.reference))
    by_mean = DPO(beta=2.0, length_normalised=True)
    assert torch.equal(gradient(SimPO(gamma=0.0), batch), gradient(by_mean, certain))


# KTO and its common point.


def test_kto_at_the_reference_is_half_of_lambda_a_row():
    objective = KTO(lambda_desirable=1.3, lambda_undesirable=0.7)
    batch = make_batch(objective, ROLLOUTS)
    batch = dataclasses.replace(
        batch, logprobs=batch.reference, mismatched=torch.zeros(3, dtype=torch.float64)
    )
    right = int((batch.coefficient > 0).sum())
    expected = 0.5 * (1.3 * right + 0.7 * (len(batch.mask) - right))
    assert objective.loss(batch).total.item() == pytest.approx(expected, rel=1e-14)


def test_no_gradient_flows_through_the_common_point():
    batch = make_batch(KTO(), ROLLOUTS)
    leaf = batch.mismatched.clone().requires_grad_()
    total = KTO().loss(dataclasses.replace(batch, mismatched=leaf)).total
    assert torch.autograd.grad(total, leaf, allow_unused=True) == (None,)


def test_accumulation_matters_to_kto():
    """A batch's point is not the mean of its parts' points: each of those is clamped by itself."""
    examples = KTO().select(ROLLOUTS)
    whole = make_batch(KTO(), ROLLOUTS)
    points = torch.tensor([-1.0, 1.0], dtype=torch.float64)

    def total(mismatched, rows=slice(None)):
        part = dataclasses.replace(
            whole,
            logprobs=whole.logprobs[rows],
            mask=whole.mask[rows],
            coefficient=whole.coefficient[rows],
            pair=whole.pair[rows],
            reference=whole.reference[rows],
            mismatched=mismatched,
        )
        return KTO().loss(part).total

    half = len(examples.row) // 2
    first, second = slice(None, half), slice(half, None)
    same = total(points, first) + total(points, second)
    torch.testing.assert_close(same, total(points), rtol=1e-13, atol=0)
    parts = total(points[:1], first) + total(points[1:], second)
    assert abs(parts - total(points)) > 1e-3


@pytest.mark.parametrize("objective", [DPO(), IPO(), KTO()])
def test_without_the_reference_a_preference_says_so(objective):
    batch = dataclasses.replace(make_batch(objective, ROLLOUTS), reference=None)
    with pytest.raises(ValueError, match="reference"):
        objective.loss(batch)


@pytest.mark.parametrize("mismatched", [None, torch.zeros(0)])
def test_kto_without_mismatched_completions_says_so(mismatched):
    batch = dataclasses.replace(make_batch(KTO(), ROLLOUTS), mismatched=mismatched)
    with pytest.raises(ValueError, match="mismatched"):
        KTO().loss(batch)


# Pairing.


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("+-+-", [(0, 1), (2, 3)]),  # every row once
        ("+---", [(0, 1), (0, 2)]),  # the lone right row twice
        ("+++-", [(0, 3), (1, 3)]),
        ("+-", [(0, 1)]),
        ("?-+?", [(2, 1)]),
        ("++++", []),
    ],
)
def test_pairs_of_a_prompt(group, expected):
    rows = DPO().select(make_rollouts([group])).row.tolist()
    assert list(zip(rows[::2], rows[1::2], strict=True)) == expected


@given(st.integers(0, 6), st.integers(0, 6))
def test_pairs_are_distinct_complete_and_evenly_spread(a, b):
    pairs = spread_pairs(list(range(a)), list(range(100, 100 + b)))
    assert sorted(pairs) == [(i, 100 + j) for i in range(a) for j in range(b)]
    for size in range(1, len(pairs) + 1):
        for side, rows in ((0, range(a)), (1, range(100, 100 + b))):
            uses = [sum(pair[side] == row for pair in pairs[:size]) for row in rows]
            assert max(uses) - min(uses) <= 1
