"""Supervised fine-tuning: the negative log-likelihood of rollouts, right and wrong alike.

    L = - sum_i sum_t log pi(y_it | x_i, y_i<t)

The paper (arXiv 2606.23740) trains on *all* rows of the teacher, wrong ones included; its popular
account ("SFT on correct solutions") describes `rows="correct"`, which is RFT.

The weighted negative log-likelihood, the table of weighted rows and the sum over tokens stand here
too: half of the objectives are this one with other weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Unit
from goniometer.rollouts.data import RolloutSet


@final
@dataclass(frozen=True)
class SFT(AbstractObjective):
    """Negative log-likelihood with weight 1, summed over completion tokens; the unit is a token.

    Attributes:
        rows: `all` graded rows, or only the `correct` ones. Default `all`, as the paper has it.
    """

    name: ClassVar[str] = "sft"
    unit: ClassVar[Unit] = "tokens"
    rows: Literal["all", "correct"] = "all"

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every graded row, or every correct one, with coefficient 1."""
        return weighted_rows(
            {
                i: 1.0
                for i, row in enumerate(rollouts.rows)
                if row.correct or (row.wrong and self.rows == "all")
            }
        )

    def loss(self, batch: Batch) -> LossSum:
        """Sum the negative log-likelihood, in nats."""
        return LossSum(weighted_nll(batch), int(batch.mask.sum()), {})


def weighted_rows(weights: Mapping[int, float]) -> Examples:
    """Make examples of rows that stand alone, from each row's coefficient, in ascending order."""
    rows = sorted(weights)
    return Examples(
        row=torch.tensor(rows, dtype=torch.int64),
        coefficient=torch.tensor([weights[i] for i in rows], dtype=torch.float64),
        pair=torch.full((len(rows),), -1, dtype=torch.int64),
    )


def weighted_nll(batch: Batch) -> Float[Tensor, ""]:
    """Sum `-coefficient * log pi` over the completion tokens of every example, in nats."""
    weighted = batch.coefficient[:, None] * batch.logprobs
    return -weighted.masked_fill(~batch.mask, 0.0).sum()


def over_tokens(
    batch: Batch, values: Float[Tensor, "example token"], *, length_normalised: bool
) -> Float[Tensor, " example"]:
    """Sum values over each example's completion tokens, or average them."""
    total = values.masked_fill(~batch.mask, 0.0).sum(1)
    return total / batch.mask.sum(1) if length_normalised else total
