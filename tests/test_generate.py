"""Generation: the argmax of each prefix, or draws from the whole distribution, by seed."""

import math

import pytest
import torch
from scipy import stats

from goniometer.model import completion_logprobs
from tests.tiny_complete import complete
from tests.tiny_model import END, VOCABULARY, tiny_model


def slow_greedy(network, prompt, steps):
    tokens = list(prompt)
    for _ in range(steps):
        tokens.append(int(network(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] == END:
            break
    return tuple(tokens[len(prompt) :])


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_greedy_generation_is_the_argmax_of_each_prefix_whatever_the_batch(batch_size):
    model = tiny_model(seed=3)
    prompts = [(3, 4, 5), (6,), (7, 8, 9, 10, 11), (4, 9)]
    for prompt, generation in zip(
        prompts, complete(model, prompts, batch_size=batch_size), strict=True
    ):
        assert generation.tokens == slow_greedy(model.network, prompt, 6)
        assert generation.truncated == (END not in generation.tokens)


def test_completions_end_with_their_first_end_token_unless_truncated():
    generations = complete(tiny_model(), [(3, 4)] * 300, new=40, temperature=1.0, batch_size=300)
    assert {g.truncated for g in generations} == {True, False}
    for g in generations:
        assert len(g.tokens) == 40 if g.truncated else g.tokens.index(END) == len(g.tokens) - 1


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_draws_follow_the_untruncated_distribution(temperature):
    model, draws = tiny_model(seed=1), 8000
    generations = complete(
        model, [(3, 4)] * draws, new=1, temperature=temperature, batch_size=draws
    )
    counts = torch.zeros(VOCABULARY)
    for generation in generations:
        counts[generation.tokens[0]] += 1
    logits = model.network(input_ids=torch.tensor([[3, 4]])).logits[0, -1]
    expected = draws * torch.softmax(logits.detach() / temperature, dim=0)
    p = stats.chisquare(counts.numpy(), expected.numpy(), sum_check=False).pvalue
    assert p > 1e-3


def test_draws_depend_on_the_seed_and_on_nothing_global():
    model = tiny_model()
    first = complete(model, [(3, 4)] * 4, temperature=1.0, seed=5)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = complete(model, [(3, 4)] * 4, temperature=1.0, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == again
    assert first[:2] != first[2:]  # each batch has its own seed
    assert first != complete(model, [(3, 4)] * 4, temperature=1.0, seed=6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nothing_is_drawn_from_what_is_no_distribution(bad):
    plain, model, calls = tiny_model(), tiny_model(), []
    assert complete(plain, [(3, 4)] * 2, temperature=1.3, finite=True) == complete(
        plain, [(3, 4)] * 2, temperature=1.3
    )
    with pytest.raises(FloatingPointError):  # finite, and beyond float32 once divided
        complete(plain, [(3, 4)], temperature=1e-40, finite=True)

    def from_the_third(module, inputs, output):
        calls.append(1)
        output[-1, :, 5] = bad if len(calls) > 2 else output[-1, :, 5]

    model.network.lm_head.register_forward_hook(from_the_third)
    with pytest.raises(FloatingPointError, match="where a token is to be drawn"):
        complete(model, [(3, 4), (5, 6)], temperature=1.0, finite=True)
    assert len(calls) == 3


def test_sampled_tokens_have_a_finite_score_each():
    model = tiny_model()
    prompts = [(3, 4, 5), (6,)] * 3
    generations = complete(model, prompts, temperature=1.0)
    completions = [g.tokens for g in generations]
    scores = completion_logprobs(
        model, prompts, completions, batch_size=4, advance=lambda rows: None
    )
    assert [len(s) for s in scores] == [len(c) for c in completions]
    assert all(-50 < value < 0 for score in scores for value in score)
