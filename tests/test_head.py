"""Log-probs in chunks of positions against the plain way: all logits, then autograd."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from goniometer.model import score, token_logprobs
from goniometer.model.head import head_logprobs
from tests.tiny_model import PAD, tiny_network

PROMPTS = [(3, 4, 5), (6,), (7, 8, 9, 10, 11)]
COMPLETIONS = [(12, 5, 6, 7, 1), (13, 14, 15, 1), ()]
SMALL = {"vocab_size": 50, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}
LLAMA = SMALL | {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.15,
}


def gpt2():  # tied, and its norms run in the precision of the network
    return GPT2LMHeadModel(
        GPT2Config(**SMALL, n_embd=16, n_layer=2, n_head=4, initializer_range=0.15)
    )


def phi():  # a head of its own, with bias
    network = PhiForCausalLM(PhiConfig(**LLAMA))
    torch.nn.init.normal_(network.lm_head.bias)
    return network


def gemma2():
    return Gemma2ForCausalLM(
        Gemma2Config(**LLAMA, head_dim=8, final_logit_softcapping=2.0, tie_word_embeddings=True)
    )


def granite():
    return GraniteForCausalLM(GraniteConfig(**LLAMA, logits_scaling=3.0))


def cohere():
    return CohereForCausalLM(CohereConfig(**LLAMA, logit_scale=0.3))


def make(build):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build().double().eval()


def plain(network, prompts=PROMPTS, completions=COMPLETIONS, temperature=1.0):
    """Each row alone, with all of its logits."""
    values = []
    for prompt, completion in zip(prompts, completions, strict=True):
        logits = network(input_ids=torch.tensor([[*prompt, *completion]])).logits[0]
        logprobs = (logits / temperature).log_softmax(1)
        start = len(prompt) - 1
        values += [logprobs[start + t, token] for t, token in enumerate(completion)]
    return torch.stack(values)


def gradients(network, values):
    """Gradient of an uneven sum of the log-probs by every weight that learns."""
    weights = [p for p in network.parameters() if p.requires_grad]
    uneven = torch.linspace(-1, 2, len(values), dtype=values.dtype)
    return torch.autograd.grad(values @ uneven, weights, allow_unused=True)


def assert_same(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("chunk", [1, 130, 10**6])
@pytest.mark.parametrize("learns", ["", "h", "W", "hWb"])
def test_values_and_gradients_are_those_of_all_logits_at_once(learns, chunk):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        h, w, b = (torch.randn(s, dtype=torch.float64) for s in ((11, 6), (30, 6), (30,)))
        tokens = torch.randint(30, (11,))
    inputs = [x.requires_grad_(name in learns) for name, x in zip("hWb", (h, w, b), strict=True)]
    ours = head_logprobs(h, w, b, tokens, 0.7, chunk)
    logits = linear(h, w, b) / 0.7
    theirs = logits.log_softmax(1)[torch.arange(11), tokens]
    assert_same([ours], [theirs], 1e-12)
    assert ours.requires_grad == bool(learns)
    if learns:
        some = [x for x in inputs if x.requires_grad]
        above = torch.linspace(-2, 1, 11, dtype=torch.float64)
        found, expected = (torch.autograd.grad(x, some, above) for x in (ours, theirs))
        assert_same(found, expected, 1e-12)


@pytest.mark.parametrize("head_learns", [True, False])
@pytest.mark.parametrize("build", [gpt2, phi])
def test_a_networks_scores_are_the_plain_ones(build, head_learns, monkeypatch):
    monkeypatch.setattr(score, "head_logprobs", lambda *a: head_logprobs(*a, chunk=120))
    network = make(build)
    network.get_output_embeddings().requires_grad_(head_learns)
    ours, mask = token_logprobs(network, PROMPTS, COMPLETIONS, PAD, 0.7)
    theirs = plain(network, temperature=0.7)
    assert_same([ours[mask]], [theirs], 1e-12)
    assert_same(gradients(network, ours[mask]), gradients(network, theirs), 1e-12)


@pytest.mark.parametrize("build", [gemma2, granite, cohere])
def test_logits_that_are_no_linear_heads_are_the_networks_own(build):
    network = make(build)
    ours, mask = token_logprobs(network, PROMPTS, COMPLETIONS, PAD)
    theirs = plain(network)  # norms in float32
    assert_same([ours[mask]], [theirs], 1e-5)
    assert_same(gradients(network, ours[mask]), gradients(network, theirs), 1e-4)


@pytest.mark.parametrize("targets", [["c_attn"], ["c_attn", "lm_head"]])
def test_an_adapter_is_scored_also_one_on_the_head(targets):
    adapted = get_peft_model(
        make(gpt2), LoraConfig(r=2, target_modules=targets, init_lora_weights=False)
    ).double()
    ours, mask = token_logprobs(adapted, PROMPTS, COMPLETIONS, PAD)
    theirs = plain(adapted)
    assert_same([ours[mask]], [theirs], 1e-12)
    assert_same(gradients(adapted, ours[mask]), gradients(adapted, theirs), 1e-12)


def test_a_hook_on_the_head_is_obeyed():
    network = make(gpt2)
    bent = copy.deepcopy(network)
    bent.lm_head.register_forward_hook(lambda module, inputs, output: output * 2)
    ours, mask = token_logprobs(bent, PROMPTS, COMPLETIONS, PAD)
    assert_same([ours[mask]], [plain(network, temperature=0.5)], 1e-12)


class Widest(TorchDispatchMode):
    """Most rows of any tensor of the vocabulary's width that an operation returned."""

    rows = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        returned = function(*args, **(kwargs or {}))
        for x in tree_leaves(returned):
            if isinstance(x, torch.Tensor) and x.ndim > 1 and x.shape[-1] == 3000:
                self.rows = max(self.rows, x.untyped_storage().nbytes() // (4 * 3000))
        return returned


@pytest.mark.parametrize("learns", [True, False])
def test_no_tensor_of_rows_by_length_by_vocabulary_lives_forward_or_backward(learns, monkeypatch):
    monkeypatch.setattr(score, "head_logprobs", lambda *a: head_logprobs(*a, chunk=3000 * 2))
    network = tiny_network(dtype=torch.float32, words=3000)
    network.lm_head.requires_grad_(learns)
    rows, width = 5, network.config.hidden_size
    with Widest() as widest:
        scores, mask = token_logprobs(network, [(3, 4)] * rows, [range(2, 14)] * rows, PAD)
        scores.sum().backward()
    assert mask.sum() == 60
    assert 0 < widest.rows <= width  # of the head's own weight, turned, or of a column


@pytest.mark.parametrize("learns", [True, False])
def test_autocast_runs_the_head_as_the_network_would(learns):
    network = tiny_network(dtype=torch.float32)
    network.lm_head.requires_grad_(learns)
    inner = next(p for n, p in network.named_parameters() if "q_proj" in n)
    with torch.autocast("cpu", torch.bfloat16):
        ours, _ = token_logprobs(network, PROMPTS[:1], COMPLETIONS[:1], PAD)
        tokens = torch.tensor([[*PROMPTS[0], *COMPLETIONS[0]]])
        logits = network(input_ids=tokens).logits[0, 2:-1]
    assert logits.dtype == torch.bfloat16
    theirs = logits.float().log_softmax(1)[torch.arange(5), tokens[0, 3:]]
    assert_same([ours[0]], [theirs], 1e-5)
    found, expected = (torch.autograd.grad(x.sum(), inner)[0] for x in (ours, theirs))
    assert (found - expected).norm() < 0.02 * expected.norm()
