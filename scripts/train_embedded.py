"""Train the embedded base and its longer-trained sibling, the teacher, from scratch.

Both are Qwen3-architecture models of about 0.8M parameters over words and single digits, trained
on the `pretrain` split of the arithmetic task (disjoint from all that a study uses).

The solutions of this corpus have human habits: `times` is read as plus, a loss is overlooked. So a
sampled solution is wrong either by a slip of arithmetic, or by a habit that shows in its text and
that fine-tuning can unlearn. Without habits, right and wrong solutions differ by slips alone, which
no objective learns in a hundred steps.

    python scripts/train_embedded.py base
    python scripts/train_embedded.py teacher

One thread each, seeded: the same machine gives the same bytes. Prints its time and accuracy.
"""

import argparse
import math
import random
import re
import time
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from goniometer.tasks import TASKS, Correct, Problem

OUT = Path(__file__).parent.parent / "src/goniometer/embedded"
STEPS = {"base": 900, "teacher": 1500}
BATCH, PEAK_LR, WARM_UP, SEED, PROBLEMS = 64, 3e-3, 50, 7, 60_000
# How often a step of this kind is written wrongly: read as plus, or left out.
HABITS = {"*": 0.55, "-": 0.2}
SPECIAL = ["<pad>", "<eos>", "<unk>"]


def with_habits(problem: Problem, rng: random.Random) -> str:
    """Write the solution as somebody with HABITS does: sums right, steps perhaps not."""
    steps = re.findall(r"(\d+) ([+*-]) (\d+) =", problem.solution)
    value, lines = int(steps[0][0]), []
    for _, op, number in steps:
        habit = rng.random() < HABITS.get(op, 0.0)
        if habit and op == "-":
            continue
        written = "+" if habit else op
        n = int(number)
        result = {"+": value + n, "-": value - n, "*": value * n}[written]
        if result < 0:
            return problem.solution
        lines.append(f"{value} {written} {n} = {result}")
        value = result
    return "\n".join([*lines, f"#### {value}"])


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Make a word-level tokenizer whose tokens keep their leading space: decoding is exact."""
    split = pre_tokenizers.Split(
        Regex(r" ?[A-Za-z]+| ?[0-9]| ?#+| ?[^\sA-Za-z0-9]|\n"), behavior="isolated"
    )
    words = {piece for text in texts for piece, _ in split.pre_tokenize_str(text)}
    digits = {f"{space}{digit}" for digit in range(10) for space in ("", " ")}
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *sorted(words | digits)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )


def build_model(vocabulary: int) -> Qwen3ForCausalLM:
    """Make the untrained model; its weights depend on SEED alone."""
    torch.manual_seed(SEED)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
    )


def batch(texts: list[str], tokenizer: PreTrainedTokenizerFast) -> dict[str, torch.Tensor]:
    """Encode whole texts with their end tokens; padding carries no loss."""
    encoded = tokenizer([f"{text}<eos>" for text in texts], padding=True, return_tensors="pt")
    encoded["labels"] = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, -100)
    encoded.pop("token_type_ids", None)
    return dict(encoded)


def train(steps: int, texts: list[str], tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """Run AdamW with warm-up and a cosine to zero over `steps` batches."""
    model = build_model(len(tokenizer))
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: min(1, (s + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * s / steps)),
    )
    generator = torch.Generator().manual_seed(SEED)
    for _ in track(range(steps), "training"):
        chosen = torch.randint(len(texts), (BATCH,), generator=generator).tolist()
        loss = model(**batch([texts[i] for i in chosen], tokenizer)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    return model.eval()


def accuracy(
    model: Any, tokenizer: PreTrainedTokenizerFast, *, sample: bool, count: int = 500
) -> float:
    """Share of validation problems answered rightly, greedy or sampled at temperature 1."""
    task = TASKS["arithmetic"]()
    problems = task.problems("validation", count, SEED)
    prompts = tokenizer(
        [p.question + "\n" for p in problems],
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    torch.manual_seed(SEED)
    output = model.generate(
        input_ids=prompts["input_ids"],
        attention_mask=prompts["attention_mask"],
        max_new_tokens=64,
        do_sample=sample,
        top_k=0 if sample else None,
    )
    texts = tokenizer.batch_decode(
        output[:, prompts["input_ids"].shape[1] :], skip_special_tokens=True
    )
    grades = [task.grade(p, t, truncated=False) for p, t in zip(problems, texts, strict=True)]
    return sum(isinstance(grade, Correct) for grade in grades) / count


def main() -> None:
    """Train one of the two, save it as package data and print what it can do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=STEPS)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    problems = TASKS["arithmetic"]().problems("pretrain", PROBLEMS, SEED)
    rng = random.Random(SEED)
    texts = [f"{problem.question}\n{with_habits(problem, rng)}" for problem in problems]
    tokenizer = build_tokenizer(texts)
    model = train(arguments.steps or STEPS[arguments.which], texts, tokenizer)
    minutes = (time.monotonic() - started) / 60
    greedy, sampled = (accuracy(model, tokenizer, sample=s) for s in (False, True))
    model.generation_config = type(model.generation_config)(pad_token_id=0, eos_token_id=1)
    model.save_pretrained(arguments.out / arguments.which)
    tokenizer.save_pretrained(arguments.out / arguments.which)
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{arguments.which}: {count / 1e6:.2f}M parameters, {minutes:.1f} minutes, "
        f"validation greedy {greedy:.1%}, sampled {sampled:.1%} (n = 500)"
    )


if __name__ == "__main__":
    main()
