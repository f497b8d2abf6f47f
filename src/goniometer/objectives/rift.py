"""Reward-informed fine-tuning: raise the rows with a positive reward, lower the others.

`original` (arXiv 2601.09253), at token level:

    L = - sum_{r_i > 0} r_i sum_t log p_it - sum_{r_i < 0} r_i sum_t p_it

Negative rows carry a linear-probability surrogate, which is bounded where |r| log p is not: the
gradient of a token vanishes with its probability. We leave the source in one point: it writes
pi(y|x) of the whole sequence, which underflows for long texts and then has gradient 0; here each
token's own probability is summed.

`paper_weighted` is what arXiv 2606.23740 prints, with the binary reward r in {0, 1}:

    L = sum_i (1 - r_i lambda) l_i,   l_i = - sum_t log p_it

It gives no lambda, so `lam` has no default. Correct rows weigh 1 - lambda and wrong ones 1.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field

from goniometer.errors import GoniometerError
from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Unit
from goniometer.objectives.sft import weighted_nll, weighted_rows
from goniometer.rollouts.data import RolloutSet

_REWARDS = (1.0, -0.2)  # arXiv 2601.09253


@final
@dataclass(frozen=True)
class RIFT(AbstractObjective):
    """Reward-weighted likelihood of all graded rows; the unit is a token.

    Attributes:
        variant: `original` or `paper_weighted`, see above.
        correct_reward: reward of a correct row, for `original`.
        wrong_reward: reward of a wrong row, for `original`.
        lam: lambda of `paper_weighted`, at most 1, as a weight below 0 would make the loss
            unbounded; mandatory there, refused for `original`.

    Raises:
        GoniometerError: an option that the variant lacks or does not have.
    """

    name: ClassVar[str] = "rift"
    unit: ClassVar[Unit] = "tokens"
    variant: Literal["original", "paper_weighted"] = "original"
    correct_reward: Annotated[float, Field(gt=0, allow_inf_nan=False)] = _REWARDS[0]
    wrong_reward: Annotated[float, Field(lt=0, allow_inf_nan=False)] = _REWARDS[1]
    lam: Annotated[float, Field(le=1, allow_inf_nan=False)] | None = None

    def __post_init__(self) -> None:
        """Refuse options that the variant does not read: they would be silently without effect."""
        if self.variant == "original" and self.lam is not None:
            raise GoniometerError(
                "the original variant has no lambda",
                key="lam",
                found=self.lam,
                fix="drop it, or set variant to paper_weighted",
            )
        if self.variant == "paper_weighted" and self.lam is None:
            raise GoniometerError(
                "paper_weighted needs lambda, for which the paper gives no value",
                key="lam",
                expected="a number of at most 1",
            )
        rewards = (self.correct_reward, self.wrong_reward)
        if self.variant == "paper_weighted" and rewards != _REWARDS:
            raise GoniometerError(
                "paper_weighted has the rewards 1 and 0 of the grader",
                key="correct_reward, wrong_reward",
                found=rewards,
                fix="drop them, or set variant to original",
            )

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every graded row, with its reward (original) or its weight 1 - r * lambda."""
        right, wrong = self.correct_reward, self.wrong_reward
        if self.lam is not None:
            right, wrong = 1.0 - self.lam, 1.0
        return weighted_rows(
            {
                i: right if row.correct else wrong
                for i, row in enumerate(rollouts.rows)
                if row.correct or row.wrong
            }
        )

    def loss(self, batch: Batch) -> LossSum:
        """Sum the loss; `original` logs the summed probability of the tokens it lowers."""
        units = int(batch.mask.sum())
        if self.variant == "paper_weighted":
            return LossSum(weighted_nll(batch), units, {})
        reward = batch.coefficient[:, None]
        probability = batch.logprobs.exp()
        surrogate = torch.where(reward > 0, batch.logprobs, probability)
        total = -(reward * surrogate).masked_fill(~batch.mask, 0.0).sum()
        lowered = probability.detach().masked_fill(~batch.mask | (reward > 0), 0.0).sum()
        return LossSum(total, units, {"probability_lowered": float(lowered)})
