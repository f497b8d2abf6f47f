"""Each objective against its formula in a plain loop, against TRL, and in its special cases."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.sft_trainer import SFTTrainer

from goniometer.objectives import Batch
from goniometer.objectives.dft import DFT
from goniometer.objectives.dpo import DPO
from goniometer.objectives.offline_grpo import OfflineGRPO
from goniometer.objectives.rft import RFT
from goniometer.objectives.rift import RIFT
from goniometer.objectives.sft import SFT
from tests.rollouts_factory import GROUPS, gradient, make_batch, make_rollouts, make_table
from tests.trl_oracle import fused_output, stand_in, trl_preference

ROLLOUTS = make_rollouts(GROUPS)
LOGPROBS = make_table(ROLLOUTS, seed=1)
REFERENCE = make_table(ROLLOUTS, seed=2)


# The slow twins: loss and derivative by token, written from the formulas, one number at a time.
# Each returns {row: [(loss, d loss / d logp) of every token]}; a row it does not name has no loss.


def rewards_of_groups():
    groups = {}
    for i, row in enumerate(ROLLOUTS.rows):
        if row.correct or row.wrong:
            groups.setdefault(row.problem_id, {})[i] = 1 if row.correct else 0
    return groups.values()


def twin_weighted(weight_of):
    return {
        i: [(-weight * logp, -weight) for logp in LOGPROBS[i]]
        for group in rewards_of_groups()
        for i, reward in group.items()
        if (weight := weight_of(reward, group)) is not None
    }


def twin_dft():
    return {
        i: [(-math.exp(logp) * logp, -math.exp(logp)) for logp in LOGPROBS[i]]
        for group in rewards_of_groups()
        for i in group
    }


def twin_rift(right, wrong):
    def token(logp, reward):
        p = math.exp(logp)
        return (-right * logp, -right) if reward else (-wrong * p, -wrong * p)

    return {
        i: [token(logp, reward) for logp in LOGPROBS[i]]
        for group in rewards_of_groups()
        for i, reward in group.items()
    }


def twin_rift_of_texts(right, *, normalised):
    """A wrong text's loss, which is one number, is shared out evenly over its tokens."""
    found = {}
    for group in rewards_of_groups():
        for i, reward in group.items():
            length = len(LOGPROBS[i])
            share = 1 / length if normalised else 1.0
            p = math.exp(sum(LOGPROBS[i]) * share)
            found[i] = [
                (-right * share * logp, -right * share)
                if reward
                else (0.2 * p / length, 0.2 * p * share)
                for logp in LOGPROBS[i]
            ]
    return found


SUMMED = {
    "sft": (SFT(), lambda: twin_weighted(lambda r, _: 1.0)),
    "sft-correct": (SFT(rows="correct"), lambda: twin_weighted(lambda r, _: 1.0 if r else None)),
    "rft": (RFT(), lambda: twin_weighted(lambda r, _: 1.0 if r else None)),
    "dft": (DFT(), twin_dft),
    "rift": (RIFT(), lambda: twin_rift(1.0, -0.2)),
    "rift-rewards": (
        RIFT(correct_reward=0.5, wrong_reward=-2.0),
        lambda: twin_rift(0.5, -2.0),
    ),
    "rift-length": (
        RIFT(level="length_normalised"),
        lambda: twin_rift_of_texts(1, normalised=True),
    ),
    "rift-sequence": (
        RIFT(level="sequence", correct_reward=0.5),
        lambda: twin_rift_of_texts(0.5, normalised=False),
    ),
    "rift-paper": (
        RIFT(variant="paper_weighted", lam=0.3),
        lambda: twin_weighted(lambda r, _: 1 - 0.3 * r),
    ),
    "offline_grpo": (
        OfflineGRPO(),
        lambda: twin_weighted(lambda r, group: r - sum(group.values()) / len(group) + 0.1),
    ),
    "offline_grpo-bias": (
        OfflineGRPO(bias=-0.5),
        lambda: twin_weighted(lambda r, group: r - sum(group.values()) / len(group) - 0.5),
    ),
}


@pytest.mark.parametrize("case", SUMMED)
def test_loss_and_gradient_equal_the_slow_twin(case):
    objective, twin = SUMMED[case]
    expected = twin()
    batch = make_batch(objective, ROLLOUTS)
    rows = objective.select(ROLLOUTS).row.tolist()
    assert rows == sorted(expected)
    total = math.fsum(loss for tokens in expected.values() for loss, _ in tokens)
    assert objective.loss(batch).total.item() == pytest.approx(total, rel=1e-12)
    slope = gradient(objective, batch)
    for position, row in enumerate(rows):
        got = slope[position][batch.mask[position]].tolist()
        assert got == pytest.approx([slope for _, slope in expected[row]], rel=1e-12)


@pytest.mark.parametrize(("beta", "limit"), [(0.1, 2), (2.0, 3)])
def test_dpo_equals_the_slow_twin(beta, limit):
    objective = DPO(beta=beta, pairs_per_prompt=limit)
    batch = make_batch(objective, ROLLOUTS)
    rows = objective.select(ROLLOUTS).row.tolist()
    ratio = [sum(a) - sum(b) for a, b in zip(LOGPROBS, REFERENCE, strict=True)]
    slope = gradient(objective, batch)
    total, ordered = 0.0, 0
    for position in range(0, len(rows), 2):
        chosen, rejected = rows[position : position + 2]
        assert ROLLOUTS.rows[chosen].correct
        assert ROLLOUTS.rows[rejected].wrong
        margin = beta * (ratio[chosen] - ratio[rejected])
        total += math.log1p(math.exp(-margin))
        ordered += margin > 0
        pull = beta / (1 + math.exp(margin))
        for member, sign in ((position, -pull), (position + 1, pull)):
            got = slope[member][batch.mask[member]]
            torch.testing.assert_close(got, torch.full_like(got, sign), rtol=1e-11, atol=0)
    loss = objective.loss(batch)
    assert loss.total.item() == pytest.approx(total, rel=1e-12)
    assert loss.metrics["ordered_pairs"] == ordered
    for name, side in (("reward_chosen", rows[::2]), ("reward_rejected", rows[1::2])):
        assert loss.metrics[name] == pytest.approx(beta * sum(ratio[i] for i in side))


# TRL's own loss code.


def test_dft_equals_trl():
    batch = make_batch(DFT(), ROLLOUTS)
    leaf = batch.logprobs.detach().clone().requires_grad_()
    inputs = {"labels": None, "attention_mask": torch.ones(batch.mask.shape)}
    trainer = stand_in(
        args=SimpleNamespace(loss_type="dft", average_tokens_across_devices=False),
        compute_loss_func=None,
        label_smoother=None,
    )
    trainer.accelerator.parallelism_config = None

    def model(**_):
        return fused_output(leaf, batch.mask)

    mean = SFTTrainer.compute_loss(trainer, model, inputs)
    (slope,) = torch.autograd.grad(mean, leaf)
    ours = DFT().loss(batch)  # TRL divides by the tokens of the batch; here the loop does, once
    torch.testing.assert_close(ours.total / ours.units, mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        gradient(DFT(), batch)[batch.mask] / ours.units, slope[batch.mask], rtol=1e-12, atol=0
    )


def test_dpo_equals_trl():
    objective = DPO(beta=0.3)
    batch = make_batch(objective, ROLLOUTS)
    mean, slope, logged = trl_preference(batch, "sigmoid", 0.3)
    ours = objective.loss(batch)  # TRL averages over pairs
    torch.testing.assert_close(ours.total / ours.units, mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        gradient(objective, batch)[batch.mask] / ours.units, slope[batch.mask], rtol=1e-12, atol=0
    )
    for ours_name, trl_name in (
        ("ordered_pairs", "rewards/accuracies"),
        ("reward_chosen", "rewards/chosen"),
        ("reward_rejected", "rewards/rejected"),
    ):
        assert ours.metrics[ours_name] / ours.units == pytest.approx(logged[trl_name], rel=1e-6)


# Special cases: where one objective is another.


def test_rft_is_sft_on_correct_rows():
    right = type(ROLLOUTS)(tuple(row for row in ROLLOUTS.rows if row.correct))
    rft, sft = RFT().select(ROLLOUTS), SFT().select(right)
    assert [ROLLOUTS.rows[i] for i in rft.row.tolist()] == [right.rows[i] for i in sft.row.tolist()]
    batch = make_batch(RFT(), ROLLOUTS)
    assert torch.equal(RFT().loss(batch).total, SFT().loss(batch).total)


def test_dft_with_unit_weights_is_sft():
    batch = make_batch(SFT(), ROLLOUTS)
    certain = torch.zeros_like(batch.logprobs, requires_grad=True)  # p = 1 everywhere
    batch = type(batch)(certain, batch.mask, batch.coefficient, batch.pair)
    assert torch.equal(gradient(DFT(), batch), gradient(SFT(), batch))


def test_dft_scales_sfts_gradient_by_the_probability_of_the_token():
    batch = make_batch(SFT(), ROLLOUTS)
    expected = gradient(SFT(), batch) * batch.logprobs.detach().exp()
    torch.testing.assert_close(gradient(DFT(), batch), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("group", ["++++", "----"])
def test_offline_grpo_with_equal_rewards_and_bias_one_is_sft(group):
    rollouts = make_rollouts([group, group])
    batch = make_batch(OfflineGRPO(bias=1.0), rollouts)
    assert torch.equal(
        OfflineGRPO(bias=1.0).loss(batch).total, SFT().loss(make_batch(SFT(), rollouts)).total
    )


@given(st.text("+-?", min_size=1, max_size=9), st.floats(-1, 1))
def test_advantages_of_a_group_average_to_the_bias(group, bias):
    advantages = OfflineGRPO(bias=bias).select(make_rollouts([group])).coefficient
    if len(advantages):
        assert advantages.mean().item() == pytest.approx(bias, abs=1e-12)


def test_a_row_of_advantage_zero_still_counts_as_units():
    rollouts = make_rollouts(["+-", "++"])
    objective = OfflineGRPO(bias=0.0)
    batch = make_batch(objective, rollouts)
    assert (batch.coefficient == 0).sum() == 2
    assert objective.loss(batch).units == sum(len(r.completion_tokens) for r in rollouts.rows)


def test_offline_grpo_raises_the_rows_of_an_all_wrong_group():
    assert (OfflineGRPO().select(make_rollouts(["----"])).coefficient > 0).all()


def test_rift_lowers_wrong_rows_by_a_bounded_amount():
    rollouts = make_rollouts(["-"])
    batch = make_batch(RIFT(), rollouts)
    for logp in (-0.01, -1.0, -30.0):
        leaf = torch.full_like(batch.logprobs, logp).requires_grad_()
        slope = gradient(RIFT(), type(batch)(leaf, batch.mask, batch.coefficient, batch.pair))
        expected = 0.2 * math.exp(logp)
        assert slope[batch.mask].tolist() == pytest.approx([expected] * int(batch.mask.sum()))


@pytest.mark.parametrize(
    ("level", "dtype", "underflowed"),
    [
        ("sequence", torch.float32, 1),
        ("sequence", torch.float64, 0),
        ("length_normalised", torch.float32, 0),
    ],
)
def test_rift_of_a_long_wrong_text_underflows_only_at_sequence_level(level, dtype, underflowed):
    logprobs = torch.full((2, 300), -0.5, dtype=dtype, requires_grad=True)  # p = e^-150 a text
    pair, reward = torch.full((2,), -1), torch.tensor([1.0, -0.2], dtype=dtype)
    batch = Batch(logprobs, torch.ones(2, 300, dtype=torch.bool), reward, pair)
    objective = RIFT(level=level)
    assert objective.loss(batch).metrics["rows_underflowed"] == underflowed
    right, wrong = gradient(objective, batch)
    assert (right < 0).all()
    assert (wrong == 0 if underflowed else wrong > 0).all()


def test_the_unit_of_rift_is_that_of_its_level():
    units = {level: RIFT(level=level).unit for level in ("token", "length_normalised", "sequence")}
    assert list(units.values()) == ["tokens", "sequences", "sequences"]
    assert RIFT(variant="paper_weighted", lam=0.5).unit == "tokens"


def test_rift_paper_weighted_at_lambda_zero_is_sft():
    objective = RIFT(variant="paper_weighted", lam=0.0)
    batch = make_batch(objective, ROLLOUTS)
    assert torch.equal(objective.loss(batch).total, SFT().loss(batch).total)


def test_dpo_at_the_reference_is_log_two_a_pair_with_half_of_beta_as_gradient():
    objective = DPO(beta=0.1)
    batch = make_batch(objective, ROLLOUTS)
    leaf = batch.reference.clone().requires_grad_()
    batch = type(batch)(leaf, batch.mask, batch.coefficient, batch.pair, reference=batch.reference)
    loss = objective.loss(batch)
    assert loss.total.item() == pytest.approx(loss.units * math.log(2), rel=1e-14)
    expected = torch.where(batch.mask, -0.05 * batch.coefficient[:, None], 0.0)
    torch.testing.assert_close(gradient(objective, batch), expected, rtol=1e-14, atol=0)


def test_dpo_without_reference_says_so():
    batch = make_batch(SFT(), ROLLOUTS)
    with pytest.raises(ValueError, match="reference"):
        DPO().loss(batch)
