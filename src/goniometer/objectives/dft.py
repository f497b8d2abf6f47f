"""Dynamic fine-tuning: SFT in which each token weighs as much as the model already believes in it.

    L = - sum_i sum_t sg(p_it) log p_it,   p_it = pi(y_it | x_i, y_i<t)

Source: arXiv 2508.05629, eq. 9 (sg is stop-gradient); TRL's `loss_type="dft"` is the same sum. The
factor takes weight from *improbable* tokens. Like the paper (arXiv 2606.23740) it is fed all graded
rows, wrong ones included.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Unit
from goniometer.objectives.sft import SFT
from goniometer.rollouts.data import RolloutSet


@final
@dataclass(frozen=True)
class DFT(AbstractObjective):
    """Negative log-likelihood weighted by the detached probability of each token; unit: a token."""

    name: ClassVar[str] = "dft"
    unit: ClassVar[Unit] = "tokens"

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every graded row with coefficient 1."""
        return SFT(rows="all").select(rollouts)

    def loss(self, batch: Batch) -> LossSum:
        """Sum the weighted negative log-likelihood; logs the sum of the weights."""
        weight = batch.logprobs.detach().exp().masked_fill(~batch.mask, 0.0)
        weighted = batch.coefficient[:, None] * weight * batch.logprobs
        total = -weighted.masked_fill(~batch.mask, 0.0).sum()
        return LossSum(total, int(batch.mask.sum()), {"weight": float(weight.sum())})
