"""Cosine of two updates, and how far the second is off the line of the first."""

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.base import PairBatch


def cosine(batch: PairBatch) -> Float[Tensor, " pair"]:
    """<a, b>_F / (|a| |b|), as 1 - gap / 2, which never leaves [-1, 1] and is exact near 1."""
    return cosine_of_gap(batch.gap)


def off_direction(batch: PairBatch) -> Float[Tensor, " pair"]:
    """sqrt(1 - cos^2), the paper's "orthogonal fraction" (arXiv 2606.23740): of norm."""
    return off_direction_of_gap(batch.gap)


def off_direction_energy(batch: PairBatch) -> Float[Tensor, " pair"]:
    """1 - cos^2: the share of squared norm off the line of the other update."""
    return off_direction_of_gap(batch.gap) ** 2


def cosine_of_gap(gap: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Cos = 1 - gap/2 with gap = ||a/|a| - b/|b|||^2."""
    return 1 - gap / 2


def off_direction_of_gap(gap: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """sqrt(1 - cos^2) = sqrt(gap (1 - gap/4)): no cancellation when cos is near 1."""
    return (gap * (1 - gap / 4)).clamp(min=0).sqrt()


def gap_of_spectra(
    sigma_a: Float[Tensor, "pair ra"],
    sigma_b: Float[Tensor, "pair rb"],
    left: Float[Tensor, "pair ra rb"],
    right: Float[Tensor, "pair ra rb"],
) -> Float[Tensor, " pair"]:
    """2 (1 - cos), <a, b> = sum_ij sigma_a,i left_ij right_ij sigma_b,j; NaN for a zero delta."""
    inner = torch.einsum("pi,pij,pij,pj->p", sigma_a, left, right, sigma_b)
    norm_a, norm_b = (torch.linalg.vector_norm(sigma, dim=1) for sigma in (sigma_a, sigma_b))
    return 2 * (1 - inner / (norm_a * norm_b))
