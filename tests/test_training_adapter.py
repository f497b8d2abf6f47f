"""The adapter: where it starts, that the base stays as it was, what of it is written."""

import json
import math

import numpy as np
import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from goniometer.config import Adapter
from goniometer.errors import GoniometerError
from goniometer.model import token_logprobs
from goniometer.objectives.sft import SFT
from goniometer.training import attach, detach, save
from tests.tiny_model import PAD
from tests.training_runs import ADAPTER, equal, make_network, run, train_on, weights_of


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
