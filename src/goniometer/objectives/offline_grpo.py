"""Offline GRPO as arXiv 2606.23740 has it: negative log-likelihood weighted by a group advantage.

    L = sum_i A_i l_i,   A_i = r_i - mean_group(r) + b,   l_i = - sum_t log p_it,   r in {0, 1}

A group is the graded rows of one prompt. There is no standard deviation, clip, importance ratio or
KL term; of GRPO (arXiv 2402.03300) only the group mean is left. Two consequences to watch: in a
group of equal rewards every row has A = b, so rows of an all-wrong group are *raised*; and a row
with A < 0 is lowered without bound (the loop logs the likelihood of wrong rows).

Other things go by this name, and are not this: the reweighted form with pi_theta(y_t) and a KL
term (NeMo-RL), and the textbook form with the ratio to the behaviour policy and PPO's clip.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from pydantic import Field

from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Unit
from goniometer.objectives.sft import weighted_nll, weighted_rows
from goniometer.rollouts.data import RolloutSet


@final
@dataclass(frozen=True)
class OfflineGRPO(AbstractObjective):
    """Advantage-weighted negative log-likelihood of all graded rows; the unit is a token.

    A row whose advantage is 0 carries no gradient but its tokens still count as units.

    Attributes:
        bias: b, added to every advantage.
    """

    name: ClassVar[str] = "offline_grpo"
    unit: ClassVar[Unit] = "tokens"
    bias: Annotated[float, Field(allow_inf_nan=False)] = 0.1

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every graded row with its advantage within the prompt's graded rows."""
        advantages: dict[int, float] = {}
        for _, indices in rollouts.groups():
            rewards = {
                i: float(rollouts.rows[i].correct)
                for i in indices
                if rollouts.rows[i].correct or rollouts.rows[i].wrong
            }
            for i, reward in rewards.items():
                advantages[i] = reward - sum(rewards.values()) / len(rewards) + self.bias
        return weighted_rows(advantages)

    def loss(self, batch: Batch) -> LossSum:
        """Sum the loss; logs the likelihood of the rows it raises and of those it lowers."""
        nll = -batch.logprobs.detach().masked_fill(~batch.mask, 0.0).sum(1)
        metrics = {
            "nll_raised": float(nll[batch.coefficient > 0].sum()),
            "nll_lowered": float(nll[batch.coefficient < 0].sum()),
        }
        return LossSum(weighted_nll(batch), int(batch.mask.sum()), metrics)
