"""Rejection-sampling fine-tuning: SFT on the correct rows.

Source: arXiv 2308.01825, section 3.3, and arXiv 2606.23740. The former also keeps only solutions
whose `<<a=b>>` equations evaluate and drops those that repeat an equation list:
`deduplicate="equations"`. By default every row that the grader calls correct is kept, as in the
latter. `rollouts/equations.py` says what is read as an equation.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Unit
from goniometer.objectives.sft import SFT, weighted_rows
from goniometer.rollouts.data import RolloutSet
from goniometer.rollouts.equations import Equation, equations

_SFT_ON_CORRECT = SFT(rows="correct")


@final
@dataclass(frozen=True)
class RFT(AbstractObjective):
    """SFT with `rows="correct"`, to which it delegates; the unit is a token.

    Attributes:
        deduplicate: `none`, or by `equations`: of a prompt's correct rows, those whose equations
            all hold, and of equal equation lists the first. A row in which no equation is read is
            kept, as there is nothing to tell it by. Default `none`, as in arXiv 2606.23740.
    """

    name: ClassVar[str] = "rft"
    unit: ClassVar[Unit] = "tokens"
    deduplicate: Literal["none", "equations"] = "none"

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every correct row, or those that de-duplication leaves, with coefficient 1."""
        if self.deduplicate == "none":
            return _SFT_ON_CORRECT.select(rollouts)
        kept: dict[int, float] = {}
        for _, indices in rollouts.groups():
            seen: set[tuple[Equation, ...]] = set()
            for i in indices:
                found = equations(rollouts.rows[i].text) if rollouts.rows[i].correct else None
                if found is None or found in seen or not all(e.holds for e in found):
                    continue
                kept[i] = 1.0
                if found:
                    seen.add(found)
        return weighted_rows(kept)

    def loss(self, batch: Batch) -> LossSum:
        """Sum the negative log-likelihood, in nats."""
        return _SFT_ON_CORRECT.loss(batch)
