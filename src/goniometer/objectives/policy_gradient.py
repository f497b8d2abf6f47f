"""What the objectives of the GRPO family share: group advantages, clipped surrogate, KL penalty."""

from collections.abc import Callable, Iterator, Mapping
from statistics import fmean, pstdev

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.objectives.base import Batch, Examples, LossSum
from goniometer.objectives.sft import weighted_rows
from goniometer.rollouts.data import RolloutSet

CLIP = 0.2  # epsilon of PPO (arXiv 1707.06347) and of TRL


def group_rewards(rollouts: RolloutSet) -> Iterator[dict[int, float]]:
    """Yield the graded rows of each prompt with their rewards, 1 where right and 0 where wrong."""
    for _, indices in rollouts.groups():
        yield {
            i: float(rollouts.rows[i].correct)
            for i in indices
            if rollouts.rows[i].correct or rollouts.rows[i].wrong
        }


def centred(rewards: Mapping[int, float], bias: float = 0.0) -> dict[int, float]:
    """Return r - mean + bias of a group."""
    mean = fmean(rewards.values())
    return {i: reward - mean + bias for i, reward in rewards.items()}


def standardised(rewards: Mapping[int, float], bias: float = 0.0) -> dict[int, float]:
    """Return (r - mean) / std of a group, 0 where all rewards are equal: arXiv 2402.03300, 4.1.2.

    The source does not say which standard deviation; here it is the population's and nothing is
    added to it (TRL has the sample's, plus 1e-4).

    Args:
        rewards: of one prompt's graded rows.
        bias: added to every advantage of a group that is right throughout, and to no other.
    """
    mean, deviation = fmean(rewards.values()), pstdev(rewards.values())
    added = bias if min(rewards.values()) == 1.0 else 0.0
    return {i: (reward - mean) / (deviation or 1.0) + added for i, reward in rewards.items()}


def advantage_rows(
    rollouts: RolloutSet, advantages: Callable[[dict[int, float]], Mapping[int, float]]
) -> Examples:
    """Take every graded row with its advantage, computed within each prompt's graded rows."""
    found: dict[int, float] = {}
    for rewards in group_rewards(rollouts):
        found |= advantages(rewards) if rewards else {}
    return weighted_rows(found)


def clipped_policy_loss(
    batch: Batch, behaviour: Float[Tensor, "example token"], clip: float, kl: float
) -> LossSum:
    """Sum the clipped surrogate and the KL penalty over completion tokens (the unit).

        - sum_it min(rho A_i, clamp(rho, 1 - clip, 1 + clip) A_i) + kl sum_it k3_it
        rho = exp(log p_it - behaviour_it),   k3 = q/p - log(q/p) - 1,   q the reference's

    Source: arXiv 2402.03300, eq. 3 and 4, but every token weighs the same (TRL's `dapo`), where the
    source first averages over each completion. A token with A > 0 is let go once rho > 1 + clip,
    one with A < 0 once rho < 1 - clip; on the other sides nothing bounds rho. k3 estimates
    KL(pi || reference) without bias only at tokens that pi itself sampled; at others it is a
    penalty that is least, 0, where pi and the reference agree.

    Args:
        batch: its coefficients are the advantages A_i.
        behaviour: log-probs in nats of the policy that sampled; constants.
        clip: epsilon, in (0, 1).
        kl: weight of the penalty, 0 for none.

    Raises:
        ValueError: a penalty is asked for and the batch lacks the reference log-probs.
    """
    ratio = (batch.logprobs - behaviour).masked_fill(~batch.mask, 0.0).exp()
    advantage = batch.coefficient[:, None]
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    total = -surrogate.masked_fill(~batch.mask, 0.0).sum()
    let_go = torch.where(advantage > 0, ratio > 1 + clip, (advantage < 0) & (ratio < 1 - clip))
    metrics = {"clipped_tokens": float((let_go & batch.mask).sum())}
    if kl:
        if batch.reference is None:
            raise ValueError("the KL penalty needs the reference log-probs of its batch")
        log_q_over_p = (batch.reference - batch.logprobs).masked_fill(~batch.mask, 0.0)
        divergence = (torch.expm1(log_q_over_p) - log_q_over_p).sum()
        total = total + kl * divergence
        metrics["kl"] = float(divergence.detach())
    return LossSum(total, int(batch.mask.sum()), metrics)
