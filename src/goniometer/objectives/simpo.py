"""Simple preference optimisation: length-normalised, with a target margin and no reference.

    L = - sum_pairs log sigmoid(beta (s(chosen) - s(rejected)) - gamma),
    s(y) = log pi(y|x) / |y|

Source: arXiv 2405.14734, eq. 6; TRL's CPOTrainer with `loss_type="simpo"` and `cpo_alpha=0`
averages the same terms over pairs. Only the learning rate ties the model to where it started.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from pydantic import Field
from torch.nn.functional import logsigmoid

from goniometer.config import Usual
from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Unit
from goniometer.objectives.dpo import by_pair, paired_rows
from goniometer.objectives.sft import over_tokens
from goniometer.rollouts.data import RolloutSet


@final
@dataclass(frozen=True)
class SimPO(AbstractObjective):
    """Prefer a prompt's correct rows by mean token log-prob; the unit is a pair.

    Attributes:
        beta: scale of the mean log-probs, per nat a token; larger than DPO's, as they are means.
            Above 0, at most 1000; usually 0.5 to 20. Default 2.0, of the authors' 2.0 and 2.5.
        gamma: the margin asked for, in log-odds, as beta times a mean log-prob is. At least 0.
            Default 1.0: half of beta, where the authors advise to begin. TRL's default is 0.5.
        pairs_per_prompt: pairs of a correct and a wrong row that are taken of a prompt, where it
            has so many. At least 1. Default 2, ours: see DPO.
    """

    name: ClassVar[str] = "simpo"
    unit: ClassVar[Unit] = "pairs"
    beta: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False), Usual(0.5, 20)] = 2.0
    gamma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    pairs_per_prompt: Annotated[int, Field(gt=0)] = 2

    def select(self, rollouts: RolloutSet) -> Examples:
        """Pair each prompt's right and wrong rows: chosen (+1), then rejected (-1)."""
        return paired_rows(rollouts, self.pairs_per_prompt)

    def loss(self, batch: Batch) -> LossSum:
        """Sum over pairs; logs how many are ordered rightly and the scaled scores, summed.

        A pair is ordered rightly where its scores are, whether or not gamma lies between them.
        """
        scores = self.beta * over_tokens(batch, batch.logprobs, length_normalised=True)
        chosen, rejected = by_pair(batch, scores)
        margin = chosen - rejected
        metrics = {
            "ordered_pairs": float((margin > 0).sum()),
            "reward_chosen": float(chosen.detach().sum()),
            "reward_rejected": float(rejected.detach().sum()),
        }
        return LossSum(-logsigmoid(margin - self.gamma).sum(), len(margin), metrics)
