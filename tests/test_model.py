"""The one door to transformers: log-probs, generation, loading, deltas by hooks."""

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from goniometer.errors import GoniometerError
from goniometer.model import token_logprobs

PAD, END = 0, 1


def tiny_network(seed: int = 0, dtype: torch.dtype = torch.float64) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=23,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.3,
        pad_token_id=PAD,
        eos_token_id=END,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config).to(dtype).eval()


PROMPTS = [(3, 4, 5), (6,), (7, 8, 9, 10, 11)]
COMPLETIONS = [(12, 1), (13, 14, 15, 1), ()]


def slow_logprobs(network, prompt, completion):
    """One token at a time, from the whole prefix."""
    values = []
    for t, token in enumerate(completion):
        prefix = torch.tensor([[*prompt, *completion[:t]]])
        logits = network(input_ids=prefix).logits[0, -1]
        values.append(logits[token] - torch.logsumexp(logits, dim=0))
    return values


def test_token_logprobs_agree_with_one_token_at_a_time():
    network = tiny_network()
    logprobs, mask = token_logprobs(network, PROMPTS, COMPLETIONS, PAD)
    assert mask.sum(dim=1).tolist() == [2, 4, 0]
    assert (logprobs[~mask] == 0).all()
    for row, (prompt, completion) in enumerate(zip(PROMPTS, COMPLETIONS, strict=True)):
        for t, value in enumerate(slow_logprobs(network, prompt, completion)):
            torch.testing.assert_close(logprobs[row, t], value, rtol=1e-12, atol=1e-12)


def test_the_gradient_is_that_of_the_slow_route():
    network = tiny_network()
    weights = list(network.parameters())
    logprobs, _ = token_logprobs(network, PROMPTS, COMPLETIONS, PAD)
    fast = torch.autograd.grad(logprobs.sum(), weights)
    terms = [
        v for p, c in zip(PROMPTS, COMPLETIONS, strict=True) for v in slow_logprobs(network, p, c)
    ]
    slow = torch.autograd.grad(torch.stack(terms).sum(), weights)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # norms run in float32


def test_token_logprobs_do_not_depend_on_the_pad_token_or_on_the_neighbours():
    network = tiny_network()
    together, _ = token_logprobs(network, PROMPTS, COMPLETIONS, PAD)
    padded_otherwise, _ = token_logprobs(network, PROMPTS, COMPLETIONS, 17)
    alone, _ = token_logprobs(network, PROMPTS[:1], COMPLETIONS[:1], PAD)
    torch.testing.assert_close(together, padded_otherwise, rtol=0, atol=1e-12)
    torch.testing.assert_close(together[:1, :2], alone, rtol=0, atol=1e-12)


def test_log_probs_of_all_continuations_sum_to_one():
    network = tiny_network()
    vocabulary = network.config.vocab_size
    logprobs, _ = token_logprobs(
        network, [(3, 4)] * vocabulary, [(v,) for v in range(vocabulary)], PAD
    )
    assert logprobs.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_half_precision_networks_are_scored_in_float32():
    logprobs, _ = token_logprobs(tiny_network(dtype=torch.bfloat16), PROMPTS, COMPLETIONS, PAD)
    assert logprobs.dtype == torch.float32


def test_a_prompt_without_tokens_is_refused():
    with pytest.raises(GoniometerError, match="a prompt has no tokens"):
        token_logprobs(tiny_network(), [()], [(3,)], PAD)
