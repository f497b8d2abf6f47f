"""The GRPO family: advantages, TRL's loss as the oracle, what the clip lets go, reductions."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from goniometer.objectives import Batch
from goniometer.objectives.coefficients import gradient_coefficients
from goniometer.objectives.dft import DFT
from goniometer.objectives.offline_grpo import OfflineGRPO
from goniometer.objectives.online_grpo import OnlineGRPO
from tests.rollouts_factory import GROUPS, gradient, make_batch, make_rollouts, make_table
from tests.trl_oracle import trl_grpo

ROLLOUTS = make_rollouts(GROUPS)
WEIGHTED = OfflineGRPO(variant="probability_weighted")
RATIO = OfflineGRPO(variant="ratio_clipped", clip=0.3, kl=0.04)
ONLINE = OnlineGRPO(clip=0.3, kl=0.04)


def far_batch(objective):
    """A batch of all columns whose behaviour is far enough from the policy for the clip to act."""
    batch = make_batch(RATIO, ROLLOUTS, examples=objective.select(ROLLOUTS))
    table = make_table(ROLLOUTS, seed=5)
    behaviour = torch.zeros_like(batch.reference)
    for position, row in enumerate(objective.select(ROLLOUTS).row.tolist()):
        behaviour[position, : len(table[row])] = torch.tensor(table[row], dtype=torch.float64)
    return dataclasses.replace(batch, behaviour=behaviour)


@pytest.mark.parametrize(
    ("objective", "clip", "kl"),
    [(WEIGHTED, 0.2, 0.1), (RATIO, 0.3, 0.04), (ONLINE, 0.3, 0.04), (OnlineGRPO(), 0.2, 0.0)],
)
def test_the_clipped_objectives_equal_trl(objective, clip, kl):
    batch = far_batch(objective)
    old = torch.zeros_like(batch.behaviour) if objective is WEIGHTED else batch.behaviour
    mean, slope, logged = trl_grpo(batch, old, clip, kl)
    ours = objective.loss(batch)
    torch.testing.assert_close(ours.total / ours.units, mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        gradient(objective, batch)[batch.mask] / ours.units, slope[batch.mask], rtol=1e-11, atol=0
    )
    assert ours.metrics["clipped_tokens"] > 0
    assert ours.metrics["clipped_tokens"] / ours.units == pytest.approx(
        logged["clip_ratio/region_mean"], rel=1e-6
    )
    if kl:
        assert ours.metrics["kl"] / ours.units == pytest.approx(logged["kl"], rel=1e-6)


# Advantages.


@pytest.mark.parametrize(
    ("objective", "all_right", "all_wrong"),
    [(OnlineGRPO(), 0.0, 0.0), (RATIO, 0.0, 0.0), (WEIGHTED, 0.1, 0.0)],
)
def test_advantages_are_standardised_within_the_graded_rows_of_a_prompt(
    objective, all_right, all_wrong
):
    examples = objective.select(ROLLOUTS)
    found = dict(zip(examples.row.tolist(), examples.coefficient.tolist(), strict=True))
    for _, indices in ROLLOUTS.groups():
        graded = [i for i in indices if ROLLOUTS.rows[i].correct or ROLLOUTS.rows[i].wrong]
        rewards = np.array([float(ROLLOUTS.rows[i].correct) for i in graded])
        if len(set(rewards)) == 2:
            expected = (rewards - rewards.mean()) / rewards.std()
        else:
            expected = np.where(rewards == 1, all_right, all_wrong)
        assert [found.pop(i) for i in graded] == pytest.approx(expected.tolist(), rel=1e-12)
    assert not found


def test_without_standardising_the_advantage_is_the_reward_less_its_mean():
    rollouts = make_rollouts(["+---", "++"])
    found = OnlineGRPO(standardise=False).select(rollouts).coefficient.tolist()
    assert found == [0.75, -0.25, -0.25, -0.25, 0.0, 0.0]


# The clip, token by token.


def one_row(logps, advantage, *, behaviour, reference=None):
    logprobs = torch.tensor([logps], dtype=torch.float64, requires_grad=True)
    return Batch(
        logprobs=logprobs,
        mask=torch.ones(1, len(logps), dtype=torch.bool),
        coefficient=torch.tensor([advantage], dtype=torch.float64),
        pair=torch.tensor([-1]),
        behaviour=torch.tensor([behaviour], dtype=torch.float64),
        reference=None if reference is None else torch.tensor([reference], dtype=torch.float64),
    )


@pytest.mark.parametrize("objective", [OnlineGRPO(), OfflineGRPO(variant="ratio_clipped")])
@pytest.mark.parametrize(
    ("advantage", "pulled"),
    [(2.0, (True, True, True, False, False)), (-2.0, (False, False, True, True, True))],
)
def test_the_clip_lets_a_token_go_only_on_the_side_it_was_pushed_to(objective, advantage, pulled):
    ratios = [0.2, 0.79, 1.0, 1.21, 5.0]
    batch = one_row([math.log(r) - 7 for r in ratios], advantage, behaviour=[-7.0] * 5)
    expected = [advantage * r if on else 0.0 for r, on in zip(ratios, pulled, strict=True)]
    assert gradient_coefficients(objective, batch)[0].tolist() == pytest.approx(expected)
    assert objective.loss(batch).metrics["clipped_tokens"] == pulled.count(False)


def test_probability_weighting_lowers_a_wrong_token_only_while_it_is_likely():
    objective = OfflineGRPO(variant="probability_weighted", kl=0.0)
    probabilities = [0.01, 0.5, 0.79, 0.81, 0.99]
    logps = [math.log(p) for p in probabilities]
    raised = gradient_coefficients(objective, one_row(logps, 1.5, behaviour=logps))
    assert raised[0].tolist() == pytest.approx([1.5 * p for p in probabilities])
    lowered = gradient_coefficients(objective, one_row(logps, -1.5, behaviour=logps))
    assert lowered[0].tolist() == pytest.approx([0.0, 0.0, 0.0, -1.5 * 0.81, -1.5 * 0.99])


def test_the_penalty_pulls_every_token_to_the_reference():
    logps, reference = [-1.0, -2.0, -3.0], [-1.5, -2.0, -1.0]
    objective = OnlineGRPO(kl=0.5)
    batch = one_row(logps, 0.0, behaviour=logps, reference=reference)
    expected = [0.5 * (math.exp(q - p) - 1) for p, q in zip(logps, reference, strict=True)]
    assert gradient_coefficients(objective, batch)[0].tolist() == pytest.approx(expected)
    by_hand = math.fsum(
        math.exp(q - p) - (q - p) - 1 for p, q in zip(logps, reference, strict=True)
    )
    assert objective.loss(batch).metrics["kl"] == pytest.approx(by_hand)
    assert objective.loss(batch).total.item() == pytest.approx(0.5 * by_hand)


# Special cases.


@pytest.mark.parametrize("objective", [OnlineGRPO(), OfflineGRPO(variant="ratio_clipped")])
def test_at_the_sampling_policy_the_gradient_is_advantage_weighted_likelihood(objective):
    batch = make_batch(objective, ROLLOUTS)
    batch = dataclasses.replace(batch, behaviour=batch.logprobs.detach())
    weighted = gradient(OfflineGRPO(), batch)  # the paper's loss, with these advantages
    torch.testing.assert_close(gradient(objective, batch), weighted, rtol=1e-14, atol=0)


def test_probability_weighting_of_right_rows_has_the_gradient_of_dft():
    objective = OfflineGRPO(variant="probability_weighted", bias=1.0, kl=0.0)
    rollouts = make_rollouts(["++", "+++"])  # every advantage is the bias
    batch = make_batch(objective, rollouts)
    torch.testing.assert_close(
        gradient(objective, batch), gradient(DFT(), batch), rtol=1e-14, atol=0
    )


@pytest.mark.parametrize(
    ("objective", "column"),
    [
        (WEIGHTED, "reference"),
        (RATIO, "behaviour"),
        (RATIO, "reference"),
        (ONLINE, "behaviour"),
        (ONLINE, "reference"),
    ],
)
def test_a_missing_column_is_named(objective, column):
    batch = dataclasses.replace(make_batch(objective, ROLLOUTS), **{column: None})
    word = "sampling|behaviour" if column == "behaviour" else column
    with pytest.raises(ValueError, match=word):
        objective.loss(batch)
