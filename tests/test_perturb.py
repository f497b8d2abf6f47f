"""Whole updates, of linear modules and of all else, run as if they were in the weights."""

import pytest
import torch

from goniometer.deltas import Delta, Dense, Outline, Provenance, Stored
from goniometer.errors import GoniometerError
from goniometer.model import is_low_rank, perturbed, require_fit
from tests.tiny_model import tiny_network

NORM = "model.layers.1.input_layernorm"
EMBEDDING = "model.embed_tokens"


def whole_update(network):
    """A random update of every parameter, named as a checkpoint's is."""
    generator = torch.Generator().manual_seed(0)
    return {
        name.removesuffix(".weight"): Dense(
            torch.randn(
                weight.shape if weight.ndim > 1 else (len(weight), 1),
                generator=generator,
                dtype=torch.float64,
            )
            / 10
        )
        for name, weight in network.named_parameters()
    }


def merged(delta, factor=1.0):
    network = tiny_network()
    with torch.no_grad():
        for name, matrix in delta.items():
            weight = network.get_submodule(name).weight
            weight += factor * matrix.dense().view_as(weight)
    return network


def logits(network):
    return network(input_ids=torch.tensor([[3, 4, 5, 6], [7, 8, 9, 2]])).logits.detach()


@pytest.mark.parametrize("in_flight", [False, True])
@pytest.mark.parametrize("factor", [1.0, -0.5])
def test_an_update_of_every_weight_is_the_merged_model_and_leaves_the_bits(factor, in_flight):
    network = tiny_network()
    delta = whole_update(network)
    assert {NORM, EMBEDDING} < delta.keys()
    before = {n: (w.data_ptr(), w.detach().clone()) for n, w in network.named_parameters()}
    with perturbed(network, [delta], torch.full((1, 1), factor), in_flight=in_flight):
        moved = logits(network)
        # The head is tied: it moved with the embedding, and once.
        assert network.lm_head.weight is network.model.embed_tokens.weight
    torch.testing.assert_close(moved, logits(merged(delta, factor)), rtol=1e-12, atol=1e-12)
    for name, weight in network.named_parameters():
        pointer, value = before[name]
        assert weight.data_ptr() == pointer
        assert torch.equal(weight, value), name


def test_a_tied_weight_that_two_names_have_moves_once():
    network = tiny_network()
    update = Dense(whole_update(network)[EMBEDDING].value)
    with perturbed(network, [{EMBEDDING: update, "lm_head": update}], torch.ones(1, 1)):
        moved = logits(network)
    torch.testing.assert_close(moved, logits(merged({EMBEDDING: update})))


def test_two_whole_updates_add_up():
    network = tiny_network()
    delta = whole_update(network)
    with perturbed(network, [delta, delta], torch.tensor([[0.25, 0.5]])):
        moved = logits(network)
    torch.testing.assert_close(moved, logits(merged(delta, 0.75)), rtol=1e-12, atol=1e-12)


def test_a_bias_is_named_by_its_parameter():
    module = torch.nn.Sequential(torch.nn.Linear(3, 2, dtype=torch.float64))
    x = torch.ones(1, 3, dtype=torch.float64)
    plain = module(x)
    with perturbed(module, [{"0.bias": Dense(torch.tensor([[1.0], [2.0]]))}], torch.ones(1, 1)):
        added = module(x) - plain
    torch.testing.assert_close(added, torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    assert torch.equal(module(x), plain)


def test_weights_come_back_where_the_context_fails():
    network = tiny_network()
    plain = logits(network)
    delta = whole_update(network)

    def enter(deltas, coefficients):
        with perturbed(network, deltas, coefficients):
            raise KeyError

    with pytest.raises(KeyError):
        enter([delta], torch.ones(1, 1))
    assert torch.equal(logits(network), plain)
    wrong = {EMBEDDING: delta[EMBEDDING], NORM: Dense(torch.ones(3, 1))}
    with pytest.raises(GoniometerError, match=r"shape \(3, 1\), expected \(16, 1\)"):
        enter([wrong], torch.ones(1, 1))
    assert torch.equal(logits(network), plain)


def test_what_is_not_linear_runs_at_one_point():
    network = tiny_network()
    delta = {NORM: whole_update(network)[NORM]}
    message = f"{NORM}: an update of what is not linear runs at one point at a time; found 2 rows"

    def enter():
        with perturbed(network, [delta], torch.ones(2, 1)):
            pass

    with pytest.raises(GoniometerError, match=message):
        enter()


def test_in_flight_one_weight_is_moved_at_a_time_besides_the_head_s():
    network = tiny_network()
    own = {name: weight.data_ptr() for name, weight in network.named_parameters()}
    seen = []

    def look(module, inputs):
        moved = {n for n, w in network.named_parameters() if w.data_ptr() != own[n]}
        seen.append(moved - {f"{EMBEDDING}.weight"})  # tied to the head

    with perturbed(network, [whole_update(network)], torch.ones(1, 1), in_flight=True):
        # Hooks run in the order of registration: this one sees the module's own weight moved.
        for module in network.modules():
            if not [*module.children()]:
                module.register_forward_pre_hook(look)
        logits(network)
    assert max(map(len, seen)) == 1
    assert {name for names in seen for name in names} == own.keys() - {f"{EMBEDDING}.weight"}


def test_in_flight_a_weight_comes_back_where_its_module_fails():
    network = tiny_network()
    plain = logits(network)
    q_proj = "model.layers.1.self_attn.q_proj"
    delta = {q_proj: whole_update(network)[q_proj]}
    weight = network.get_submodule(q_proj).weight
    own = weight.data_ptr()

    def fail(module, inputs):
        raise KeyError

    with perturbed(network, [delta], torch.ones(1, 1), in_flight=True):
        handle = network.get_submodule(q_proj).register_forward_pre_hook(fail)
        with pytest.raises(KeyError):
            logits(network)
        assert weight.data_ptr() == own
        handle.remove()
    assert torch.equal(logits(network), plain)


def test_a_fit_is_asked_for_without_reading_a_value():
    network = tiny_network()

    def unread(name):
        raise AssertionError(name)

    def delta(outlines):
        return Delta(Stored(outlines, unread), Provenance("a run", "made here"))

    fitting = {NORM: Outline((16, 1), 1, low_rank=False), EMBEDDING: Outline((80, 16), 4)}
    require_fit(network, "run", delta(fitting))
    assert not is_low_rank(network, delta(fitting))
    assert is_low_rank(network, delta({"lm_head": Outline((80, 16), 4)}))
    unlike = delta(fitting | {"lm_head": Outline((81, 16), 4)})
    with pytest.raises(GoniometerError, match=r"^run: lm_head: .*\(81, 16\), expected \(80, 16\)"):
        require_fit(network, "run", unlike)
