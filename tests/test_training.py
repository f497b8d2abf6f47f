"""The step: a mean over its units, however it is accumulated; and what must give the same bits."""

import math

import pytest
import torch

from goniometer.model import token_logprobs
from goniometer.objectives import OBJECTIVES, build
from goniometer.objectives.dpo import DPO
from goniometer.objectives.rft import RFT
from goniometer.objectives.sft import SFT
from goniometer.training import attach
from goniometer.training.loop import data_order
from tests.rollouts_factory import make_rollouts
from tests.tiny_model import PAD
from tests.training_runs import (
    ADAPTER,
    ROLLOUTS,
    SETTINGS,
    distance,
    equal,
    make_network,
    run,
    train_on,
    weights_of,
)

# The step.


@pytest.mark.parametrize("name", OBJECTIVES)
def test_accumulation_eight_by_one_equals_one_by_eight(name):
    objective = build(name, {}, "test")
    one, a = run(objective, micro_batches=1)
    eight, b = run(objective, micro_batches=8)
    assert distance(a, b) < 1e-10
    assert one.losses == pytest.approx(eight.losses, rel=1e-10)
    assert one.gradient_norms == pytest.approx(eight.gradient_norms, rel=1e-10)
    for metric, values in one.metrics.items():
        assert eight.metrics[metric] == pytest.approx(values, rel=1e-9, abs=1e-12)


def test_accumulation_agrees_in_float32():
    one, a = run(SFT(), dtype=torch.float32, micro_batches=1)
    eight, b = run(SFT(), dtype=torch.float32, micro_batches=8)
    assert distance(a, b) < 1e-5
    assert one.gradient_norms == pytest.approx(eight.gradient_norms, rel=1e-5)


def test_the_first_step_is_that_of_the_mean_over_tokens():
    (prompts,) = data_order(16, SETTINGS.model_copy(update={"steps": 1}), seed=2)
    rows = [r for r in ROLLOUTS.rows if int(r.problem_id[1:]) in prompts and (r.correct or r.wrong)]
    adapted = attach(make_network(), ADAPTER, seed=1)
    total, tokens = 0.0, 0
    for row in rows:  # one row at a time, without the loop, the batches or the objective
        logprobs, _ = token_logprobs(adapted, [row.prompt_tokens], [row.completion_tokens], PAD)
        total, tokens = total - logprobs.sum(), tokens + len(row.completion_tokens)
    parameters = [p for p in adapted.parameters() if p.requires_grad]
    # Divided after, as the norms inside Qwen3 round the gradient of a float64 network to float32.
    gradients = [gradient / tokens for gradient in torch.autograd.grad(total, parameters)]
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    total = total.item()
    record, _ = run(SFT(), steps=1)
    assert record.losses[0] == pytest.approx(total / tokens, rel=1e-12)
    assert record.gradient_norms[0] == pytest.approx(norm, rel=1e-10)
    assert record.metrics["units"] == (tokens,)
    logged = record.metrics["nll_right"][0] + record.metrics["nll_wrong"][0]
    assert logged == pytest.approx(total, rel=1e-12)


def test_the_first_step_is_adams_with_decoupled_decay():
    _, weights = run(SFT(), steps=1, warm_up=0.0, weight_decay=0.25)
    fresh = weights_of(attach(make_network(), ADAPTER, seed=1))
    for name, weight in weights.items():
        if "lora_A" in name:  # B = 0, so A has no gradient yet and only decays
            torch.testing.assert_close(weight, fresh[name] * (1 - 1e-2 * 0.25))
        else:  # Adam's first step is the sign of the gradient times the learning rate
            torch.testing.assert_close(
                weight.abs(), torch.full_like(weight, 1e-2), rtol=1e-3, atol=0
            )


def test_clipping_is_counted_and_the_norm_is_that_before_it():
    loose, _ = run(SFT(), steps=1, clip=1e6)
    tight, _ = run(SFT(), steps=1, clip=1e-6)
    assert (loose.clipped, tight.clipped) == (0.0, 1.0)
    assert loose.gradient_norms == tight.gradient_norms


def test_a_clipped_gradient_has_the_clips_norm():
    adapted = attach(make_network(), ADAPTER, seed=1)
    train_on(adapted, SFT(), settings=SETTINGS.model_copy(update={"steps": 1, "clip": 1e-3}))
    gradients = [p.grad for p in adapted.parameters() if p.requires_grad]
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_training_lowers_the_loss():
    record, _ = run(SFT(), steps=40)
    assert sum(record.losses[-4:]) < 0.9 * sum(record.losses[:4])


def test_dpo_starts_at_log_two_and_learns_the_order_of_its_pairs():
    record, _ = run(DPO(beta=0.5), steps=40)
    assert record.losses[0] == pytest.approx(math.log(2), rel=1e-12)
    assert record.metrics["reward_chosen"][0] == pytest.approx(0, abs=1e-12)
    ordered, units = (sum(record.metrics[name][-4:]) for name in ("ordered_pairs", "units"))
    assert ordered / units > 0.9


# What must give the same bits.


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_same_inputs_give_the_same_bits(name):
    objective = build(name, {}, "test")
    (one, a), (two, b) = (run(objective, dtype=torch.float32, steps=3) for _ in range(2))
    assert one == two
    assert equal(a, b)


def test_rft_is_sft_on_correct_rows_to_the_bit():
    (one, a), (two, b) = run(RFT()), run(SFT(rows="correct"))
    assert one == two
    assert equal(a, b)
    assert not equal(a, run(SFT())[1])


def test_without_wrong_rollouts_sft_and_rft_are_the_same_run():
    rollouts = make_rollouts(["++", "+++", "+?", "+"] * 3)
    (one, a), (two, b) = run(SFT(), rollouts), run(RFT(), rollouts)
    assert one == two
    assert equal(a, b)


def test_the_pad_token_changes_nothing():
    (one, a), (two, b) = run(DPO(), pad=0), run(DPO(), pad=7)
    assert one == two
    assert equal(a, b)
