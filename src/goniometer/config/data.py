"""Sections on what is asked and what is trained on: the task, the rollouts."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from goniometer.config.section import Positive, Section


class Task(Section):
    """What is asked: a name in the TASKS table; further keys are options of that task."""

    model_config = ConfigDict(extra="allow")

    name: str = "arithmetic"

    @property
    def options(self) -> dict[str, Any]:
        """What the task itself is to check: its own fields."""
        return dict(self.model_extra or {})


class Rollouts(Section):
    """How completions are sampled from the teacher (no top-k, no top-p) and how many are kept.

    With `file`, rollouts are read instead (Parquet or JSON lines), and nothing is sampled: token
    ids as `goniometer rollouts` writes them, or texts, which the base's tokenizer encodes.
    """

    file: str | None = None
    format: str = Field(default="auto", description="of the file, as `goniometer rollouts` has it")
    fields: dict[str, str] = Field(
        default={}, description="keys of the file by what they hold, such as label: is_right"
    )
    behaviour: Literal["given", "base"] = Field(
        default="given",
        description="whose log-probs pass for the sampling policy's: the rows' own, or the base's",
    )
    prompts: Positive = Field(
        default=800, description="training prompts, right and wrong rows each"
    )
    held_out_prompts: Positive = Field(
        default=200, description="mixed validation prompts, for NLL and pairs"
    )
    samples: Annotated[int, Field(ge=2)] = 8
    rows_per_prompt: Annotated[int, Field(ge=2)] = 4
    temperature: Annotated[float, Field(ge=0.01, allow_inf_nan=False)] = 1.0
    max_new_tokens: Positive = 64
    batch_size: Positive = Field(default=128, description="rows generated at once")

    @property
    def sampling(self) -> dict[str, Any]:
        """What sampled completions depend on, for the keys of stages."""
        return self.model_dump(mode="json", exclude={"format", "fields", "behaviour"})
