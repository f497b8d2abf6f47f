"""Sections on how one cell is trained: the adapter and the loop."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from goniometer.config.section import LearningRate, Positive, Section, Share

Regime = Literal["lora", "attention", "full"]


class Adapter(Section):
    """The LoRA adapter, the same in every cell."""

    rank: Positive = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "q_proj", "k_proj", "v_proj", "o_proj",
    )  # fmt: skip


class Training(Section):
    """The one loop's settings, the same in every cell but for what a cell names itself."""

    steps: Positive = Field(default=100, description="steps that the schedule is laid out for")
    stop_after: Positive | None = Field(
        default=None, description="last step made, where training ends before its schedule"
    )
    prompts_per_step: Positive = 8
    micro_batches: Positive = Field(default=1, description="parts a step is accumulated over")
    learning_rate: LearningRate = 3e-4
    warm_up: Share = 0.05
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip: Annotated[float, Field(gt=0)] = 1.0
    precision: Literal["no", "bf16"] = "no"
    threads: Positive = Field(default=1, description="CPU threads: a setting, as sums depend on it")
    workers: Positive = Field(
        default=1,
        description="processes that cells and paths are shared among, of so many threads each",
    )

    @model_validator(mode="after")
    def _whole_micro_batches(self) -> "Training":
        if self.prompts_per_step % self.micro_batches:
            raise ValueError("micro_batches must divide prompts_per_step")
        return self

    @model_validator(mode="after")
    def _stops_within_the_schedule(self) -> "Training":
        if self.stop_after is not None and self.stop_after > self.steps:
            raise ValueError("stop_after must not be above steps")
        return self

    @property
    def updates(self) -> int:
        """Steps that are made."""
        return self.stop_after or self.steps
