"""Training throughput beside TRL's trainers, and the peak memory of a DPO step over an SFT step.

    python bench/train.py                      a few minutes on two CPU cores
    python bench/train.py --device cuda --prompts 16 --steps 10 --precision bf16

One model of SmolLM2-135M's shape with random weights, the same rows in the same steps, precision,
adapter (rank 16 on q, k, v, o), optimiser and hardware; ours and TRL's alternate in one process,
round by round. Rows are four completions a prompt, two right and two wrong, of lengths as
those of GSM8K; DPO pairs the same rows. Tokens are those of prompts and completions, no padding;
a step is timed from the end of the one before, the first of each run is left out. TRL runs without
gradient checkpointing, else at its defaults; DPOTrainer also with its reference precomputed, which
is not timed, nor is ours. Memory is that of one step, each in a process of its own.
"""

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, final

import torch
from train_trl import train_trl
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from goniometer.config import Adapter, Training
from goniometer.model import LanguageModel
from goniometer.objectives import build
from goniometer.rollouts.data import Rollout, RolloutSet
from goniometer.tasks import Correct, Wrong
from goniometer.training import attach, precompute, train
from goniometer.training.loop import data_order

ORDER_SEED = 0
VOCABULARY = 49152
ADAPTER = Adapter(rank=16, alpha=32)
# Objective, TRL's variant of it, and what the row is called.
CASES = (
    ("sft", "nll", "SFT, SFTTrainer"),
    ("dft", "dft", "DFT, SFTTrainer dft"),
    ("dpo", "precomputed", "DPO, DPOTrainer, reference precomputed"),
    ("dpo", "", "DPO, DPOTrainer"),
)


@final
@dataclass(frozen=True)
class Setting:
    """What is the same for ours and for TRL's."""

    layers: int
    prompts: int
    steps: int
    precision: str
    device: str

    @cached_property
    def rollouts(self) -> RolloutSet:
        """As many prompts as the steps take, each once."""
        rng = random.Random(0)
        rows = []
        for number in range(self.prompts * (self.steps + 1)):
            prompt = tuple(rng.randrange(2, VOCABULARY) for _ in range(rng.randint(60, 140)))
            for grade in (Correct(), Correct(), Wrong("answer"), Wrong("answer")):
                length = min(300, max(30, round(rng.lognormvariate(4.7, 0.4))))
                text = (*(rng.randrange(2, VOCABULARY) for _ in range(length)), 1)
                rows.append(Rollout(f"p{number}", prompt, text, "", (), grade, False))
        return RolloutSet(tuple(rows))

    @property
    def training(self) -> Training:
        """One step more than is timed."""
        return Training(
            steps=self.steps + 1,
            prompts_per_step=self.prompts,
            learning_rate=1e-4,
            precision="bf16" if self.precision == "bf16" else "no",
            threads=torch.get_num_threads(),
        )

    @cached_property
    def by_step(self) -> list[list[Rollout]]:
        """The rows of each step, in our loop's order."""
        groups = [[self.rollouts.rows[i] for i in rows] for _, rows in self.rollouts.groups()]
        order = data_order(len(groups), self.training, ORDER_SEED)
        return [[row for prompt in prompts for row in groups[prompt]] for prompts in order]

    @property
    def tokens(self) -> list[int]:
        """Tokens of each timed step, padding not counted."""
        return [
            sum(len(row.prompt_tokens) + len(row.completion_tokens) for row in rows)
            for rows in self.by_step[1:]
        ]

    def network(self) -> Any:
        """A new network, the same at each call."""
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=self.layers,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=1,
        )
        torch.manual_seed(0)
        network: Any = LlamaForCausalLM(config)
        return network.to(self.device).eval()


@final
@dataclass(frozen=True)
class Timed:
    """Seconds of each timed step, and the loss of the first step by unit."""

    seconds: list[float]
    loss: float


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that only names the special tokens: rows are token ids from the start."""
    from tokenizers import Tokenizer, models

    words = {"<pad>": 0, "<eos>": 1, "<unk>": 2}
    named = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    inner = Tokenizer(models.WordLevel(words, "<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, **named)


def clock(device: str) -> float:
    """The time at which the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def train_ours(
    setting: Setting, objective: str, before: Callable[[], None] = lambda: None
) -> Timed:
    """Train by our loop; `before` is called once all is ready."""
    wanted = build(objective, {}, "bench")
    model = LanguageModel(setting.network(), tokenizer(), "bench")
    columns = precompute(
        model, setting.rollouts, wanted.needs, precision=setting.training.precision
    )
    adapted = attach(model.network, ADAPTER, seed=1)
    ends: list[float] = []
    before()
    record = train(
        adapted,
        wanted,
        setting.rollouts,
        setting.training,
        learning_rate=setting.training.learning_rate,
        order_seed=ORDER_SEED,
        columns=columns,
        pad_token=0,
        on_step=lambda step, loss: ends.append(clock(setting.device)),
    )
    return Timed([b - a for a, b in itertools.pairwise(ends)], record.losses[0])


def throughput(setting: Setting, rounds: int) -> None:
    """Print tokens a second of ours and of TRL's, alternating, and the ratio by round."""
    print("| objective | ours, tokens/s | TRL, tokens/s | ratio (least, most) | first losses |")
    print("|---|---|---|---|---|")
    for objective, variant, title in CASES:
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(train_ours(setting, objective))
            theirs.append(Timed(*train_trl(setting, objective, variant, tokenizer(), clock)))
        speeds = [[sum(setting.tokens) / sum(t.seconds) for t in side] for side in (ours, theirs)]
        ratios = [a / b for a, b in zip(*speeds, strict=True)]
        print(
            f"| {title} | {median(speeds[0]):.0f} | {median(speeds[1]):.0f} "
            f"| {median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f}) "
            f"| {ours[0].loss:.5g}, {theirs[0].loss:.5g} |",
            flush=True,
        )


def memory_of(setting: Setting, objective: str) -> None:
    """Print as JSON the peak of one training step in bytes, and what was held before it."""
    held: list[int] = []

    def before() -> None:
        if setting.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            held.append(torch.cuda.memory_allocated())
        else:
            held.append(_status("VmRSS"))
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here

    train_ours(setting, objective, before)
    cuda = setting.device == "cuda"
    peak = torch.cuda.max_memory_allocated() if cuda else _status("VmHWM")
    print(json.dumps({"peak": peak, "held": held[0]}))


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))


def memory(arguments: list[str]) -> None:
    """Print the peak of a DPO step over that of an SFT step of the same rows."""
    peaks = {}
    for objective in ("sft", "dpo"):
        command = [sys.executable, __file__, *arguments, "--memory-of", objective, "--steps", "0"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks[objective] = json.loads(output.splitlines()[-1])
    print("\n| step | peak, MB | held before, MB |\n|---|---|---|")
    for objective, found in peaks.items():
        print(f"| {objective.upper()} | {found['peak'] / 1e6:.0f} | {found['held'] / 1e6:.0f} |")
    whole = peaks["dpo"]["peak"] / peaks["sft"]["peak"]
    net = [found["peak"] - found["held"] for found in peaks.values()]
    print(f"DPO over SFT: {whole:.2f} of the peak, {net[1] / net[0]:.2f} of what the step adds")


def main() -> None:
    """Read the options, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--prompts", type=int, default=1, help="a step, four rows each")
    parser.add_argument("--steps", type=int, default=2, help="timed, of each run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", choices=["no", "bf16"], default="no")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-of", choices=["sft", "dpo"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ["TQDM_DISABLE"] = "1"
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    setting = Setting(
        options.layers, options.prompts, options.steps, options.precision, options.device
    )
    if options.memory_of:
        memory_of(setting, options.memory_of)
        return
    rows, tokens = 4 * options.prompts, setting.tokens
    print(
        f"{options.device}, {options.threads} threads, precision {options.precision}, "
        f"{options.layers} layers, {rows} rows a step ({min(tokens)} to {max(tokens)} tokens), "
        f"n = {options.rounds} rounds of {options.steps} timed steps\n"
    )
    throughput(setting, options.rounds)
    memory(sys.argv[1:])


if __name__ == "__main__":
    main()
