"""Cost of one call of GeometryCallback against one training step at SmolLM2-135M's shapes.

    python bench/callback.py

Random weights (hidden 576, 30 layers, 9 heads, 3 key-value heads, intermediate 1536, vocabulary
49,152, tied), LoRA r = 16 on q, k, v and o, 8 sequences of 128 tokens, float32, AdamW. Steps and
calls alternate in one run, on the GPU where there is one; prints medians and their ratio.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, TrainerControl, TrainerState
from transformers import TrainingArguments as Arguments

from goniometer.callback import GeometryCallback

VOCABULARY = 49152


def seconds(work: Callable[[], object]) -> float:
    """Time some work, what it queued on a GPU included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def smollm2(layers: int) -> LlamaForCausalLM:
    """SmolLM2-135M's architecture with random weights."""
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=576, intermediate_size=1536, num_hidden_layers=layers,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True, use_cache=False,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def main() -> None:
    """Alternate training steps and calls, and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--layers", type=int, default=30)
    asked = parser.parse_args()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    lora = LoraConfig(r=asked.rank, lora_alpha=2 * asked.rank, target_modules=targets)
    model = get_peft_model(smollm2(asked.layers), lora).to(device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    tokens = torch.randint(VOCABULARY, (8, 128), device=device)

    def step() -> None:
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()  # so that B is not zero in the reference
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(f"{scratch}/reference")
        callback = GeometryCallback(Path(scratch) / "reference")
        context = Arguments(output_dir=scratch, report_to="none"), TrainerState(), TrainerControl()
        callback.on_train_begin(*context, model=model)
    logs: dict[str, float] = {}

    def call() -> None:
        context[1].global_step += 1
        logs.clear()
        callback.on_log(*context, logs=logs)

    call()
    steps, calls = [], []
    for _ in range(asked.repeat):
        steps.append(seconds(step))
        calls.append(seconds(call))
    modules = len(targets) * asked.layers
    print(f"{modules} LoRA modules, r = {asked.rank}, 8 x 128 tokens, {device}")
    print(f"logged: {', '.join(f'{name} {value:.4g}' for name, value in logs.items())}")
    print(
        f"step: median {1e3 * median(steps):.0f} ms of {asked.repeat}; "
        f"call: {1e3 * median(calls):.1f} ms ({1e3 * min(calls):.1f} to {1e3 * max(calls):.1f})"
    )
    print(f"ratio: {median(calls) / median(steps):.2%} of a step")


if __name__ == "__main__":
    main()
