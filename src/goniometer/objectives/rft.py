"""Rejection-sampling fine-tuning: SFT on the correct rows.

Source: arXiv 2308.01825, section 3.3, and arXiv 2606.23740. We leave the former in one point: it
also keeps only solutions whose `<<a=b>>` equations evaluate and drops those that repeat an
equation list; here every row that the grader calls correct is kept, as in the latter.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Unit
from goniometer.objectives.sft import SFT
from goniometer.rollouts.data import RolloutSet

_SFT_ON_CORRECT = SFT(rows="correct")


@final
@dataclass(frozen=True)
class RFT(AbstractObjective):
    """SFT with `rows="correct"`, to which it delegates; the unit is a token."""

    name: ClassVar[str] = "rft"
    unit: ClassVar[Unit] = "tokens"

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every correct row with coefficient 1."""
        return _SFT_ON_CORRECT.select(rollouts)

    def loss(self, batch: Batch) -> LossSum:
        """Sum the negative log-likelihood, in nats."""
        return _SFT_ON_CORRECT.loss(batch)
