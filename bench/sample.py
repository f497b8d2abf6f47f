"""Sampling against plain per-prompt generate of transformers: completions a second, and what came.

    python bench/sample.py                             the embedded teacher, minutes on two cores
    python bench/sample.py --model FOLDER --task gsm8k --prompts 32 --device cuda

Three routes to the same completions, one after another in one process, round by round:

- ours: what a study does, batches of `--batch` rows of similar length;
- by prompt: `model.generate` for one prompt at a time, `num_return_sequences` its samples;
- by completion: `model.generate` for one prompt and one completion at a time, of `--singles`
  prompts only (the time is that of a completion, times all of them).

All sample from the untruncated distribution at the same temperature and stop at the end token.
Seconds are of the calls alone, tokens are those of completions, end token included. The mean
lengths stand beside each other, as a route that wrote less would look faster.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any, final

import torch
from transformers import GenerationConfig

from goniometer import tasks
from goniometer.config import Rollouts
from goniometer.model import LanguageModel, load
from goniometer.tasks import Problem
from goniometer.teachers import TransformersTeacher


@final
@dataclass(frozen=True)
class Timed:
    """Completions of a route, and the seconds that they took."""

    lengths: list[int]
    seconds: float

    @property
    def speed(self) -> float:
        """Completions a second."""
        return len(self.lengths) / self.seconds


def clock(model: LanguageModel) -> float:
    """The time at which the device has done all that it was given."""
    if next(model.network.parameters()).device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def ours(model: LanguageModel, problems: Sequence[Problem], settings: Rollouts, seed: int) -> Timed:
    """Sample as a study does."""
    start = clock(model)
    found = TransformersTeacher(model).complete(
        problems, settings, seed=str(seed), first=0, kept={}, advance=lambda rows: None
    )
    return Timed([len(completion.tokens) for completion in found], clock(model) - start)


def plain(
    model: LanguageModel, problems: Sequence[Problem], settings: Rollouts, at_once: int
) -> Timed:
    """Call transformers' generate for each prompt, for so many of its completions at a time."""
    network: Any = model.network
    wanted = GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        do_sample=True,
        temperature=settings.temperature,
        top_k=0,
        top_p=1.0,
        num_return_sequences=at_once,
        eos_token_id=model.end_token,
        pad_token_id=model.pad_token,
    )
    lengths: list[int] = []
    start = clock(model)
    for problem in problems:
        prompt = torch.tensor([model.encode_prompt(problem.question)], device=network.device)
        for _ in range(settings.samples // at_once):
            output = network.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                generation_config=wanted,
            )
            for row in output[:, prompt.shape[1] :].tolist():
                ended = model.end_token in row
                lengths.append(row.index(model.end_token) + 1 if ended else len(row))
    return Timed(lengths, clock(model) - start)


def main() -> None:
    """Read the options, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="embedded:teacher")
    parser.add_argument("--task", default="arithmetic")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--singles", type=int, default=8, help="prompts of the slowest route")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64, help="longest completion")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load(options.model, device=options.device)
    task = tasks.build(options.task, {}, "bench")
    problems = task.problems("train", options.prompts, 0)
    settings = Rollouts(
        samples=options.samples,
        temperature=options.temperature,
        max_new_tokens=options.tokens,
        batch_size=options.batch,
    )
    print(
        f"{model.name}, {options.device}, {options.threads} threads, {len(problems)} prompts of "
        f"{options.task}, {options.samples} samples each, at most {options.tokens} tokens, "
        f"batches of {options.batch} rows, n = {options.rounds} rounds\n"
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours(model, problems[:1], settings, -1)  # what is slow once
        rounds = [
            {
                "ours": ours(model, problems, settings, number),
                "by prompt": plain(model, problems, settings, options.samples),
                "by completion": plain(model, problems[: options.singles], settings, 1),
            }
            for number in range(options.rounds)
        ]
    print("| route | completions/s | mean tokens | ours is faster (least, most) |")
    print("|---|---|---|---|")
    for route in rounds[0]:
        ratios = [found["ours"].speed / found[route].speed for found in rounds]
        speed = median(found[route].speed for found in rounds)
        length = mean(n for found in rounds for n in found[route].lengths)
        print(
            f"| {route} | {speed:.2f} | {length:.1f} "
            f"| {median(ratios):.1f} ({min(ratios):.1f}, {max(ratios):.1f}) |"
        )


if __name__ == "__main__":
    main()
