"""Online GRPO: group advantages on completions that the network itself has just sampled.

    L = - sum_it min(rho A_i, clamp(rho, 1 - clip, 1 + clip) A_i) + kl sum_it k3_it,
    rho = p_it / p_it at sampling,   A_i = (r_i - mean_group(r)) / std_group(r)

Source: arXiv 2402.03300, eq. 3, with the KL penalty off by default, as in TRL. It is the on-policy
contrast of arXiv 2606.23740, which does not print its settings. With one step a sampling, and
sampling at temperature 1, rho is 1 but for rounding, the clip is idle and the gradient is that of
advantage-weighted log-likelihood; at another temperature rho corrects for it. A group of equal
rewards has A = 0: its tokens count as units and carry no gradient. `clipped_policy_loss` states the
rest, and where we leave the source.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from pydantic import Field

from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Need, Unit
from goniometer.objectives.policy_gradient import (
    CLIP,
    advantage_rows,
    centred,
    clipped_policy_loss,
    standardised,
)
from goniometer.rollouts.data import RolloutSet


@final
@dataclass(frozen=True)
class OnlineGRPO(AbstractObjective):
    """Clipped policy gradient on fresh completions; the unit is a token.

    Attributes:
        group_size: completions that the loop samples of each prompt of a step. At least 2. Default
            4, ours: as many as the offline arms have rows of a prompt.
        standardise: divide advantages by the group's standard deviation. Default true, as in the
            source; without it they are r - mean (Dr. GRPO, arXiv 2503.20783, which finds the
            division biased).
        clip: how far the ratio to the sampling policy may move from 1, each way. Above 0, below 1.
            Default 0.2, as in PPO and TRL.
        kl: weight of the KL penalty to the reference, per nat; above 0 the reference must be scored
            for each completion. At least 0. Default 0.0, as in TRL.
    """

    name: ClassVar[str] = "online_grpo"
    unit: ClassVar[Unit] = "tokens"
    on_policy: ClassVar[bool] = True
    group_size: Annotated[int, Field(ge=2)] = 4
    standardise: bool = True
    clip: Annotated[float, Field(gt=0, lt=1)] = CLIP
    kl: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @property
    def needs(self) -> frozenset[Need]:
        """The log-probs at sampling, and the reference's for a KL penalty."""
        return frozenset({"behaviour", "reference"} if self.kl else {"behaviour"})

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every graded row with its advantage within the prompt's graded rows."""
        return advantage_rows(rollouts, standardised if self.standardise else centred)

    def loss(self, batch: Batch) -> LossSum:
        """Sum the loss; logs how many tokens the clip lets go, and the KL penalty.

        Raises:
            ValueError: the batch lacks the log-probs at sampling, or those of the reference.
        """
        if batch.behaviour is None:
            raise ValueError("online GRPO needs the log-probs at sampling of its batch")
        return clipped_policy_loss(batch, batch.behaviour, self.clip, self.kl)
