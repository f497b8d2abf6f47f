"""An objective whose loss is not a number: at the first step, or from some step on."""

from dataclasses import dataclass
from typing import ClassVar, final

from goniometer.objectives import AbstractObjective, Batch, Examples, LossSum, Unit
from goniometer.objectives.sft import SFT
from goniometer.rollouts import RolloutSet


@final
@dataclass(frozen=True)
class Faulty(AbstractObjective):
    """SFT, but NaN where the loss of a step's tokens is below `limit` nats a token."""

    name: ClassVar[str] = "faulty"
    unit: ClassVar[Unit] = "tokens"
    limit: float = 1e9

    def select(self, rollouts: RolloutSet) -> Examples:
        return SFT().select(rollouts)

    def loss(self, batch: Batch) -> LossSum:
        found = SFT().loss(batch)
        broken = float(found.total.detach()) / found.units < self.limit
        return LossSum(found.total * float("nan" if broken else 1), found.units, {})
