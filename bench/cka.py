"""Cost of CKA of several models against their forward passes alone, at SmolLM2-135M's shapes.

    python bench/cka.py               # 7 models x 2 layers x 4,096 tokens
    python bench/cka.py --layers 30   # as many layers as SmolLM2-135M has

Random weights (hidden 576, 9 heads, 3 key-value heads, intermediate 1536, vocabulary 49,152,
tied), float32, on the CPU; the runs are random LoRA updates of r = 16 on q, k, v and o, put on by
hooks in both measurements. 32 texts of 129 tokens, each token but the first; both parts of the cost
are proportional to the layers. Prints seconds of the forward passes alone, of `similarity` as a
whole (forward passes, files, estimates, intervals, the null), their ratio, and the most memory
that `similarity` has taken above the loaded model. Exits with 1 where a bound is missed.
"""

import argparse
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from rich.console import Console
from transformers import LlamaConfig, LlamaForCausalLM

from goniometer.behaviour.activations import Activations
from goniometer.behaviour.cka import similarity
from goniometer.behaviour.placed import Placed
from goniometer.deltas import Delta, LowRank, Provenance
from goniometer.model import LanguageModel, hidden_states

VOCABULARY, LENGTH, RANK = 49152, 129, 16
TIME, MEMORY = 3.0, 1000.0  # bounds: times the forward passes, and MB
Text = tuple[tuple[int, ...], tuple[int, ...]]


def smollm2(layers: int) -> LanguageModel:
    """SmolLM2-135M's architecture with random weights."""
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=576, intermediate_size=1536, num_hidden_layers=layers,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True, use_cache=False,
    )  # fmt: skip
    tokenizer = SimpleNamespace(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return LanguageModel(LlamaForCausalLM(config).eval(), tokenizer, "random")


def update(base: LanguageModel, seed: int) -> Delta:
    """Random LoRA factors for q, k, v and o."""
    generator = torch.Generator().manual_seed(seed)
    matrices = {}
    for name, module in base.network.named_modules():
        if name.endswith(("q_proj", "k_proj", "v_proj", "o_proj")):
            m, n = module.weight.shape
            B = torch.randn(m, RANK, generator=generator) / 50
            matrices[name] = LowRank(B, torch.randn(RANK, n, generator=generator) / 50, 2.0)
    return Delta(matrices, Provenance(f"run {seed}", "random"))


def memory(what: str) -> float:
    """VmRSS or VmHWM of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def forward_passes(base: LanguageModel, runs: list[Delta | None], texts: list[Text]) -> None:
    """Run all models on the texts, and keep nothing."""
    rows = [(*prompt, *completion) for prompt, completion in texts]
    for run in runs:
        with Placed(base, run).running() as model:
            nothing: list[list[int]] = [[] for _ in rows]
            hidden_states(model, rows, nothing, lambda *_: None, batch_size=8)


def main() -> None:
    """Time both, and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=7, help="the base among them")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=4096)
    asked = parser.parse_args()
    torch.manual_seed(0)
    base = smollm2(asked.layers)
    deltas = {f"run {seed}": update(base, seed) for seed in range(1, asked.models)}
    rows = torch.randint(3, VOCABULARY, (-(-asked.tokens // (LENGTH - 1)), LENGTH)).tolist()
    texts: list[Text] = [((row[0],), tuple(row[1:])) for row in rows]
    forward_passes(base, [None], texts[:2])  # warm
    before = memory("VmRSS")
    started = time.perf_counter()
    forward_passes(base, [None, *deltas.values()], texts)
    forward = time.perf_counter() - started
    settings = Activations(positions="every token", tokens=asked.tokens)
    started = time.perf_counter()
    found = similarity(base, deltas, texts, settings)
    whole = time.perf_counter() - started
    say = Console(highlight=False).print
    say(
        f"{asked.models} models, {asked.layers} layers and the embedding, "
        f"n = {found.tokens}, d = {found.width}, {found.groups} groups of prompts"
    )
    above = memory("VmHWM") - before
    say(f"forward passes alone {forward:7.1f} s")
    say(f"similarity           {whole:7.1f} s, {whole / forward:.2f} x (bound {TIME})")
    say(f"memory above the model {above:5.0f} MB at most (bound {MEMORY})")
    sys.exit(1 if whole / forward > TIME or above > MEMORY else 0)


if __name__ == "__main__":
    main()
