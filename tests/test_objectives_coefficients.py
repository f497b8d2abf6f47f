"""The gradient coefficients of every objective against their closed forms."""

import math

import pytest
import torch

from goniometer.objectives import OBJECTIVES
from goniometer.objectives.coefficients import gradient_coefficients
from goniometer.objectives.dft import DFT
from goniometer.objectives.dpo import DPO
from goniometer.objectives.ipo import IPO
from goniometer.objectives.kto import KTO
from goniometer.objectives.offline_grpo import OfflineGRPO
from goniometer.objectives.online_grpo import OnlineGRPO
from goniometer.objectives.rft import RFT
from goniometer.objectives.rift import RIFT
from goniometer.objectives.sft import SFT
from goniometer.objectives.simpo import SimPO
from tests.rollouts_factory import GROUPS, make_batch, make_rollouts

ROLLOUTS = make_rollouts(GROUPS)


def everywhere(batch):
    """The coefficient of each row at each of its tokens."""
    return batch.coefficient[:, None].expand(batch.mask.shape)


def of_dpo(batch, beta=0.1):
    ratio = ((batch.logprobs.detach() - batch.reference) * batch.mask).sum(1)
    margin = beta * (ratio[::2] - ratio[1::2])  # as selected: chosen, rejected, chosen, ...
    pull = (beta / (1 + margin.exp())).repeat_interleave(2)
    return (batch.coefficient * pull)[:, None].expand(batch.mask.shape)


def of_ipo(batch, tau=0.1):
    ratio = ((batch.logprobs.detach() - batch.reference) * batch.mask).sum(1)
    miss = ratio[::2] - ratio[1::2] - 1 / (2 * tau)
    return (batch.coefficient * (-2 * miss).repeat_interleave(2))[:, None].expand(batch.mask.shape)


def of_simpo(batch, beta=2.0, gamma=1.0):
    length = batch.mask.sum(1)
    score = beta * (batch.logprobs.detach() * batch.mask).sum(1) / length
    pull = 1 / (1 + (score[::2] - score[1::2] - gamma).exp())
    share = batch.coefficient * beta / length
    return (share * pull.repeat_interleave(2))[:, None].expand(batch.mask.shape)


def of_kto(batch, beta=0.1):
    """lambda beta s(1 - s) on the side that the row is on, s its distance from the common point."""
    ratio = ((batch.logprobs.detach() - batch.reference) * batch.mask).sum(1)
    s = torch.sigmoid(beta * (ratio - batch.mismatched.mean()))
    return (batch.coefficient * beta * s * (1 - s))[:, None].expand(batch.mask.shape)


def of_rift_texts(batch, *, normalised):
    length = batch.mask.sum(1).double() if normalised else torch.ones(len(batch.mask))
    p = ((batch.logprobs.detach() * batch.mask).sum(1) / length).exp()
    by_row = torch.where(batch.coefficient > 0, 1.0, -0.2 * p) / length
    return by_row[:, None].expand(batch.mask.shape)


def of_ratio(batch):
    return everywhere(batch) * (batch.logprobs.detach() - batch.behaviour).exp()


CLOSED = {
    "sft": (SFT(), lambda b: torch.ones_like(b.logprobs)),
    "rft": (RFT(), lambda b: torch.ones_like(b.logprobs)),
    "dft": (DFT(), lambda b: b.logprobs.detach().exp()),
    "rift": (
        RIFT(),
        lambda b: torch.where(everywhere(b) > 0, 1.0, -0.2 * b.logprobs.detach().exp()),
    ),
    "rift-length": (
        RIFT(level="length_normalised"),
        lambda b: of_rift_texts(b, normalised=True),
    ),
    "rift-sequence": (RIFT(level="sequence"), lambda b: of_rift_texts(b, normalised=False)),
    "rift-paper": (RIFT(variant="paper_weighted", lam=0.3), everywhere),
    "offline_grpo": (OfflineGRPO(), everywhere),
    "grpo-probability": (
        OfflineGRPO(variant="probability_weighted", clip=0.9999, kl=0.0),
        lambda b: everywhere(b) * b.logprobs.detach().exp(),
    ),
    "grpo-ratio": (OfflineGRPO(variant="ratio_clipped"), of_ratio),
    "online_grpo": (OnlineGRPO(), of_ratio),
    "dpo": (DPO(), of_dpo),
    "ipo": (IPO(), of_ipo),
    "simpo": (SimPO(), of_simpo),
    "kto": (KTO(), of_kto),
}


@pytest.mark.parametrize("case", CLOSED)
def test_coefficients_equal_the_closed_form(case):
    objective, closed = CLOSED[case]
    batch = make_batch(objective, ROLLOUTS)
    expected = torch.where(batch.mask, closed(batch), 0.0)
    torch.testing.assert_close(
        gradient_coefficients(objective, batch), expected, rtol=1e-12, atol=0
    )


def test_every_objective_has_a_closed_form():
    assert {objective.name for objective, _ in CLOSED.values()} == set(OBJECTIVES)


def test_nothing_flows_into_the_batch():
    batch = make_batch(SFT(), ROLLOUTS)
    with torch.no_grad():
        found = gradient_coefficients(SFT(), batch)
    assert not found.requires_grad
    assert batch.logprobs.grad is None
    assert math.fsum(found.flatten().tolist()) == int(batch.mask.sum())
