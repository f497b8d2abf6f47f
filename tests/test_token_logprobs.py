"""Log-probs of completions: those of one token at a time, whatever stands beside a row."""

import pytest
import torch

from goniometer.errors import GoniometerError
from goniometer.model import completion_logprobs, token_logprobs
from tests.tiny_model import PAD, VOCABULARY, tiny_model, tiny_network

PROMPTS = [(3, 4, 5), (6,), (7, 8, 9, 10, 11)]
COMPLETIONS = [(12, 5, 6, 7, 1), (13, 14, 15, 1), ()]  # the longest row first


def slow_logprobs(network, prompt, completion):
    """One token at a time, from the whole prefix."""
    values = []
    for t, token in enumerate(completion):
        logits = network(input_ids=torch.tensor([[*prompt, *completion[:t]]])).logits[0, -1]
        values.append(logits[token] - torch.logsumexp(logits, dim=0))
    return values


def test_token_logprobs_agree_with_one_token_at_a_time():
    network = tiny_network()
    logprobs, mask = token_logprobs(network, PROMPTS, COMPLETIONS, PAD)
    assert mask.sum(dim=1).tolist() == [5, 4, 0]
    assert (logprobs[~mask] == 0).all()
    for row, (prompt, completion) in enumerate(zip(PROMPTS, COMPLETIONS, strict=True)):
        for t, value in enumerate(slow_logprobs(network, prompt, completion)):
            torch.testing.assert_close(logprobs[row, t], value, rtol=1e-6, atol=1e-6)


def test_the_gradient_is_that_of_the_slow_route():
    network = tiny_network()
    weights = list(network.parameters())
    logprobs, _ = token_logprobs(network, PROMPTS, COMPLETIONS, PAD)
    fast = torch.autograd.grad(logprobs.sum(), weights)
    rows = zip(PROMPTS, COMPLETIONS, strict=True)
    slow = torch.stack([v for prompt, text in rows for v in slow_logprobs(network, prompt, text)])
    for a, b in zip(fast, torch.autograd.grad(slow.sum(), weights), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # the norms run in float32


def test_token_logprobs_do_not_depend_on_the_pad_token_or_on_the_neighbours():
    network = tiny_network()
    together, _ = token_logprobs(network, PROMPTS, COMPLETIONS, PAD)
    padded_otherwise, _ = token_logprobs(network, PROMPTS, COMPLETIONS, 17)
    alone, _ = token_logprobs(network, PROMPTS[:1], COMPLETIONS[:1], PAD)
    torch.testing.assert_close(together, padded_otherwise, rtol=0, atol=1e-6)
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-6)


def test_probabilities_of_all_continuations_sum_to_one():
    prompts, completions = [(3, 4)] * VOCABULARY, [(v,) for v in range(VOCABULARY)]
    logprobs, _ = token_logprobs(tiny_network(), prompts, completions, PAD)
    assert logprobs.exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_half_precision_networks_are_scored_in_float32():
    logprobs, _ = token_logprobs(tiny_network(dtype=torch.bfloat16), PROMPTS, COMPLETIONS, PAD)
    assert logprobs.dtype == torch.float32


def test_a_prompt_without_tokens_is_refused():
    with pytest.raises(GoniometerError, match="a prompt has no tokens"):
        token_logprobs(tiny_network(), [()], [(3,)], PAD)


def test_batched_scores_come_back_in_the_order_of_the_rows():
    model, rows = tiny_model(), []
    scores = completion_logprobs(model, PROMPTS, COMPLETIONS, batch_size=2, advance=rows.append)
    assert rows == [2, 1]
    for prompt, completion, score in zip(PROMPTS, COMPLETIONS, scores, strict=True):
        slow = [v.item() for v in slow_logprobs(model.network, prompt, completion)]
        assert score == pytest.approx(slow, abs=1e-6)
