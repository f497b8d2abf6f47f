"""Direct preference optimisation, sigmoid form.

    L = - sum_pairs log sigmoid(beta (h(chosen) - h(rejected))),
    h(y) = log pi(y|x) - log pi_ref(y|x), summed over the tokens of y

Source: arXiv 2305.18290, eq. 7; TRL's `loss_type="sigmoid"` averages the same terms over pairs.
With `length_normalised` h is the mean over the tokens of y, which is TRL's `sigmoid_norm`: a beta
for it is larger by about the length of a text.

The pairing of rows, and the scores of a batch's pairs, stand here too: IPO and SimPO share them.
"""

from dataclasses import dataclass
from math import gcd
from typing import Annotated, ClassVar, final

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from goniometer.config import Usual
from goniometer.objectives.base import AbstractObjective, Batch, Examples, LossSum, Need, Unit
from goniometer.objectives.sft import over_tokens
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
        beta: strength of the pull towards the reference, per nat of h: at a larger one a smaller
            h(chosen) - h(rejected) is enough. Above 0, at most 1000; usually 0.01 to 10. Default
            0.1, as in the source's appendix B and in TRL. By mean log-prob 5 is in use (Tulu 3,
            arXiv 2411.15124).
        pairs_per_prompt: pairs of a correct and a wrong row that are taken of a prompt, where it
            has so many. At least 1. Default 2, ours: see above.
        length_normalised: take h as the mean over the tokens of y (nats a token) instead of their
            sum (nats). Default false, as in the source; beta then means another thing, see above.
    """

    name: ClassVar[str] = "dpo"
    unit: ClassVar[Unit] = "pairs"
    needs: ClassVar[frozenset[Need]] = frozenset({"reference"})
    beta: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False), Usual(0.01, 10)] = 0.1
    pairs_per_prompt: Annotated[int, Field(gt=0)] = 2
    length_normalised: bool = False

    def select(self, rollouts: RolloutSet) -> Examples:
        """Pair each prompt's right and wrong rows: chosen (+1), then rejected (-1)."""
        return paired_rows(rollouts, self.pairs_per_prompt)

    def loss(self, batch: Batch) -> LossSum:
        """Sum over pairs; logs how many are ordered rightly and the implicit rewards, summed.

        Raises:
            ValueError: the batch lacks the reference log-probs.
        """
        ratios = reference_ratios(batch, length_normalised=self.length_normalised)
        chosen, rejected = by_pair(batch, self.beta * ratios)
        margin = chosen - rejected
        metrics = {
            "ordered_pairs": float((margin > 0).sum()),
            "reward_chosen": float(chosen.detach().sum()),
            "reward_rejected": float(rejected.detach().sum()),
        }
        return LossSum(-logsigmoid(margin).sum(), len(margin), metrics)


def paired_rows(rollouts: RolloutSet, pairs_per_prompt: int) -> Examples:
    """Pair each prompt's right and wrong rows: chosen (+1), then rejected (-1)."""
    rows: list[int] = []
    for _, indices in rollouts.groups():
        right = [i for i in indices if rollouts.rows[i].correct]
        wrong = [i for i in indices if rollouts.rows[i].wrong]
        for pair in spread_pairs(right, wrong)[:pairs_per_prompt]:
            rows.extend(pair)
    pairs = len(rows) // 2
    return Examples(
        row=torch.tensor(rows, dtype=torch.int64),
        coefficient=torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(pairs),
        pair=torch.arange(pairs).repeat_interleave(2),
    )


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


def reference_ratios(batch: Batch, *, length_normalised: bool = False) -> Float[Tensor, " example"]:
    """Return log pi(y|x) - log pi_ref(y|x) of each example, in nats, or that per token.

    Raises:
        ValueError: the batch lacks the reference log-probs.
    """
    if batch.reference is None:
        raise ValueError("the objective needs the reference log-probs of its batch")
    difference = batch.logprobs - batch.reference
    return over_tokens(batch, difference, length_normalised=length_normalised)


def by_pair(
    batch: Batch, scores: Float[Tensor, " example"]
) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
    """Return the scores of the chosen and of the rejected rows, both in the order of the pairs."""
    is_chosen = batch.coefficient > 0
    chosen, rejected = (
        scores[side][batch.pair[side].argsort()] for side in (is_chosen, ~is_chosen)
    )
    return chosen, rejected
