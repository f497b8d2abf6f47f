"""Direct preference optimisation, sigmoid form.

    L = - sum_pairs log sigmoid(beta (h(chosen) - h(rejected))),
    h(y) = log pi(y|x) - log pi_ref(y|x), summed over the tokens of y

Source: arXiv 2305.18290, eq. 7; TRL's `loss_type="sigmoid"` averages the same terms over pairs
(`sigmoid_norm` is another thing: it divides by length).
"""

from dataclasses import dataclass
from math import gcd
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field
from torch.nn.functional import logsigmoid

from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Need, Unit
from goniometer.rollouts.data import RolloutSet


@final
@dataclass(frozen=True)
class DPO(AbstractObjective):
    """Prefer a prompt's correct rows to its wrong ones; the unit is a pair.

    Two pairs a prompt are four sequences, as many as the token objectives see of a prompt with
    four rows, and every mixed prompt weighs the same. With 2 right and 2 wrong rows each row
    stands in one pair; with 1 and 3 (or 3 and 1) the lone row stands in both pairs and the last
    of the three is left out, whatever it says. A third pair would bring it in, and would let a
    2 + 2 prompt repeat a row.

    Attributes:
        beta: strength of the pull towards the reference.
        pairs_per_prompt: at most so many of a prompt's (correct, wrong) pairs.
    """

    name: ClassVar[str] = "dpo"
    unit: ClassVar[Unit] = "pairs"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference"})
    beta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    pairs_per_prompt: Annotated[int, Field(gt=0)] = 2

    def select(self, rollouts: RolloutSet) -> Examples:
        """Pair each prompt's right and wrong rows: chosen (+1), then rejected (-1)."""
        rows: list[int] = []
        for _, indices in rollouts.groups():
            right = [i for i in indices if rollouts.rows[i].correct]
            wrong = [i for i in indices if rollouts.rows[i].wrong]
            for pair in spread_pairs(right, wrong)[: self.pairs_per_prompt]:
                rows.extend(pair)
        pairs = len(rows) // 2
        return Examples(
            row=torch.tensor(rows, dtype=torch.int64),
            coefficient=torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(pairs),
            pair=torch.arange(pairs).repeat_interleave(2),
        )

    def loss(self, batch: Batch) -> LossSum:
        """Sum over pairs; logs how many are ordered rightly and the implicit rewards, summed.

        Raises:
            ValueError: the batch lacks the reference log-probs.
        """
        if batch.reference is None:
            raise ValueError("DPO needs the reference log-probs of its batch")
        ratio = (batch.logprobs - batch.reference).masked_fill(~batch.mask, 0.0).sum(1)
        is_chosen = batch.coefficient > 0
        chosen, rejected = (
            self.beta * ratio[side][batch.pair[side].argsort()] for side in (is_chosen, ~is_chosen)
        )
        margin = chosen - rejected
        metrics = {
            "ordered_pairs": float((margin > 0).sum()),
            "reward_chosen": float(chosen.detach().sum()),
            "reward_rejected": float(rejected.detach().sum()),
        }
        return LossSum(-logsigmoid(margin).sum(), len(margin), metrics)


def spread_pairs(right: list[int], wrong: list[int]) -> list[tuple[int, int]]:
    """List every (right, wrong) pair once, so that any prefix uses the rows as evenly as can be.

    Pair j joins right j mod a with wrong j mod b; that repeats after lcm(a, b) pairs, from where on
    the wrong rows are shifted by one.
    """
    a, b = len(right), len(wrong)
    if not a or not b:
        return []
    period = a * b // gcd(a, b)
    return [(right[j % a], wrong[(j + j // period) % b]) for j in range(a * b)]
