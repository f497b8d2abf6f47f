"""TRL's trainers on rows of token ids, for bench/train.py."""

import contextlib
import io
import itertools
import tempfile
from collections.abc import Callable
from typing import Any

from datasets import Dataset, disable_progress_bars  # type: ignore[import-untyped]
from peft import LoraConfig
from transformers import TrainerCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from goniometer.rollouts.data import Rollout


class PreparedDPOTrainer(DPOTrainer):
    """Takes rows that are tokenized already, which TRL's own does not."""

    def _prepare_dataset(self, dataset: Dataset, *args: object, **more: object) -> Dataset:
        return dataset


class Clock(TrainerCallback):
    """Notes when each step has ended."""

    def __init__(self, read: Callable[[], float]) -> None:
        self.read = read
        self.ends: list[float] = []

    def on_step_end(self, *args: object, **more: object) -> None:
        """Note the time."""
        self.ends.append(self.read())


def train_trl(
    setting: Any, objective: str, variant: str, tokenizer: Any, clock: Callable[[str], float]
) -> tuple[list[float], float]:
    """Train by TRL on the steps' rows in their order.

    Returns:
        Seconds of each step but the first, and the loss of the first.
    """
    disable_progress_bars()
    preference = objective == "dpo"
    examples = [
        e for rows in setting.by_step for e in (_pairs(rows) if preference else _rows(rows))
    ]
    watch = Clock(lambda: clock(setting.device))
    with tempfile.TemporaryDirectory() as folder:
        common = {
            "output_dir": folder,
            "max_steps": len(setting.by_step),
            "per_device_train_batch_size": len(examples) // len(setting.by_step),
            "train_sampling_strategy": "sequential",
            "gradient_checkpointing": False,
            "learning_rate": setting.training.learning_rate,
            "weight_decay": setting.training.weight_decay,
            "max_grad_norm": setting.training.clip,
            "bf16": setting.precision == "bf16",
            "use_cpu": setting.device == "cpu",
            "report_to": "none",
            "save_strategy": "no",
            "logging_steps": 1,
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            "max_length": 2048,
        }
        given = {
            "model": setting.network(),
            "train_dataset": Dataset.from_list(examples),
            "processing_class": tokenizer,
            "callbacks": [watch],
            "peft_config": LoraConfig(
                r=16,
                lora_alpha=32,
                target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
                task_type="CAUSAL_LM",
            ),
        }
        if preference:
            precomputed = variant == "precomputed"
            trainer: Any = PreparedDPOTrainer(
                args=DPOConfig(**common, precompute_ref_log_probs=precomputed), **given
            )
        else:
            trainer = SFTTrainer(args=SFTConfig(**common, loss_type=variant), **given)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it logs
            trainer.train()
    first = next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
    return [b - a for a, b in itertools.pairwise(watch.ends)], float(first)


def _rows(rows: list[Rollout]) -> list[dict[str, list[int]]]:
    return [
        {
            "input_ids": [*row.prompt_tokens, *row.completion_tokens],
            "labels": [-100] * len(row.prompt_tokens) + list(row.completion_tokens),
        }
        for row in rows
    ]


def _pairs(rows: list[Rollout]) -> list[dict[str, list[int]]]:
    """The pairs that our DPO makes of two right and two wrong rows a prompt."""
    pairs = []
    for start in range(0, len(rows), 4):
        for right, wrong in zip(rows[start : start + 2], rows[start + 2 : start + 4], strict=True):
            pairs.append(
                {
                    "prompt_ids": list(right.prompt_tokens),
                    "chosen_ids": list(right.completion_tokens),
                    "rejected_ids": list(wrong.completion_tokens),
                }
            )
    return pairs
