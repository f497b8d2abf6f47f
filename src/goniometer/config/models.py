"""Sections on the models: the base, warmed up or not, and the teacher, by name or by server."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from goniometer.config.section import LearningRate, Positive, Section


class WarmUp(Section):
    """A stage before all others that makes the study's base.

    SFT of an attention-only LoRA on solutions written out by the task (its `pretrain` split, which
    nothing else uses), merged into the weights.
    """

    steps: Positive = 40
    prompts: Positive = Field(default=320, description="problems, with one solution each")
    prompts_per_step: Positive = 8
    learning_rate: LearningRate = 1e-3
    rank: Positive = 16

    @model_validator(mode="after")
    def _whole_step(self) -> "WarmUp":
        if self.prompts < self.prompts_per_step:
            raise ValueError("prompts must be at least prompts_per_step")
        return self


class Server(Section):
    """A teacher behind a URL: a server with OpenAI's chat completions.

    The network is used for this and because it is named. Requests have `top_p: 1`; keys of
    `extra_body` are put over them (`top_k: -1` where a server would cut its draws), null drops one.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^@\s/]+[^@\s]*$")] = Field(
        description="up to what comes before /chat/completions, such as http://localhost:8000/v1"
    )
    model: Annotated[str, Field(min_length=1)]
    key_env: str | None = Field(
        default=None, description="environment variable with the key; it is written nowhere"
    )
    concurrency: Annotated[int, Field(gt=0, le=256)] = Field(
        default=8, description="requests at a time"
    )
    attempts: Positive = Field(default=6, description="of a request, before the study ends")
    timeout: Annotated[float, Field(gt=0)] = Field(default=300, description="seconds an attempt")
    extra_body: dict[str, Any] = Field(default={})


def _named_or_served(teacher: object) -> str:
    return "<server>" if isinstance(teacher, dict | Server) else "<name>"


class Models(Section):
    """The model that is fine-tuned and the one that writes the rollouts.

    `embedded:base` and `embedded:teacher` ship with goniometer; `package:NAME` is the GGUF file in
    an installed package; OWNER/NAME@REVISION is a repository of the Hub; anything else is a local
    folder. The teacher `base` is the base itself, warmed up where the study says so; `vllm:` before
    a model's name lets vLLM run it; a mapping is a server.
    """

    base: str = "embedded:base"
    teacher: Annotated[
        Annotated[str, Tag("<name>")] | Annotated[Server, Tag("<server>")],
        Discriminator(_named_or_served),
    ] = "embedded:teacher"
    warm_up: WarmUp | None = None
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto is cuda where there is one"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the weights that stand still"
    )
    base_config: dict[str, Any] | None = Field(
        default=None, description="the base's config.json, for a plan where the base is not here"
    )
