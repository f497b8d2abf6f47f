"""Order and schedule: the same prompts at the same step for all arms, and the learning rate."""

import pytest

from goniometer.config import Training
from goniometer.errors import GoniometerError
from goniometer.objectives import OBJECTIVES, build
from goniometer.training.loop import data_order, learning_rate_factor
from tests.training_runs import SETTINGS, run


def test_every_epoch_is_a_permutation_of_the_prompts():
    settings = Training(steps=6, prompts_per_step=4)
    steps = list(data_order(12, settings, seed=7))
    epochs = [sum(steps[:3], ()), sum(steps[3:], ())]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 2
    assert epochs[0] != epochs[1]
    assert steps != list(data_order(12, settings, seed=8))
    longer = Training(steps=9, prompts_per_step=4)
    assert list(data_order(12, longer, seed=7))[:6] == steps


def test_no_prompt_stands_twice_in_a_step_and_none_is_left_out_for_good():
    steps = list(data_order(7, Training(steps=40, prompts_per_step=3), seed=0))
    assert all(len(set(step)) == 3 for step in steps)
    assert {prompt for step in steps for prompt in step} == set(range(7))


def test_the_order_asks_for_as_many_prompts_as_a_step_takes():
    with pytest.raises(GoniometerError, match="found 3 prompts, expected 4 at least"):
        data_order(3, Training(prompts_per_step=4), seed=0)


def test_the_learning_rate_warms_up_and_falls_to_zero():
    settings = Training(steps=40, warm_up=0.1)
    factors = [learning_rate_factor(step, settings) for step in range(41)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[22] == pytest.approx(0.5)  # halfway from 4 to 40
    assert factors[40] == pytest.approx(0.0, abs=1e-15)
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert learning_rate_factor(0, Training(steps=40, warm_up=0)) == 1.0
    assert learning_rate_factor(39, Training(steps=40, warm_up=1)) == pytest.approx(40 / 41)


def test_all_arms_see_the_same_prompts_in_the_same_order():
    records = {name: run(build(name, {}, "test"))[0] for name in OBJECTIVES}
    whole = records["sft"].metrics
    for name in ("dft", "rift", "offline_grpo"):
        assert records[name].metrics["tokens_right"] == whole["tokens_right"]
        assert records[name].metrics["tokens_wrong"] == whole["tokens_wrong"]
    assert records["rft"].metrics["tokens_right"] == whole["tokens_right"]
    assert not any(records["rft"].metrics["tokens_wrong"])
    assert {(r.state, r.steps) for r in records.values()} == {("trained", SETTINGS.steps)}
    assert len(set(whole["tokens_right"])) > 1  # or the comparison above says little
