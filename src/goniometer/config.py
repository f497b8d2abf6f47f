"""A study as one frozen tree, and its fingerprint. No torch."""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@final
@dataclass(frozen=True)
class Usual:
    """Metadata of a field: the range in which recipes lie; what lies outside is warned of."""

    low: float
    high: float


LearningRate = Annotated[float, Field(gt=0, le=1), Usual(1e-7, 1e-2)]


class Section(BaseModel):
    """A part of a study: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Task(Section):
    """What is asked: a name in the TASKS table; further keys are options of that task."""

    model_config = ConfigDict(extra="allow")

    name: str = "arithmetic"

    @property
    def options(self) -> dict[str, Any]:
        """What the task itself is to check: its own fields."""
        return dict(self.model_extra or {})


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
    extra_body: dict[str, Any] = {}


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
    temperature: Annotated[float, Field(gt=0)] = 1.0
    max_new_tokens: Positive = 64
    batch_size: Positive = Field(default=128, description="rows generated at once")

    @property
    def sampling(self) -> dict[str, Any]:
        """What sampled completions depend on, for the keys of stages."""
        return self.model_dump(mode="json", exclude={"format", "fields", "behaviour"})


class Adapter(Section):
    """The LoRA adapter, the same in every cell."""

    rank: Positive = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


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
        default=1, description="processes that train cells, of so many threads each: same numbers"
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


Regime = Literal["lora", "attention", "full"]


class Arm(Section):
    """One objective as a cell; `options` are checked against the objective's own fields.

    The regime says which weights move: a LoRA on the adapter's target modules, all attention
    weights, or all weights.
    """

    name: str
    objective: str
    options: dict[str, Any] = {}
    learning_rate: LearningRate | None = None
    regime: Regime = "lora"


class Grid(Section):
    """Every arm again, one factor moved at a time, so that what it does can be told apart.

    A seed is another adapter init and another data order at once, the same for all arms.
    """

    seeds: Positive = Field(default=1, description="runs of each arm, the arm itself among them")
    learning_rates: tuple[LearningRate, ...] = Field(
        default=(), description="peaks that arms are trained at besides their own"
    )
    learning_rate_arms: tuple[str, ...] = Field(default=(), description="all arms where empty")
    wrong_shares: tuple[Share, ...] = Field(
        default=(), description="shares of wrong rows besides the one sampled"
    )
    wrong_share_arms: tuple[str, ...] = Field(default=(), description="all arms where empty")


class Match(Section):
    """Arms whose updates are rescaled, without training, until they match another's size.

    `norm` matches the Frobenius norm of the whole update, `kl` the forward KL from the base.
    """

    to: str
    arms: Annotated[tuple[str, ...], Field(min_length=1)]
    by: Annotated[tuple[Literal["norm", "kl"], ...], Field(min_length=1)] = ("norm", "kl")


class Divergence(Section):
    """Forward KL from the base: how many prompts and how long the base's completions are."""

    prompts: Positive = 100
    max_new_tokens: Positive = 64


class Floors(Section):
    """Repeats of arms that differ in one seed: what 'the same update' looks like here.

    The first arm is repeated with other inits too. A pair is judged by the strictest floor.
    """

    arms: Annotated[tuple[str, ...], Field(min_length=1)] = ("SFT", "RFT")
    orders: Positive = Field(
        default=3, description="runs with each arm's init, the arm itself among them"
    )
    inits: Positive = Field(
        default=2, description="runs with the first arm's order, itself among them"
    )


class Evaluation(Section):
    """Greedy accuracy on the test split, and the margin within which runs count as equivalent."""

    problems: Positive = 2000
    max_new_tokens: Positive = 64
    batch_size: Positive = 256
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("an odd number, so that the midpoint is one of them")
    return value


class Paths(Section):
    """Losses along straight lines: from the base to each arm, between arms, and to their sums.

    Runs are the arms and one repeat of the first. Texts are solutions of validation problems, or
    held-out right rollouts where the task has none.
    """

    problems: Annotated[int, Field(ge=2)] = 64
    positions: Annotated[int, Field(ge=3), AfterValidator(_odd)] = Field(
        default=11, description="points of a path, both ends among them"
    )
    draws: Annotated[int, Field(ge=100)] = Field(
        default=2000, description="of the bootstrap over problems"
    )
    accuracy: Positive | None = Field(
        default=None, description="validation problems answered greedily at every point: slow"
    )
    bare_answer: bool = Field(
        default=False, description="also the loss of the gold answer right after the prompt"
    )


class Similarity(Section):
    """Similarity of activations (CKA) by layer between the runs of `paths`, and to the base.

    With `inputs`, also what a module's inputs alone give two strangers' updates to share.
    """

    prompts: Annotated[int, Field(ge=2)] = 128
    tokens: Annotated[int, Field(ge=4)] = Field(default=4096, description="at most, of all texts")
    inputs: bool = True


class Geometry(Section):
    """Size of the top-k subspaces (default by the smallest rank) and draws for the nulls."""

    k: Positive | None = None
    draws: Annotated[int, Field(ge=100)] = 200


class Study(Section):
    """A whole study. Its fingerprint is a hash of the resolved tree."""

    name: str
    seed: int = 0
    task: Task = Task()
    models: Models = Models()
    rollouts: Rollouts = Rollouts()
    adapter: Adapter = Adapter()
    training: Training = Training()
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]
    floors: Floors | None = Floors()
    grid: Grid = Grid()
    match: Match | None = None
    evaluation: Evaluation = Evaluation()
    divergence: Divergence = Divergence()
    paths: Paths | None = Paths()
    similarity: Similarity | None = Similarity()
    geometry: Geometry = Geometry()

    @model_validator(mode="after")
    def _names_agree(self) -> "Study":
        names = [arm.name for arm in self.arms]
        repeated = sorted({name for name in names if names.count(name) > 1})
        faults = [f"arms: the name {name!r} stands twice" for name in repeated]
        if "base" in names:
            faults.append("arms: 'base' is what the base is called; call the arm otherwise")
        named = {
            "floors.arms": self.floors.arms if self.floors else (),
            "grid.learning_rate_arms": self.grid.learning_rate_arms,
            "grid.wrong_share_arms": self.grid.wrong_share_arms,
            "match.arms": self.match.arms if self.match else (),
            "match.to": (self.match.to,) if self.match else (),
        }
        faults += [
            f"{key}: no arm is called {arm!r}; there are {names}"
            for key, arms in named.items()
            for arm in arms
            if arm not in names
        ]
        if faults:
            raise ValueError(*faults)  # one argument a fault: `_explain` takes them apart
        return self

    @property
    def fingerprint(self) -> str:
        """Hash of every setting, defaults included."""
        return hashlib.sha256(canonical(self.model_dump(mode="json")).encode()).hexdigest()


def canonical(value: object) -> str:
    """Serialise to JSON that is the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
