"""The adapter and the one loop: what may change a run, and what may not."""

import json
import math
from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from goniometer.config import Adapter, Training
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, token_logprobs
from goniometer.objectives import OBJECTIVES, AbstractObjective, LossSum, Unit, build
from goniometer.objectives.dpo import DPO
from goniometer.objectives.rft import RFT
from goniometer.objectives.sft import SFT
from goniometer.training import attach, detach, precompute, save, train
from goniometer.training.columns import read_columns, write_columns
from goniometer.training.loop import data_order, learning_rate_factor
from tests.parity_task import make_sampler
from tests.rollouts_factory import GROUPS, make_rollouts
from tests.tiny_model import PAD, tiny_network, tiny_tokenizer

ADAPTER = Adapter(rank=2, alpha=4, target_modules=("q_proj", "v_proj", "o_proj"))
SETTINGS = Training(steps=6, prompts_per_step=8, weight_decay=0.01, clip=0.5)
ROLLOUTS = make_rollouts([*GROUPS, *GROUPS])  # 16 prompts: two steps are an epoch
# Objectives whose loss of a prompt does not depend on the others of its micro-batch.
FROM_COLUMNS = [name for name in OBJECTIVES if "mismatched" not in OBJECTIVES[name]().needs]


def make_network(dtype=torch.float64):
    return tiny_network(5, dtype)


def make_model(network):
    return LanguageModel(network, tiny_tokenizer(), "tiny")


def run(objective, rollouts=ROLLOUTS, *, dtype=torch.float64, pad=PAD, **changes):
    """Train once from the same start; return the record and the adapter's weights by name."""
    settings = SETTINGS.model_copy(update=changes)
    network = make_network(dtype)
    model = make_model(network)
    columns = precompute(model, rollouts, objective.needs, precision=settings.precision)
    adapted = attach(network, ADAPTER, seed=1)
    record = train_on(
        adapted,
        objective,
        rollouts,
        settings=settings,
        columns=columns,
        pad_token=pad,
        sampler=make_sampler(model, rollouts, as_base=adapted.disable_adapter),
    )
    return record, weights_of(adapted)


def train_on(adapted, objective, rollouts=ROLLOUTS, **changes):
    defaults = {
        "settings": SETTINGS,
        "learning_rate": 1e-2,
        "order_seed": 2,
        "columns": {},
        "pad_token": PAD,
        "on_step": lambda step, loss: None,
    }
    return train(adapted, objective, rollouts, **(defaults | changes))


def weights_of(adapted):
    return {n: p.detach().clone() for n, p in adapted.named_parameters() if p.requires_grad}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def distance(a, b):
    """Norm of the difference over the norm."""
    flat_a, flat_b = (torch.cat([w.flatten() for w in x.values()]) for x in (a, b))
    return ((flat_a - flat_b).norm() / flat_a.norm()).item()


# The adapter.


def test_a_fresh_adapter_changes_no_output_and_alone_may_learn():
    network = make_network()
    prompts, completions = [(3, 4)], [(5, 6, 1)]
    before, _ = token_logprobs(network, prompts, completions, PAD)
    adapted = attach(network, ADAPTER, seed=1)
    after, _ = token_logprobs(adapted, prompts, completions, PAD)
    assert torch.equal(before, after)
    weights = weights_of(adapted)
    assert len(weights) == 2 * 3 * 2  # layers, targets, A and B
    assert all("lora_" in name for name in weights)
    assert adapted.peft_config["default"].lora_dropout == 0


def test_an_init_depends_on_seed_and_module_alone():
    def init(seed=1, dtype=torch.float64, targets=ADAPTER.target_modules):
        settings = ADAPTER.model_copy(update={"target_modules": targets})
        weights = weights_of(attach(make_network(dtype), settings, seed))
        return {name: w.double() for name, w in weights.items() if "lora_A" in name}

    whole = init()
    torch.manual_seed(99)
    assert equal(whole, init())
    assert equal(whole, init(dtype=torch.float32))
    alone = init(targets=("v_proj",))
    assert equal(alone, {name: whole[name] for name in alone})
    assert not any(torch.equal(weight, init(seed=2)[name]) for name, weight in whole.items())
    assert len({weight.sum().item() for weight in whole.values()}) == len(whole)


def test_an_init_has_pefts_distribution():
    settings = ADAPTER.model_copy(update={"rank": 400})
    for name, weight in weights_of(attach(make_network(), settings, seed=1)).items():
        if "lora_B" in name:
            assert not weight.any()
            continue
        bound = weight.shape[1] ** -0.5
        assert 0.999 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert weight.mean().abs() < 0.03 * bound


def test_an_adapter_is_never_of_low_precision():
    adapted = attach(make_network(torch.bfloat16), ADAPTER, seed=1)
    assert {weight.dtype for weight in weights_of(adapted).values()} == {torch.float32}


def global_generators():
    # Not Python's own: beartype, which checks the annotations in tests, draws from it.
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()


def test_neither_attach_nor_train_touches_a_global_generator():
    make_network()
    before = global_generators()
    attach(make_network(), ADAPTER, seed=1)
    assert global_generators() == before
    run(SFT(), steps=1)
    assert global_generators() == before


def test_a_target_that_matches_nothing_is_refused_with_the_names_that_exist():
    settings = Adapter(target_modules=("q_proj", "c_attn"))
    network = make_network()
    with pytest.raises(GoniometerError, match=r"found 'c_attn', expected some of .*k_proj.*q_proj"):
        attach(network, settings, seed=1)
    assert not any(isinstance(module, LoraLayer) for module in network.modules())


def test_an_adapter_that_is_taken_off_leaves_the_network_as_it_was():
    network = make_network()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    modules = {name: type(module) for name, module in network.named_modules()}
    attributes = set(vars(network))
    for _ in range(2):
        adapted = attach(network, ADAPTER, seed=1)
        with torch.no_grad():
            for name in weights_of(adapted):
                adapted.get_parameter(name).add_(1.0)
        assert detach(adapted) is network
        assert equal(before, dict(network.state_dict()))
        assert modules == {name: type(module) for name, module in network.named_modules()}
        assert attributes == set(vars(network))


def test_training_leaves_the_base_bit_equal():
    network = make_network()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    adapted = attach(network, ADAPTER, seed=1)
    fresh = weights_of(adapted)
    train_on(adapted, SFT())
    assert not equal(fresh, weights_of(adapted))
    assert equal(before, dict(detach(adapted).state_dict()))


def test_a_saved_adapter_is_what_peft_reads_and_names_no_path(tmp_path):
    network = make_network(torch.float32)
    network.name_or_path = network.config._name_or_path = "/home/somebody/models/base"
    adapted = attach(network, ADAPTER, seed=1)
    with torch.no_grad():
        for weight in weights_of(adapted):
            adapted.get_parameter(weight).mul_(2).add_(0.1)
    texts = []
    for folder in (tmp_path / "one", tmp_path / "sub/two"):
        save(adapted, folder, base="embedded:base")
        texts.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert texts[0] == texts[1]
    assert list(texts[0]) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads(texts[0]["adapter_config.json"])
    assert config["base_model_name_or_path"] == "embedded:base"
    assert config["target_modules"] == ["o_proj", "q_proj", "v_proj"]
    assert not any(b"somebody" in text for text in texts[0].values())
    read = PeftModel.from_pretrained(make_network(torch.float32), tmp_path / "one")
    rows = [(3, 4)], [(5, 6, 1)]
    ours, theirs = (token_logprobs(x.eval(), *rows, PAD)[0] for x in (adapted, read))
    assert torch.equal(ours, theirs)


# Order and schedule.


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
    records = {name: run(build(name, {}, "test"))[0] for name in FROM_COLUMNS}
    whole = records["sft"].metrics
    for name in ("dft", "rift", "offline_grpo"):
        assert records[name].metrics["tokens_right"] == whole["tokens_right"]
        assert records[name].metrics["tokens_wrong"] == whole["tokens_wrong"]
    assert records["rft"].metrics["tokens_right"] == whole["tokens_right"]
    assert not any(records["rft"].metrics["tokens_wrong"])
    assert {(r.state, r.steps) for r in records.values()} == {("trained", SETTINGS.steps)}
    assert len(set(whole["tokens_right"])) > 1  # or the comparison above says little


# The step.


@pytest.mark.parametrize("name", FROM_COLUMNS)
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


@pytest.mark.parametrize("name", FROM_COLUMNS)
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


# What must be told, not hidden.


def test_a_step_without_examples_is_a_step_all_the_same():
    rollouts = make_rollouts(["+", *["--"] * 7])
    record, _ = run(RFT(), rollouts, steps=8, prompts_per_step=2)
    assert (record.state, record.steps) == ("trained", 8)
    assert record.metrics["units"].count(0.0) == 6
    empty = [step for step, units in enumerate(record.metrics["units"]) if not units]
    assert all(record.losses[step] == record.gradient_norms[step] == 0 for step in empty)


@final
@dataclass(frozen=True)
class Exploding(AbstractObjective):
    """SFT until the given call of its loss, which is infinite."""

    name: ClassVar[str] = "exploding"
    unit: ClassVar[Unit] = "tokens"
    at: int
    calls: list[int] = field(default_factory=list)

    def select(self, rollouts):
        return SFT().select(rollouts)

    def loss(self, batch):
        self.calls.append(0)
        loss = SFT().loss(batch)
        factor = math.inf if len(self.calls) > self.at else 1.0
        return LossSum(loss.total * factor, loss.units, {})


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_non_finite_loss_stops_with_the_last_good_weights(at):
    adapted = attach(make_network(), ADAPTER, seed=1)
    seen = [weights_of(adapted)]

    def remember(step, loss):
        seen.append(weights_of(adapted))

    record = train_on(adapted, Exploding(at), on_step=remember)
    assert record.state == "non-finite"
    assert record.steps == max(at - 1, 0)  # the update that led to the bad loss is taken back
    assert equal(weights_of(adapted), seen[record.steps])
    assert len(record.losses) == len(record.gradient_norms) == at
    assert all(map(math.isfinite, (*record.losses, *record.gradient_norms)))


def test_each_step_is_reported_with_its_loss():
    told = []
    adapted = attach(make_network(), ADAPTER, seed=1)
    record = train_on(adapted, SFT(), on_step=lambda step, loss: told.append((step, loss)))
    assert told == list(enumerate(record.losses))


def test_an_objective_that_selects_nothing_is_refused():
    with pytest.raises(GoniometerError, match="rft selects none of the 24 rollouts"):
        run(RFT(), make_rollouts(["---"] * 8))


def test_a_missing_column_is_refused():
    with pytest.raises(GoniometerError, match="dpo needs the reference log-probs"):
        train_on(make_network(), DPO())


# Columns and precision.


def test_reference_is_the_bases_own_log_probs_and_behaviour_the_rollouts():
    network = make_network()
    model = make_model(network)
    columns = precompute(model, ROLLOUTS, {"reference", "behaviour"}, batch_size=5)
    assert columns["behaviour"] == [row.logprobs for row in ROLLOUTS.rows]
    for row, values in zip(ROLLOUTS.rows, columns["reference"], strict=True):
        alone, _ = token_logprobs(network, [row.prompt_tokens], [row.completion_tokens], PAD)
        assert values == pytest.approx(alone[0].tolist(), rel=1e-12)
    assert precompute(model, ROLLOUTS, set()) == {}


def test_columns_come_back_from_files_to_the_bit(tmp_path):
    done = []
    needs = {"reference", "behaviour"}
    model = make_model(make_network())
    columns = precompute(model, ROLLOUTS, needs, batch_size=50, advance=done.append)
    assert sum(done) == len(ROLLOUTS.rows)
    write_columns(columns, tmp_path)
    read = read_columns(tmp_path, needs)
    assert read.keys() == needs
    for need in needs:
        assert [tuple(row) for row in read[need]] == columns[need]


def test_bf16_trains_near_float32(monkeypatch):
    exact, _ = run(DPO(), dtype=torch.float32)
    with monkeypatch.context() as patch:
        patch.setattr(AcceleratorState, "_shared_state", {})  # a process of its own, to Accelerate
        rough, _ = run(DPO(), dtype=torch.float32, precision="bf16")
    assert rough.state == "trained"
    assert rough.losses != exact.losses
    assert rough.losses == pytest.approx(exact.losses, rel=0.05)


def test_a_precision_that_cannot_be_had_is_refused():
    run(SFT(), steps=1)
    with pytest.raises(GoniometerError, match=r"training.precision: Accelerate: .*restart"):
        run(SFT(), steps=1, precision="bf16")
    with pytest.raises(GoniometerError, match="fp16 needs loss scaling"):
        run(SFT(), steps=1, precision="fp16")
