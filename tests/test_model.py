"""The one door to transformers: log-probs, generation, loading, deltas by hooks."""

import json

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy import stats
from transformers import GenerationConfig

from goniometer import deltas
from goniometer.deltas import Dense, LowRank
from goniometer.errors import GoniometerError
from goniometer.model import (
    LanguageModel,
    completion_logprobs,
    generate,
    load,
    perturbed,
    token_logprobs,
)
from tests.tiny_model import END, PAD, VOCABULARY, tiny_model, tiny_network, tiny_tokenizer

PROMPTS = [(3, 4, 5), (6,), (7, 8, 9, 10, 11)]
COMPLETIONS = [(12, 5, 6, 7, 1), (13, 14, 15, 1), ()]  # the longest row first
Q_PROJ, O_PROJ = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.o_proj"


def slow_logprobs(network, prompt, completion):
    """One token at a time, from the whole prefix."""
    values = []
    for t, token in enumerate(completion):
        logits = network(input_ids=torch.tensor([[*prompt, *completion[:t]]])).logits[0, -1]
        values.append(logits[token] - torch.logsumexp(logits, dim=0))
    return values


def slow_greedy(network, prompt, steps):
    tokens = list(prompt)
    for _ in range(steps):
        tokens.append(int(network(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] == END:
            break
    return tuple(tokens[len(prompt) :])


def complete(model, prompts, *, new=6, temperature=0.0, seed=0, batch_size=2):
    return generate(
        model,
        prompts,
        max_new_tokens=new,
        temperature=temperature,
        seed=seed,
        batch_size=batch_size,
        advance=lambda rows: None,
    )


# Log-probs


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


# Generation


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


# Models and folders


@pytest.fixture
def folder(tmp_path):
    network, tokenizer = tiny_network(dtype=torch.float32), tiny_tokenizer()
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_loaded_model_is_the_saved_one(folder):
    model = load(str(folder))
    saved = tiny_network(dtype=torch.float32)
    tokens = torch.tensor([[3, 4, 5]])
    assert torch.equal(model.network(input_ids=tokens).logits, saved(input_ids=tokens).logits)
    assert (model.end_token, model.pad_token, model.name) == (END, PAD, str(folder))
    assert model.encode_prompt("w5 w6") == (5, 6, 3)
    assert model.decode((5, 6, END)) == "w5w6"
    assert model.fingerprint == tiny_model(dtype=torch.float32).fingerprint


def test_the_fingerprint_sees_one_weight_and_one_word():
    model = tiny_model()
    other = tiny_model()
    with torch.no_grad():
        other.network.model.norm.weight[0] += 1e-9
    words = LanguageModel(tiny_network(), tiny_tokenizer(VOCABULARY - 1), "tiny")
    assert len({model.fingerprint, other.fingerprint, words.fingerprint}) == 3


def test_a_chat_template_writes_the_prompt(folder):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ 'w7 ' + m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}{{ ' w8' }}{% endif %}"
    )
    model = LanguageModel(tiny_network(), tokenizer, "chat")
    assert model.encode_prompt("w5 w6") == (7, 5, 6, 8)


def test_recommended_decoding_settings_do_not_bend_the_draws(folder):
    plain = complete(load(str(folder)), [(3, 4)] * 8, temperature=1.0)
    recommended = GenerationConfig(do_sample=True, top_k=1, repetition_penalty=9.0, min_p=0.9)
    recommended.save_pretrained(folder)
    assert complete(load(str(folder)), [(3, 4)] * 8, temperature=1.0) == plain


def edit_json(file, **changes):
    tree = json.loads(file.read_text())
    tree = {k: v for k, v in (tree | changes).items() if v is not None}
    file.write_text(json.dumps(tree))


def drop_weight(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(f"{Q_PROJ}.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def to_pickle(folder):
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def drop_end_token(folder):
    edit_json(folder / "tokenizer_config.json", eos_token=None)


def demand_remote_code(folder):
    auto_map = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    edit_json(folder / "config.json", model_type="mine", auto_map=auto_map)
    (folder / "code.py").write_text("raise RuntimeError('remote code ran')")


def cut_short(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json; expected a folder with a whole"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be loaded: .*config.json"),
        (to_pickle, "no safetensors weights.*a pickle is not opened"),
        (drop_weight, f"{Q_PROJ}.weight: 1 weights are missing"),
        (cut_short, "cannot be loaded: "),
        (drop_end_token, "eos_token: the tokenizer has no end token"),
        (demand_remote_code, "cannot be loaded: .*code"),
        (lambda f: (f / "tokenizer.json").unlink(), "cannot be loaded: "),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(GoniometerError, match=message) as caught:
        load(str(folder))
    assert str(folder) in str(caught.value)
    assert "remote code ran" not in str(caught.value)


def test_what_is_no_folder_is_never_sent_to_a_hub():
    with pytest.raises(GoniometerError, match=r"no such model folder.*nothing is fetched"):
        load("gpt2")
    with pytest.raises(GoniometerError, match="expected embedded:base or embedded:teacher"):
        load("embedded:bass")


# Deltas by hooks


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
