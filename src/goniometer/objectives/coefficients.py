"""Gradient coefficients: what an objective asks of each token, without a model.

Every objective's gradient is a weighted sum of the same vectors, the gradients of the token
log-probs; the weights tell the objectives apart (arXiv 2402.03300, section 5.2):

    - d L / d theta = sum_it GC_it d log p_it / d theta,   GC_it = - d L / d log p_it

SFT has 1 at every token, DFT p_t, DPO +-beta sigmoid(-margin); below 0 a token is lowered. L is
summed: the source's 1/|o| and the loop's division by the step's units are both left out.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.objectives.base import AbstractObjective, Batch


def gradient_coefficients(
    objective: AbstractObjective, batch: Batch
) -> Float[Tensor, "example token"]:
    """Compute `-d(summed loss) / d(log p)` at each completion token by autograd.

    The log-probs are detached first, so nothing flows into a network, and none is needed; a
    stop-gradient in the loss (DFT's weight) is respected. Works under `torch.no_grad()` too.

    Args:
        objective: whose loss is differentiated.
        batch: with all that the objective needs; its own gradient is left alone.

    Returns:
        The coefficients in the dtype of the log-probs; 0 in the padding.
    """
    with torch.enable_grad():
        leaf = batch.logprobs.detach().requires_grad_()
        total = objective.loss(dataclasses.replace(batch, logprobs=leaf)).total
        (slope,) = torch.autograd.grad(total, leaf)
    return -slope.masked_fill(~batch.mask, 0.0)
