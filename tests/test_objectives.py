"""Each objective against its formula in a plain loop, against TRL, and in its special cases."""

import math
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import FusedCausalLMOutput

from goniometer.errors import GoniometerError
from goniometer.objectives import build
from goniometer.objectives.dft import DFT
from goniometer.objectives.dpo import DPO, spread_pairs
from goniometer.objectives.offline_grpo import OfflineGRPO
from goniometer.objectives.rft import RFT
from goniometer.objectives.rift import RIFT
from goniometer.objectives.sft import SFT
from tests.rollouts_factory import GROUPS, gradient, make_batch, make_rollouts, make_table

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


# TRL's own loss code, called unbound on a stand-in for the trainer, so that no trainer is built.


def fused_output(logprobs, mask):
    zeros = torch.zeros_like(logprobs)
    return FusedCausalLMOutput(
        log_probs=logprobs, label_mask=mask, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool()
    )


def stand_in(**fields):
    """A model that answers with the given log-probs, and what TRL's methods read of a trainer."""
    accelerator = SimpleNamespace(device="cpu", gather_for_metrics=lambda x: x, gather=lambda x: x)
    common = {"model": SimpleNamespace(training=True), "aux_loss_enabled": False, "_tp_size": 1}
    return SimpleNamespace(
        accelerator=accelerator,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        **common,
        **fields,
    )


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
    order = [*range(0, len(batch.mask), 2), *range(1, len(batch.mask), 2)]  # chosen, then rejected
    leaf = batch.logprobs.detach()[order].requires_grad_()
    mask = batch.mask[order]
    trainer = stand_in(
        beta=0.3,
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        f_divergence_type="reverse_kl",
        precompute_ref_logps=True,
        ld_alpha=None,
        use_weighting=False,
    )
    prompt = torch.zeros((len(mask), 1), dtype=torch.long)  # TRL shifts: one column stands before
    completion_mask = torch.cat([prompt, mask.long()], dim=1)
    reference = batch.reference[order].sum(1)
    inputs = {
        "input_ids": torch.zeros_like(completion_mask),
        "attention_mask": torch.ones_like(completion_mask),
        "completion_mask": completion_mask,
        "ref_chosen_logps": reference[: len(mask) // 2],
        "ref_rejected_logps": reference[len(mask) // 2 :],
    }
    mean = DPOTrainer._compute_loss(trainer, lambda **_: fused_output(leaf, mask), inputs, False)
    (slope,) = torch.autograd.grad(mean, leaf)
    ours = objective.loss(batch)  # TRL averages over pairs
    torch.testing.assert_close(ours.total / ours.units, mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        gradient(objective, batch)[order][mask] / ours.units, slope[mask], rtol=1e-12, atol=0
    )
    logged = {name: values[0] for name, values in trainer._metrics["train"].items()}
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


# Options as a file gives them.


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stf", {}, r"s.yaml: arms.1: objective: unknown objective 'stf'. Did you mean 'sft'\?"),
        ("zzz", {}, r"Known are sft, rft"),
        ("dpo", {"betta": 1}, r"s.yaml: arms.1: options.betta: unknown .* mean 'beta'\?"),
        ("dpo", {"beta": -1}, r"options.beta: Input should be greater than 0; found -1"),
        ("dpo", {"beta": float("nan")}, r"options.beta: .*found nan"),
        ("dpo", {"pairs_per_prompt": 0}, r"options.pairs_per_prompt: .*greater than 0; found 0"),
        ("sft", {"rows": "wrong"}, r"options.rows: Input should be 'all' or 'correct'"),
        ("dft", {"rows": "all"}, r"options.rows: unknown option. It has no options"),
        ("rift", {"variant": "paper_weighted"}, r"lam: paper_weighted needs lambda"),
        ("rift", {"lam": 0.5}, r"lam: the original variant has no lambda; found 0.5"),
        ("rift", {"variant": "paper_weighted", "lam": 1.5}, r"options.lam: .*less than or equal"),
        (
            "rift",
            {"variant": "paper_weighted", "lam": 0.5, "wrong_reward": -1},
            r"paper_weighted has the rewards 1 and 0",
        ),
        ("rift", {"wrong_reward": 0.2}, r"options.wrong_reward: .*less than 0; found 0.2"),
        ("no.such.module:X", {}, r"cannot import 'no.such.module:X'"),
        ("goniometer.objectives.sft:XYZ", {}, r"cannot import .*XYZ"),
        ("pathlib:Path", {}, r"'pathlib:Path' is no objective; expected a dataclass"),
    ],
)
def test_bad_options_are_refused_by_name(name, options, message):
    with pytest.raises(GoniometerError, match=message) as error:
        build(name, options, "s.yaml: arms.1")
    assert str(error.value).startswith("s.yaml: arms.1: ")
    assert "\n" not in str(error.value)


def test_options_reach_the_fields():
    assert build("dpo", {"beta": 2, "pairs_per_prompt": 3}, "test") == DPO(2.0, 3)
    assert build("sft", {"rows": "correct"}, "test") == SFT(rows="correct")


def test_an_objective_out_of_tree_is_imported_by_name():
    assert build("goniometer.objectives.dpo:DPO", {"beta": 0.5}, "test") == DPO(beta=0.5)
