"""Sections on which cells there are: arms, their repeats, a grid, and what is matched in size."""

from typing import Annotated, Any, Literal

from pydantic import Field

from goniometer.config.section import LearningRate, Positive, Section, Share
from goniometer.config.training import Regime


class Arm(Section):
    """One objective as a cell; `options` are checked against the objective's own fields.

    The regime says which weights move: a LoRA on the adapter's target modules, all attention
    weights, or all weights.
    """

    name: str
    objective: str
    options: dict[str, Any] = Field(default={})
    learning_rate: LearningRate | None = None
    regime: Regime = "lora"


# Repeated where a study names none; where it has not both, its first two arms are.
FLOOR_ARMS = ("SFT", "RFT")


class Floors(Section):
    """Repeats of arms that differ in one seed: what 'the same update' looks like here.

    The first arm is repeated with other inits too. A pair is judged by the strictest floor.
    """

    arms: Annotated[tuple[str, ...], Field(min_length=1)] = FLOOR_ARMS
    orders: Positive = Field(
        default=3, description="runs with each arm's init, the arm itself among them"
    )
    inits: Positive = Field(
        default=2, description="runs with the first arm's order, itself among them"
    )


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
