"""What an objective is: two pure functions with its hyperparameters as fields.

`select` says which rollouts carry loss and with which coefficient; `loss` turns token log-probs
into a sum. Neither knows a model, a file or the loop. The loop divides once, by the declared unit.
"""

import abc
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from jaxtyping import Bool, Float, Int
from torch import Tensor

from goniometer.rollouts.data import RolloutSet

Unit = Literal["tokens", "sequences", "pairs"]
Need = Literal["behaviour", "reference", "mismatched"]


@final
@dataclass(frozen=True)
class Examples:
    """The rows that one objective trains on, as columns.

    `row` indexes the rollout set (a row may stand in several pairs); `coefficient` is what the
    objective says it is (weight, reward, advantage, +1 chosen and -1 rejected); `pair` numbers
    preference pairs, -1 where there are none. Both members of a pair belong to one prompt.
    """

    row: Int[Tensor, " example"]
    coefficient: Float[Tensor, " example"]
    pair: Int[Tensor, " example"]


@final
@dataclass(frozen=True)
class Batch:
    """Token log-probs of some examples, with what the objective asked to have beside them.

    `logprobs` are log pi_theta of the realised completion tokens, in nats, with gradient; where
    `mask` is False (padding) they hold 0. The others are constants: `behaviour` and `reference` as
    `logprobs`; `mismatched`, one value a prompt of the step that the batch is a part of, is
    log pi_theta - log pi_ref of a completion of another prompt, summed over its tokens.
    """

    logprobs: Float[Tensor, "example token"]
    mask: Bool[Tensor, "example token"]
    coefficient: Float[Tensor, " example"]
    pair: Int[Tensor, " example"]
    behaviour: Float[Tensor, "example token"] | None = None
    reference: Float[Tensor, "example token"] | None = None
    mismatched: Float[Tensor, " prompt"] | None = None


@final
@dataclass(frozen=True)
class LossSum:
    """A loss summed over the batch, the number of units in it, and sums to be logged."""

    total: Float[Tensor, ""]
    units: int
    metrics: dict[str, float]


class AbstractObjective(abc.ABC):
    """What is wanted. Subclasses are final frozen dataclasses, their fields hyperparameters.

    An objective that is `on_policy` sees, at each step, completions that the network has just
    sampled for the step's prompts, in place of the study's rollouts, `group_size` of each where it
    has a field of that name; its `behaviour` log-probs are those of the sampling.

    `unit` and `needs` are read off an instance, as they may depend on its options; where they do
    not, the subclass writes them as a ClassVar.
    """

    name: ClassVar[str]
    on_policy: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def unit(self) -> Unit:
        """What the loop divides the summed loss by the number of."""

    @property
    def needs(self) -> frozenset[Need]:
        """What must stand beside the log-probs in a batch."""
        return frozenset()

    @abc.abstractmethod
    def select(self, rollouts: RolloutSet) -> Examples:
        """Choose the rows that carry loss, in the order of the rollout set."""

    @abc.abstractmethod
    def loss(self, batch: Batch) -> LossSum:
        """Sum the loss over the batch; differentiable in `batch.logprobs`."""
