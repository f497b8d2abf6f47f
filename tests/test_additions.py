"""Low-rank and dense updates by hooks: as if they were in the weights, a point of its own a row."""

import peft
import pytest
import torch

from goniometer import deltas
from goniometer.deltas import Dense, LowRank
from goniometer.errors import GoniometerError
from goniometer.model import perturbed
from tests.tiny_complete import complete
from tests.tiny_model import tiny_model, tiny_network

Q_PROJ, O_PROJ = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.o_proj"


def lora(seed, shape=(32, 16), rank=3):
    generator = torch.Generator().manual_seed(seed)
    m, n = shape
    B = torch.randn(m, rank, generator=generator) / 4
    return LowRank(B, torch.randn(rank, n, generator=generator) / 4, 1.75)


def logits(network, rows=3):
    return network(input_ids=torch.tensor([[3, 4, 5, 6], [7, 8, 9, 2], [5, 5, 6, 9]])[:rows]).logits


def test_a_delta_by_hooks_is_peft_s_own_merge(tmp_path):
    config = peft.LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "o_proj"])
    adapted = peft.get_peft_model(tiny_network(), config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 4)
    adapted.save_pretrained(tmp_path)
    delta = deltas.read(tmp_path)
    merged = logits(adapted.merge_and_unload())
    base = tiny_network()
    plain = logits(base)
    with perturbed(base, [delta], torch.ones(1, 1)):
        by_hooks = logits(base)
    assert (plain - merged).abs().max() > 0.1
    torch.testing.assert_close(by_hooks, merged, rtol=1e-5, atol=1e-5)


def test_each_row_has_its_own_point_and_dense_equals_low_rank():
    network = tiny_network()
    one, two = {Q_PROJ: lora(1), O_PROJ: lora(2, (16, 32))}, {Q_PROJ: Dense(lora(3).dense())}
    coefficients = torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.0, -2.0]])
    with perturbed(network, [one, two], coefficients):
        together = logits(network)
    for row, (a, b) in enumerate(coefficients.tolist()):
        merged = tiny_network()
        with torch.no_grad():
            for delta, factor in ((one, a), (two, b)):
                for name, matrix in delta.items():
                    merged.get_submodule(name).weight += factor * matrix.dense()
        torch.testing.assert_close(together[row], logits(merged)[row], rtol=1e-5, atol=1e-5)


def test_zero_coefficients_are_the_base_and_nothing_stays_behind():
    network = tiny_network()
    plain = logits(network)
    with perturbed(network, [{Q_PROJ: lora(1)}], torch.zeros(1, 1)):
        assert torch.equal(logits(network), plain)

    def fail_inside():
        with perturbed(network, [{Q_PROJ: lora(1)}], torch.ones(1, 1)):
            assert not torch.equal(logits(network), plain)
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert torch.equal(logits(network), plain)
    assert not any(module._forward_hooks for module in network.modules())


def test_a_perturbed_network_generates_as_the_merged_one():
    model, delta = tiny_model(), {Q_PROJ: lora(1), O_PROJ: lora(2, (16, 32))}
    prompts = [(3, 4, 5), (6,), (7, 8, 9, 10, 11)]
    with perturbed(model.network, [delta], torch.ones(1, 1)):
        by_hooks = complete(model, prompts)
    plain = complete(model, prompts)
    with torch.no_grad():
        for name, matrix in delta.items():
            model.network.get_submodule(name).weight += matrix.dense()
    assert complete(model, prompts) == by_hooks != plain


@pytest.mark.parametrize(
    ("delta", "message"),
    [
        ({"model.layers.7.self_attn.q_proj": lora(1)}, "layers.7.*no such module"),
        ({"model.layers.0.mlp": lora(1)}, "layers.0.mlp.*found Qwen3MLP.*a module with a weight"),
        ({"model.embed_tokens": lora(1)}, r"embed_tokens.*\(32, 16\), expected \(80, 16\)"),
        ({O_PROJ: lora(1)}, r"o_proj.*shape \(32, 16\), expected \(16, 32\)"),
    ],
)
def test_a_delta_of_another_network_is_refused_and_leaves_nothing(delta, message):
    network = tiny_network()

    def enter():
        with perturbed(network, [{Q_PROJ: lora(1)}, delta], torch.ones(1, 2)):
            pass

    with pytest.raises(GoniometerError, match=message):
        enter()
    assert not any(module._forward_hooks for module in network.modules())


def test_coefficients_of_another_batch_are_refused():
    network = tiny_network()
    with (
        perturbed(network, [{Q_PROJ: lora(1)}], torch.ones(2, 1)),
        pytest.raises(GoniometerError, match="found 2 rows, expected 1"),
    ):
        logits(network, rows=1)
