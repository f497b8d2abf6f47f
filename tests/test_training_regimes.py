"""Full fine-tuning of all or of the attention's weights: what is saved, and what is put back."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file

from goniometer import deltas
from goniometer.config import Adapter, Training
from goniometer.deltas import BaseModel, Companions
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.objectives import build
from goniometer.objectives.sft import SFT
from goniometer.training import precompute
from goniometer.training.cell import CellInputs, OnPolicy, read_record, train_cell
from goniometer.training.full import unfrozen
from goniometer.training.loop import train
from tests.parity_task import SETTINGS, Parity, problems_of
from tests.rollouts_factory import GROUPS, make_rollouts
from tests.tiny_model import PAD, tiny_network, tiny_tokenizer
from tests.training_runs import Exploding

ROLLOUTS = make_rollouts(GROUPS)
TRAINING = Training(steps=4, prompts_per_step=4)
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
REGIMES = ("attention", "full")


def make_base(dtype=torch.float32):
    return LanguageModel(tiny_network(5, dtype), tiny_tokenizer(), "models/tiny")


def inputs_of(base, objective, **changes):
    given = {
        "base": base,
        "rollouts": ROLLOUTS,
        "columns": precompute(base, ROLLOUTS, objective.needs),
        "objective": objective,
        "adapter": Adapter(rank=2),
        "training": TRAINING,
        "learning_rate": 1e-3,
        "init_seed": 1,
        "order_seed": 2,
        "on_policy": OnPolicy(Parity(), problems_of(ROLLOUTS), SETTINGS),
    }
    return CellInputs(**(given | changes))


def run(folder, base, objective=None, **changes):
    inputs = inputs_of(base, objective or SFT(), **changes)
    train_cell(inputs, folder, lambda step, loss: None)
    return read_record(folder)


def copied(network):
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


@pytest.fixture
def base_folder(tmp_path):
    base = make_base()
    base.network.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize("regime", REGIMES)
def test_the_delta_read_back_is_the_weights_after_less_before(regime, tmp_path, base_folder):
    base, after = make_base(), {}
    before = copied(base.network)

    def keep(step, loss):
        after.update(copied(base.network))

    train_cell(inputs_of(base, SFT(), regime=regime), tmp_path / "run", keep)
    delta = deltas.read(tmp_path / "run", Companions(base=BaseModel(base_folder)))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.removesuffix(".weight") for name in moved} == set(delta)
    for name in moved:
        expected = (after[name].double() - before[name].double()).reshape(len(before[name]), -1)
        assert torch.equal(delta[name.removesuffix(".weight")].dense(), expected)
    of_attention = {name for name in before if any(f".{p}." in name for p in PROJECTIONS)}
    assert moved == (of_attention if regime == "attention" else set(before))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("regime", REGIMES)
def test_the_base_is_bit_equal_afterwards_in_its_own_precision(regime, dtype, tmp_path):
    base = make_base(dtype)
    before = {n: w.clone() for n, w in base.network.state_dict().items()}
    flags = [p.requires_grad for p in base.network.parameters()]
    run(tmp_path, base, regime=regime)
    after = dict(base.network.state_dict())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before)
    assert {w.dtype for w in after.values()} == {dtype}
    assert [p.requires_grad for p in base.network.parameters()] == flags
    assert all(p.grad is None for p in base.network.parameters())
    saved = load_file(tmp_path / "model.safetensors")
    assert {w.dtype for w in saved.values()} == {torch.float32}
    assert all(not torch.equal(saved[n], before[n].float()) for n in saved)
    # Tied weights stay tied.
    network = base.network
    assert network.lm_head.weight is network.model.embed_tokens.weight


def test_the_base_is_put_back_also_where_training_fails():
    base = make_base(torch.bfloat16)
    before = copied(base.network)

    def fail():
        with unfrozen(base.network, "full"):
            base.network.model.norm.weight.data.add_(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert all(torch.equal(before[n], w) for n, w in base.network.named_parameters())


@pytest.mark.parametrize("regime", REGIMES)
def test_a_run_again_has_the_same_bytes_and_names_no_path(regime, tmp_path):
    texts = []
    for name in ("one", "two"):
        base = make_base()
        base.network.config._name_or_path = "/home/somebody/tiny"
        run(tmp_path / name, base, regime=regime)
        texts.append({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()})
    assert texts[0] == texts[1]
    assert set(texts[0]) == {"config.json", "model.safetensors", "record.json"}
    assert json.loads(texts[0]["config.json"])["_name_or_path"] == "tiny"
    assert not any(b"somebody" in text for text in texts[0].values())


def test_full_fine_tuning_takes_adams_first_step_on_every_weight(tmp_path):
    """By hand: the sign of the gradient of the mean loss times the rate, after the decay."""
    base = make_base(torch.float64)
    before = copied(base.network)
    with unfrozen(base.network, "full"):
        settings = Training(steps=1, prompts_per_step=8, warm_up=0, weight_decay=0.5)
        record = train(
            base.network, SFT(), ROLLOUTS, settings, learning_rate=1e-3, order_seed=2, columns={},
            pad_token=PAD, on_step=lambda step, loss: None,
        )  # fmt: skip
        after = copied(base.network)
        gradients = {n: w.grad for n, w in base.network.named_parameters()}
    assert record.state == "trained"
    for name, old in before.items():
        sure = gradients[name].abs() > 1e-5
        assert sure.any()
        step = (after[name] - old * (1 - 1e-3 * 0.5))[sure]
        torch.testing.assert_close(step, -1e-3 * gradients[name][sure].sign(), rtol=2e-3, atol=0)


@pytest.mark.parametrize("regime", ["lora", *REGIMES])
def test_a_loss_that_turns_infinite_stops_the_cell_with_the_last_good_weights(regime, tmp_path):
    record = run(tmp_path / "broken", make_base(), Exploding(3), regime=regime)
    assert (record.state, record.steps, len(record.losses)) == ("non-finite", 2, 3)
    base, kept = make_base(), []
    train_cell(
        inputs_of(base, SFT(), regime=regime), tmp_path / "whole",
        lambda step, loss: kept.append(copied(base.network)),
    )  # fmt: skip
    file = "adapter_model.safetensors" if regime == "lora" else "model.safetensors"
    for name, weight in load_file(tmp_path / "broken" / file).items():
        inside = name.removeprefix("base_model.model.").replace(".weight", ".default.weight")
        expected = kept[1][inside if regime == "lora" else name]
        assert torch.equal(weight, expected)
    assert all(map(math.isfinite, record.losses))


@pytest.mark.parametrize("regime", ["lora", *REGIMES])
@pytest.mark.parametrize("name", ["dpo", "kto", "online_grpo"])
def test_every_regime_trains_every_kind_of_objective(regime, name, tmp_path):
    base = make_base()
    before = copied(base.network)
    objective = build(name, {"kl": 0.1} if name == "online_grpo" else {}, "test")
    one, two = (run(tmp_path / folder, base, objective, regime=regime) for folder in ("one", "two"))
    assert one == two
    assert (one.state, one.steps) == ("trained", TRAINING.steps)
    assert len(one.coefficients) == 2
    assert all(torch.equal(before[n], w) for n, w in base.network.named_parameters())


def test_a_network_without_attention_is_refused():
    with (
        pytest.raises(GoniometerError, match=r"arms.regime: no attention in the network"),
        unfrozen(torch.nn.Sequential(torch.nn.Linear(2, 2)), "attention"),
    ):
        pass
