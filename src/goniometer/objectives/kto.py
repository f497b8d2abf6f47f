"""Kahneman-Tversky optimisation: right and wrong rows each against a common point, without pairs.

    L = sum_i lambda_i (1 - sigmoid(beta s_i (h_i - z))),
    h_i = log pi(y_i|x_i) - log pi_ref(y_i|x_i), summed over tokens,
    s_i = 1 and lambda_i = lambda_D where right, -1 and lambda_U where wrong,
    z = max(0, mean over prompts of log pi(y'|x) - log pi_ref(y'|x)), y' another prompt's completion

Source: arXiv 2402.01306, eq. 8 and the estimate of z under it, which carries no gradient; TRL's
KTOTrainer averages the same terms over rows.

z is one number a batch, so accumulation matters here as for no other objective: estimated over each
of eight micro-batches, as in TRL, there are eight noisier points, each clamped at 0 by itself, and
eight times one is not one times eight. `loss` takes z from the `mismatched` that it is given: the
loop gives each micro-batch those of its whole step, and only so does accumulation change nothing.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field

from goniometer.config import Usual
from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Need, Unit
from goniometer.objectives.dpo import reference_ratios
from goniometer.objectives.sft import weighted_rows
from goniometer.rollouts.data import RolloutSet


@final
@dataclass(frozen=True)
class KTO(AbstractObjective):
    """Right rows above, wrong rows below the common point; the unit is a sequence.

    Attributes:
        beta: how soon a row saturates on either side of z, per nat of h. Above 0, at most 1000;
            usually 0.01 to 1. Default 0.1, as in the source and in TRL.
        lambda_desirable: lambda_D, weight of right rows, without unit. Above 0. Default 1.0, as in
            the source and in TRL.
        lambda_undesirable: lambda_U, weight of wrong rows, without unit. Above 0. Default 1.0, as
            in the source and in TRL.
    """

    name: ClassVar[str] = "kto"
    unit: ClassVar[Unit] = "sequences"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference", "mismatched"})
    beta: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False), Usual(0.01, 1)] = 0.1
    lambda_desirable: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    lambda_undesirable: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every graded row, +1 where right and -1 where wrong."""
        return weighted_rows(
            {
                i: 1.0 if row.correct else -1.0
                for i, row in enumerate(rollouts.rows)
                if row.correct or row.wrong
            }
        )

    def loss(self, batch: Batch) -> LossSum:
        """Sum over rows; logs z and the implicit rewards beta h of both sides, summed over rows.

        Raises:
            ValueError: the batch lacks the reference or the mismatched log-probs.
        """
        if batch.mismatched is None or not len(batch.mismatched):
            raise ValueError("KTO needs the log-ratios of mismatched completions of its batch")
        common = batch.mismatched.detach().mean().clamp(min=0.0)
        ratios = reference_ratios(batch)
        right = batch.coefficient > 0
        losses = torch.sigmoid(-self.beta * batch.coefficient * (ratios - common))
        weighted = torch.where(
            right, self.lambda_desirable * losses, self.lambda_undesirable * losses
        )
        rewards = self.beta * ratios.detach()
        metrics = {
            "z_ref": float(common) * len(ratios),
            "reward_right": float(rewards[right].sum()),
            "reward_wrong": float(rewards[~right].sum()),
        }
        return LossSum(weighted.sum(), len(ratios), metrics)
