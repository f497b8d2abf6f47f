"""What all prompts begin with is read once at each point: the losses are those of whole texts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from goniometer.behaviour import losses
from goniometer.behaviour.losses import WORTH_READING, losses_at
from goniometer.behaviour.points import point
from goniometer.behaviour.texts import Texts
from goniometer.deltas import LowRank
from goniometer.model import LanguageModel
from tests.paths import delta_of, lora, merged_nll
from tests.tiny_model import tiny_model, tiny_tokenizer

BEGINNING, COUNT = tuple(range(10, 26)), 20
POINTS = [point(at) for at in ({}, {"a": 1}, {"a": 0.3, "b": 0.7}, {"a": 1, "b": 1}, {"b": -0.5})]


def begun(count: int = COUNT) -> Texts:
    prompts = [(*BEGINNING, *range(4 + i, 6 + i + i % 4)) for i in range(count)]
    completions = [tuple(range(30 + i, 33 + i + i % 5)) for i in range(count)]
    return Texts(tuple(map(str, range(count))), tuple(prompts), tuple(completions))


def windowed() -> LanguageModel:
    """Gemma 3, whose every other layer looks back at fewer tokens than all prompts begin with."""
    config = Gemma3TextConfig(
        vocab_size=80,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=5,
        layer_types=["sliding_attention", "full_attention"],
        max_position_embeddings=64,
        initializer_range=0.15,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Gemma3ForCausalLM(config).double().eval()
    return LanguageModel(network, tiny_tokenizer(), "windowed")


def tokens_read(model: LanguageModel, work) -> list[int]:
    """Tokens of each run of the network."""
    counts = []
    embeddings = model.network.get_input_embeddings()
    handle = embeddings.register_forward_hook(lambda _, x, y: counts.append(x[0].numel()))
    work()
    handle.remove()
    return counts


@pytest.mark.parametrize("model", [tiny_model, windowed], ids=["full", "windowed"])
@pytest.mark.parametrize("batch_tokens", [1, 60, 4096])
@pytest.mark.parametrize("apart", [False, True])
def test_losses_are_those_of_whole_texts_at_merged_weights(monkeypatch, model, batch_tokens, apart):
    monkeypatch.setattr(losses, "_merging_pays", lambda *_: apart)
    model = model()
    runs, given = {"a": lora(model, 0), "b": lora(model, 1)}, begun()
    assert given.shared == len(BEGINNING)
    found = losses_at(model, runs, POINTS, given, batch_tokens=batch_tokens)
    for where in POINTS:
        merged = merged_nll(model, runs, where, given)
        np.testing.assert_allclose(found.sums[where], merged, rtol=1e-6)


@pytest.mark.parametrize(("apart", "runs_of_the_network"), [(False, 2), (True, 4)])
def test_the_beginning_is_read_once_at_each_point(monkeypatch, apart, runs_of_the_network):
    monkeypatch.setattr(losses, "_merging_pays", lambda *_: apart)
    model = tiny_model()
    runs, given = {"a": lora(model, 0)}, begun()
    rest = sum(given.lengths) - COUNT * len(BEGINNING)
    points = [point({"a": x}) for x in (0.25, 0.5, 1)]
    counts = tokens_read(model, lambda: losses_at(model, runs, points, given, batch_tokens=1))
    assert sum(counts) == 3 * (len(BEGINNING) + rest)
    counts = tokens_read(model, lambda: losses_at(model, runs, points, given, batch_tokens=4096))
    assert counts[0] == 3 * len(BEGINNING)
    assert len(counts) == runs_of_the_network


def test_a_point_runs_alone_where_a_merged_weight_costs_less():
    """A module m x n has m n entries to move, against m + n sums of products a token."""
    m, n = 12, 36
    run = delta_of({"x": LowRank(torch.ones(m, 2), torch.ones(2, n), 1.0)})
    for tokens in (8, 9, 10):
        moved, by_outputs = 2 * m * n, 2 * tokens * (m + n)
        assert losses._merging_pays([run, run], tokens) is (moved < by_outputs)


def test_what_does_not_pay_is_read_whole():
    model = tiny_model()
    few = WORTH_READING // len(BEGINNING)  # one text does not save its own beginning
    for count, beginnings in ((few, few), (few + 1, 1)):
        given = begun(count)
        rest = sum(given.lengths) - count * len(BEGINNING)
        counts = tokens_read(model, lambda g=given: losses_at(model, {}, [()], g, batch_tokens=1))
        assert sum(counts) == rest + beginnings * len(BEGINNING)


def test_a_prompt_keeps_its_last_token():
    alike = replace(begun(3), prompts=((5, 6, 7), (5, 6, 7, 8), (5, 6, 7)))
    assert alike.shared == 2
    assert replace(alike, prompts=((5,), (5, 6), (5, 6))).shared == 0
    assert begun(1).shared == len(begun(1).prompts[0]) - 1
