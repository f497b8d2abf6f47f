"""Paths between six runs against as many merged evaluations, and the peak memory of both.

    python bench/connectivity.py                    some minutes on two CPU cores
    python bench/connectivity.py --pairs 3          a part of it, for the whole

A model of SmolLM2-135M's widths with random weights and LoRA runs of rank 16 on q, k, v, o. Texts
have lengths as those of GSM8K, begin with 24 tokens as SmolLM2's chat template does, and are
neighbours in length among 32 times as many, so that plain batches are padded as those of a whole
evaluation are. All pairs at 11 points: the mixtures through `losses_at`, base and ends once and
what all texts begin with once a point, against a plain evaluation of each point of each pair with
merged weights, in the same batches of tokens. The merge is the cheapest there is: the adapted
weights are set in place, nothing is copied or loaded. The two alternate pair by pair in one
process. Memory is VmHWM, each in a process of its own. Exits with 1 where a bound is missed.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import torch
from torch import nn
from train import tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from goniometer.behaviour.losses import losses_at
from goniometer.behaviour.points import Point, along
from goniometer.behaviour.texts import Texts
from goniometer.deltas import Delta, LowRank, Provenance
from goniometer.model import LanguageModel, token_logprobs
from goniometer.model.generate import by_length

RANK = 16
TIME, MEMORY = 0.85, 1.3  # bounds
TARGETS = [f"self_attn.{name}_proj" for name in "qkvo"]


def model_of(layers: int, vocabulary: int) -> LanguageModel:
    """A model of SmolLM2-135M's widths with random weights."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    torch.manual_seed(0)
    network: nn.Module = LlamaForCausalLM(config).eval()  # type: ignore[no-untyped-call]
    return LanguageModel(network, tokenizer(), "bench")


def run_of(model: LanguageModel, seed: int) -> Delta:
    """A LoRA run of small random updates."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, module in model.network.named_modules():
        if isinstance(module, nn.Linear) and name.endswith(tuple(TARGETS)):
            m, n = module.weight.shape
            B = torch.randn(m, RANK, generator=generator) / 100
            found[name] = LowRank(B, torch.randn(RANK, n, generator=generator) / n**0.5, 2.0)
    return Delta(found, Provenance("bench", "bench"))


def texts_of(items: int, shared: int) -> Texts:
    """Random texts, neighbours in length among many as long as GSM8K's, that begin alike."""
    rng = random.Random(0)
    lengths = [
        (rng.randint(60, 140), min(300, max(30, round(rng.lognormvariate(4.7, 0.4)))))
        for _ in range(32 * items)
    ]
    middle = sorted(lengths, key=sum)[16 * items - items // 2 :][:items]
    prompts, completions = (
        tuple(tuple(rng.randrange(2, 1000) for _ in range(length)) for length in side)
        for side in zip(*middle, strict=True)
    )
    alike = tuple(range(2, 2 + shared))
    begun = tuple((*alike, *prompt[shared:]) for prompt in prompts)
    return Texts(tuple(map(str, range(items))), begun, completions)


def evaluated(model: LanguageModel, texts: Texts, batch_tokens: int) -> None:
    """A plain evaluation: whole texts of similar length in padded batches."""
    whole = [(*p, *c) for p, c in zip(texts.prompts, texts.completions, strict=True)]
    with torch.no_grad():
        for rows in by_length(whole, max(1, batch_tokens // max(texts.lengths))):
            prompts, completions = (
                [side[row] for row in rows] for side in (texts.prompts, texts.completions)
            )
            token_logprobs(model.network, prompts, completions, model.pad_token)


def merged(model: LanguageModel, deltas: dict[str, Delta], where: Point) -> Callable[[], None]:
    """Put a mixture into the weights; what is returned takes it off again."""
    own: dict[nn.Parameter, torch.Tensor] = {}
    for run, coefficient in where:
        for name, matrix in deltas[run].items():
            assert isinstance(matrix, LowRank)
            weight = model.network.get_submodule(name).get_parameter("weight")
            own.setdefault(weight, weight.data)
            weight.data = torch.addmm(
                weight.data, matrix.B, matrix.A, alpha=coefficient * matrix.scale
            )

    def off() -> None:
        for weight, data in own.items():
            weight.data = data

    return off


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_of(which: str, options: argparse.Namespace) -> None:
    """Print this process' peak after some batches of a plain evaluation, or of a pair's path."""
    model, texts = (
        model_of(options.layers, options.vocabulary),
        texts_of(options.items, options.shared),
    )
    deltas = {run: run_of(model, seed) for seed, run in enumerate("abcdef"[: options.runs])}
    if which == "plain":
        evaluated(model, texts, options.batch_tokens)
    else:
        losses_at(model, deltas, along("a", "b", 11), texts, batch_tokens=options.batch_tokens)
    lines = Path("/proc/self/status").read_text().splitlines()
    print(json.dumps(int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))))


def memory() -> float:
    """Print the peaks of paths and of a plain evaluation; return their ratio."""
    peaks = []
    for which in ("paths", "plain"):
        command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", which]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks.append(int(output.splitlines()[-1]) * 1024)
    paths, plain = peaks
    print(
        f"peak: {paths / 1e6:.0f} MB, plain evaluation {plain / 1e6:.0f} MB: "
        f"{paths / plain:.2f} (bound {MEMORY})\n",
        flush=True,
    )
    return paths / plain


def times(options: argparse.Namespace) -> float:
    """Print seconds of paths and of merged evaluations; return their ratio."""
    model, texts = (
        model_of(options.layers, options.vocabulary),
        texts_of(options.items, options.shared),
    )
    deltas = {run: run_of(model, seed) for seed, run in enumerate("abcdef"[: options.runs])}

    def ours(points: list[Point]) -> float:
        return timed(
            lambda: losses_at(model, deltas, points, texts, batch_tokens=options.batch_tokens)
        )

    def theirs(where: Point) -> float:
        def work() -> None:
            off = merged(model, deltas, where)
            evaluated(model, texts, options.batch_tokens)
            off()

        return timed(work)

    evaluated(model, texts, options.batch_tokens)
    ends: list[Point] = [(), *(((run, 1.0),) for run in deltas)]
    once, between, separate, plain = ours(ends), 0.0, 0.0, 0.0
    pairs = list(combinations(deltas, 2))
    timed_pairs = random.Random(0).sample(pairs, min(options.pairs, len(pairs)))
    for a, b in timed_pairs:
        path = along(a, b, 11)
        between += ours(path[1:-1])
        separate += sum(map(theirs, path))
        plain += timed(lambda: evaluated(model, texts, options.batch_tokens))
    print("| | evaluations | seconds | seconds each |\n|---|---|---|---|")
    for title, number, seconds in (
        ("base and ends", len(ends), once), ("between", 9 * len(timed_pairs), between),
        ("merged", 11 * len(timed_pairs), separate), ("plain, base", len(timed_pairs), plain),
    ):  # fmt: skip
        print(f"| {title} | {number} | {seconds:.1f} | {seconds / number:.3f} |")
    scale = len(pairs) / len(timed_pairs)
    paths, separate = once + scale * between, scale * separate
    print(f"{len(timed_pairs)} of {len(pairs)} pairs were timed; all are counted")
    print(f"\ntime: {paths / separate:.3f} of the merged evaluations (bound {TIME})")
    return paths / separate


def main() -> None:
    """Read the options, print times and peaks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--items", type=int, default=8)
    parser.add_argument("--shared", type=int, default=24, help="tokens that all texts begin with")
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--only", choices=["time", "memory"])
    parser.add_argument("--runs", type=int, default=6, choices=range(2, 7))
    parser.add_argument("--pairs", type=int, default=15, help="so many are timed, for all")
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peak-of", choices=["plain", "paths"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak_of:
        peak_of(options.peak_of, options)
        return
    print(
        f"{options.threads} threads, {options.layers} layers, vocabulary {options.vocabulary}, "
        f"{options.items} texts that share {options.shared} tokens, "
        f"batches of {options.batch_tokens} tokens",
        flush=True,
    )
    over = options.only != "time" and memory() > MEMORY
    over |= options.only != "memory" and times(options) > TIME
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
