"""Reward-informed fine-tuning: raise the rows with a positive reward, lower the others.

`original` (arXiv 2601.09253) keeps the likelihood of rows with a positive reward and puts a
linear-probability surrogate in place of that of the others,

    L = - E_{r > 0}[ r log pi(y|x) ] - E_{r < 0}[ r pi(y|x) ],

which is bounded where |r| log p is not: the gradient vanishes with the probability. `level` says
what stands for pi(y|x):

    token              - sum_{r_i > 0} r_i sum_t log p_it - sum_{r_i < 0} r_i sum_t p_it
    length_normalised  - sum_{r_i > 0} r_i m_i            - sum_{r_i < 0} r_i exp(m_i)
    sequence           - sum_{r_i > 0} r_i sum_t log p_it - sum_{r_i < 0} r_i exp(sum_t log p_it)

with m_i the mean of log p_it over the tokens of y_i. `sequence` is the source as printed. There
pi(y|x) underflows for long texts (in float32 below about e^-87, some hundred tokens), after which
a wrong row has gradient 0 and trains nothing; the metric `rows_underflowed` counts those rows.
`length_normalised` puts pi(y|x)^(1/|y|), the geometric mean of the token probabilities, for pi(y|x)
in *both* terms, or right rows would outweigh wrong ones by their length; this is our reading, as is
`token`, the default, which sums the surrogate over tokens. The unit is a token at token level,
as in SFT, and a sequence at the other two, as the source's expectations run over texts.

`paper_weighted` is what arXiv 2606.23740 prints, with the binary reward r in {0, 1}:

    L = sum_i (1 - r_i lambda) l_i,   l_i = - sum_t log p_it

It gives no lambda, so `lam` has no default. Correct rows weigh 1 - lambda and wrong ones 1.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import Field

from goniometer.errors import GoniometerError
from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Unit
from goniometer.objectives.sft import over_tokens, weighted_nll, weighted_rows
from goniometer.rollouts.data import RolloutSet

_REWARDS = (1.0, -0.2)  # arXiv 2601.09253


@final
@dataclass(frozen=True)
class RIFT(AbstractObjective):
    """Reward-weighted likelihood of all graded rows; the unit is a token, or a sequence by level.

    Attributes:
        variant: `original` or `paper_weighted`, see above. Default `original`.
        correct_reward: reward of a correct row, for `original`: a weight, without unit. Above 0.
            Default 1.0, as in arXiv 2601.09253.
        wrong_reward: reward of a wrong row, for `original`, likewise. Below 0. Default -0.2, as in
            arXiv 2601.09253.
        level: whose probability `original` lowers: that of a `token`, of a text by its mean token
            (`length_normalised`), or of the text (`sequence`); not read by `paper_weighted`.
            Default `token`, ours: see above.
        lam: lambda of `paper_weighted`, without unit. At most 1, as a weight below 0 would make
            the loss unbounded. Mandatory there, as its source gives none; refused for `original`.

    Raises:
        GoniometerError: an option that the variant lacks or does not have.
    """

    name: ClassVar[str] = "rift"
    variant: Literal["original", "paper_weighted"] = "original"
    correct_reward: Annotated[float, Field(gt=0, allow_inf_nan=False)] = _REWARDS[0]
    wrong_reward: Annotated[float, Field(lt=0, allow_inf_nan=False)] = _REWARDS[1]
    lam: Annotated[float, Field(le=1, allow_inf_nan=False)] | None = None
    level: Literal["token", "length_normalised", "sequence"] = "token"

    def __post_init__(self) -> None:
        """Refuse options that the variant does not read: they would be silently without effect."""
        if self.variant == "original" and self.lam is not None:
            raise GoniometerError(
                "the original variant has no lambda",
                key="lam",
                found=self.lam,
                fix="drop it, or set variant to paper_weighted",
            )
        if self.variant == "paper_weighted" and self.lam is None:
            raise GoniometerError(
                "paper_weighted needs lambda, for which the paper gives no value",
                key="lam",
                expected="a number of at most 1",
            )
        rewards = (self.correct_reward, self.wrong_reward)
        if self.variant == "paper_weighted" and rewards != _REWARDS:
            raise GoniometerError(
                "paper_weighted has the rewards 1 and 0 of the grader",
                key="correct_reward, wrong_reward",
                found=rewards,
                fix="drop them, or set variant to original",
            )
        if self.variant == "paper_weighted" and self.level != "token":
            raise GoniometerError(
                "paper_weighted has no surrogate, and so no level",
                key="level",
                found=self.level,
                fix="drop it, or set variant to original",
            )

    @property
    def unit(self) -> Unit:
        """Tokens at token level, sequences at the others."""
        return "tokens" if self.level == "token" else "sequences"

    def select(self, rollouts: RolloutSet) -> Examples:
        """Take every graded row, with its reward (original) or its weight 1 - r * lambda."""
        right, wrong = self.correct_reward, self.wrong_reward
        if self.lam is not None:
            right, wrong = 1.0 - self.lam, 1.0
        return weighted_rows(
            {
                i: right if row.correct else wrong
                for i, row in enumerate(rollouts.rows)
                if row.correct or row.wrong
            }
        )

    def loss(self, batch: Batch) -> LossSum:
        """Sum the loss; `original` logs the probability that it lowers, summed over its terms.

        Above token level it also logs how many wrong rows' probability underflowed: it is below
        the least normal number of the dtype.
        """
        if self.variant == "paper_weighted":
            return LossSum(weighted_nll(batch), int(batch.mask.sum()), {})
        if self.level != "token":
            return self._sequence_loss(batch)
        reward = batch.coefficient[:, None]
        probability = batch.logprobs.exp()
        surrogate = torch.where(reward > 0, batch.logprobs, probability)
        total = -(reward * surrogate).masked_fill(~batch.mask, 0.0).sum()
        lowered = probability.detach().masked_fill(~batch.mask | (reward > 0), 0.0).sum()
        return LossSum(total, int(batch.mask.sum()), {"probability_lowered": float(lowered)})

    def _sequence_loss(self, batch: Batch) -> LossSum:
        normalised = self.level == "length_normalised"
        logprob = over_tokens(batch, batch.logprobs, length_normalised=normalised)
        probability = logprob.exp()
        raised = batch.coefficient > 0
        surrogate = torch.where(raised, logprob, probability)
        total = -(batch.coefficient * surrogate).sum()
        lowered = probability.detach()[~raised]
        metrics = {
            "probability_lowered": float(lowered.sum()),
            "rows_underflowed": float((lowered < torch.finfo(lowered.dtype).tiny).sum()),
        }
        return LossSum(total, len(batch.mask), metrics)
