"""The gradient coefficients of every objective against their closed forms."""

import math

import pytest
import torch

from goniometer.objectives.coefficients import gradient_coefficients
from goniometer.objectives.dft import DFT
from goniometer.objectives.dpo import DPO
from goniometer.objectives.offline_grpo import OfflineGRPO
from goniometer.objectives.rft import RFT
from goniometer.objectives.rift import RIFT
from goniometer.objectives.sft import SFT
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


CLOSED = {
    "sft": (SFT(), lambda b: torch.ones_like(b.logprobs)),
    "rft": (RFT(), lambda b: torch.ones_like(b.logprobs)),
    "dft": (DFT(), lambda b: b.logprobs.detach().exp()),
    "rift": (
        RIFT(),
        lambda b: torch.where(everywhere(b) > 0, 1.0, -0.2 * b.logprobs.detach().exp()),
    ),
    "rift-paper": (RIFT(variant="paper_weighted", lam=0.3), everywhere),
    "offline_grpo": (OfflineGRPO(), everywhere),
    "dpo": (DPO(), of_dpo),
}


@pytest.mark.parametrize("case", CLOSED)
def test_coefficients_equal_the_closed_form(case):
    objective, closed = CLOSED[case]
    batch = make_batch(objective, ROLLOUTS)
    expected = torch.where(batch.mask, closed(batch), 0.0)
    torch.testing.assert_close(
        gradient_coefficients(objective, batch), expected, rtol=1e-12, atol=0
    )


def test_nothing_flows_into_the_batch():
    batch = make_batch(SFT(), ROLLOUTS)
    with torch.no_grad():
        found = gradient_coefficients(SFT(), batch)
    assert not found.requires_grad
    assert batch.logprobs.grad is None
    assert math.fsum(found.flatten().tolist()) == int(batch.mask.sum())
