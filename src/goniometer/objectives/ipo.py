"""Identity preference optimisation: DPO with a squared loss, whose margin has a finite target.

    L = sum_pairs (h(chosen) - h(rejected) - 1 / (2 tau))^2,
    h(y) = log pi(y|x) - log pi_ref(y|x), summed over the tokens of y

Source: arXiv 2310.12036, eq. 17. TRL's `loss_type="ipo"` has h averaged over the tokens of y, and
says that so had the authors' experiments: `length_normalised` is that form. The two differ by more
than scale: summed, 1 / (2 tau) nats are asked of a whole text; averaged, of each of its tokens.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from pydantic import Field

from goniometer.config import Usual
from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Need, Unit
from goniometer.objectives.dpo import by_pair, paired_rows, reference_ratios
from goniometer.rollouts.data import RolloutSet


@final
@dataclass(frozen=True)
class IPO(AbstractObjective):
    """Bring the margin of each (correct, wrong) pair to 1 / (2 tau); the unit is a pair.

    Attributes:
        tau: strength of the pull towards the reference, per nat of h; TRL calls it beta. The margin
            that a pair is brought to is 1 / (2 tau): 5 nats at 0.1, 50 at 0.01. Above 0, at most
            1000; usually 0.001 to 1. Default 0.1, as in TRL.
        pairs_per_prompt: pairs of a correct and a wrong row that are taken of a prompt, where it
            has so many. At least 1. Default 2, ours: see DPO.
        length_normalised: take h as the mean over the tokens of y (nats a token) instead of their
            sum (nats). Default false, as in the source's equation; true is TRL's, see above.
    """

    name: ClassVar[str] = "ipo"
    unit: ClassVar[Unit] = "pairs"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference"})
    tau: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False), Usual(0.001, 1)] = 0.1
    pairs_per_prompt: Annotated[int, Field(gt=0)] = 2
    length_normalised: bool = False

    def select(self, rollouts: RolloutSet) -> Examples:
        """Pair each prompt's right and wrong rows: chosen (+1), then rejected (-1)."""
        return paired_rows(rollouts, self.pairs_per_prompt)

    def loss(self, batch: Batch) -> LossSum:
        """Sum over pairs; logs how many are ordered rightly and the margins h, summed.

        Raises:
            ValueError: the batch lacks the reference log-probs.
        """
        ratios = reference_ratios(batch, length_normalised=self.length_normalised)
        chosen, rejected = by_pair(batch, ratios)
        margin = chosen - rejected
        metrics = {
            "ordered_pairs": float((margin > 0).sum()),
            "margin": float(margin.detach().sum()),
        }
        total = (margin - 1 / (2 * self.tau)).square().sum()
        return LossSum(total, len(margin), metrics)
