"""Offline GRPO: three things go by this name, and each is a variant here.

`paper`, as arXiv 2606.23740 has it: negative log-likelihood weighted by a group advantage,

    L = sum_i A_i l_i,   A_i = r_i - mean_group(r) + b,   l_i = - sum_t log p_it,   r in {0, 1}

A group is the graded rows of one prompt. There is no standard deviation, clip, importance ratio or
KL term; of GRPO (arXiv 2402.03300) only the group mean is left. Two consequences to watch: in a
group of equal rewards every row has A = b, so rows of an all-wrong group are *raised*; and a row
with A < 0 is lowered without bound (the loop logs the likelihood of wrong rows).

`probability_weighted`, after Krafton's post on offline GRPO in NeMo-RL: the clipped surrogate of
GRPO in which the teacher's probability is taken as 1, so that the ratio is p_it itself,

    L = - sum_it min(p A, clamp(p, 1 - c, 1 + c) A) + kl sum_it k3_it,
    A_i = (r_i - mean) / std, + b in all-correct groups only, 0 in all-wrong ones

Its gradient coefficient is p A, so improbable tokens carry little. As p is at most 1 the upper clip
never acts, and a token with A < 0 is lowered only while p >= 1 - c. kl is 0.1, by estimator k3 to
the base; the post does not print the estimator: this is NeMo-RL's.

`ratio_clipped`, the textbook form (arXiv 2402.03300, eq. 3): the same with the ratio
p / p_behaviour, for which the rollouts must bring the log-probs of the policy that sampled, no
bias, and kl 0 unless asked for.

All sum over tokens; `clipped_policy_loss` states what the last two share, and the estimator.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field

from goniometer.errors import GoniometerError
from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Need, Unit
from goniometer.objectives.policy_gradient import (
    CLIP,
    advantage_rows,
    centred,
    clipped_policy_loss,
    standardised,
)
from goniometer.objectives.sft import weighted_nll
from goniometer.rollouts.data import RolloutSet

# What each variant reads, with its default.
_DEFAULTS = {
    "paper": {"bias": 0.1},
    "probability_weighted": {"bias": 0.1, "clip": CLIP, "kl": 0.1},
    "ratio_clipped": {"clip": CLIP, "kl": 0.0},
}


@final
@dataclass(frozen=True)
class OfflineGRPO(AbstractObjective):
    """Group advantages on given rollouts, over all graded rows; the unit is a token.

    A row whose advantage is 0 carries no gradient, but for that of a KL penalty; its tokens still
    count as units. An option left at None has the default of the variant.

    Attributes:
        variant: `paper`, `probability_weighted` or `ratio_clipped`, see above. Default `paper`.
        bias: b, in units of the advantage. Any number; by default 0.1, as in arXiv 2606.23740; not
            read by `ratio_clipped`.
        clip: c, how far a ratio may be from 1. Above 0, below 1; by default 0.2, as in PPO and TRL;
            not read by `paper`.
        kl: weight of the KL penalty, per nat. At least 0; by default 0.1 for
            `probability_weighted`, as in its source, and 0 for `ratio_clipped`, as in TRL; not read
            by `paper`.

    Raises:
        GoniometerError: an option that the variant does not read.
    """

    name: ClassVar[str] = "offline_grpo"
    unit: ClassVar[Unit] = "tokens"
    variant: Literal["paper", "probability_weighted", "ratio_clipped"] = "paper"
    bias: Annotated[float, Field(allow_inf_nan=False)] | None = None
    clip: Annotated[float, Field(gt=0, lt=1)] | None = None
    kl: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    def __post_init__(self) -> None:
        """Refuse options that the variant does not read: they would be silently without effect."""
        read = _DEFAULTS[self.variant]
        for option in ("bias", "clip", "kl"):
            if option not in read and getattr(self, option) is not None:
                raise GoniometerError(
                    f"the {self.variant} variant does not read {option}",
                    key=option,
                    found=getattr(self, option),
                    fix=f"drop it; it reads {', '.join(read)}",
                )

    @property
    def needs(self) -> frozenset[Need]:
        """The behaviour's log-probs for a ratio to them, the reference's for a KL penalty."""
        ratio: set[Need] = {"behaviour"} if self.variant == "ratio_clipped" else set()
        penalty: set[Need] = {"reference"} if self._value("kl") else set()
        return frozenset(ratio | penalty)

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every graded row with its advantage within the prompt's graded rows."""
        bias = self._value("bias")
        advantages = centred if self.variant == "paper" else standardised
        return advantage_rows(rollouts, lambda group: advantages(group, bias))

    def loss(self, batch: Batch) -> LossSum:
        """Sum the loss; logs the likelihood of the rows it raises and of those it lowers.

        The clipped variants also log how many tokens the clip lets go, and the KL penalty.

        Raises:
            ValueError: the batch lacks log-probs that the variant needs.
        """
        if self.variant == "paper":
            loss = LossSum(weighted_nll(batch), int(batch.mask.sum()), {})
        else:
            certain = torch.zeros_like(batch.logprobs)  # a teacher of probability 1
            behaviour = batch.behaviour if self.variant == "ratio_clipped" else certain
            if behaviour is None:
                raise ValueError("ratio_clipped needs the behaviour log-probs of its batch")
            loss = clipped_policy_loss(batch, behaviour, self._value("clip"), self._value("kl"))
        nll = -batch.logprobs.detach().masked_fill(~batch.mask, 0.0).sum(1)
        metrics = {
            "nll_raised": float(nll[batch.coefficient > 0].sum()),
            "nll_lowered": float(nll[batch.coefficient < 0].sum()),
        }
        return LossSum(loss.total, loss.units, loss.metrics | metrics)

    def _value(self, option: Literal["bias", "clip", "kl"]) -> float:
        """Return an option's value, or the variant's default; 0 where it is not read."""
        value: float | None = getattr(self, option)
        return _DEFAULTS[self.variant].get(option, 0.0) if value is None else value
