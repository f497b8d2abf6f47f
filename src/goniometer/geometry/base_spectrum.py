"""The spectrum of a weight matrix, whole, and how far a run turned its top singular subspaces.

Sources: arXiv 2511.08567 as restated with formulas in arXiv 2606.07082, section 3.1: normalised
spectral shift and principal-angle rotation. We take the angles from sines, as acos of a cosine near
1 keeps half of the digits, and rotations here are often far below a degree.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.subspace import SINE_ABOVE

# Singular values under this share of the first are rounding in a Gram matrix, or near it.
RANK_FLOOR = 1e-6


@final
@dataclass(frozen=True)
class Spectrum:
    """All singular values of an m x n weight, its top k singular vectors, and those of one side.

    From the eigenvectors of the Gram matrix of the shorter side, in float64: one product and one
    symmetric eigenproblem, a fraction of an SVD's time. A Gram squares the condition number, so
    singular values are within 1e-8 of the first, and those above 1e-4 of the first within 1e-12.
    """

    S: Float[Tensor, " s"]  # descending, s the shorter side
    U: Float[Tensor, "m k"]
    V: Float[Tensor, "n k"]
    shorter: Float[Tensor, "s s"]  # all singular vectors of the shorter side; left if m = n
    rank: int  # numerical, as far as a Gram can tell


def spectrum(W: Float[Tensor, "m n"], k: int) -> Spectrum:
    """Decompose a weight in float64, with the top k vectors of both sides (fewer below rank k)."""
    wide = W.shape[0] <= W.shape[1]  # a square one's shorter side is the left
    gram = W @ W.T if wide else W.T @ W
    values, vectors = torch.linalg.eigh(gram)
    S, shorter = values.flip(0).clamp(min=0).sqrt(), vectors.flip(1)
    rank = int((1e-7 * S[0] < S).sum())
    near = shorter[:, : min(k, rank)]
    far = (W.T @ near if wide else W @ near) / S[: near.shape[1]]
    U, V = (near, far) if wide else (far, near)
    return Spectrum(S, U, V, shorter, rank)


def spectral_shift(before: Float[Tensor, " s"], after: Float[Tensor, " s"]) -> float:
    """||s(W1) - s(W0)|| / ||s(W0)||, both descending (NSS). At most ||dW|| / ||W0|| (Mirsky)."""
    return float((after - before).norm() / before.norm())


def rotation(
    before: Float[Tensor, "rows k"], after: Float[Tensor, "rows k"]
) -> tuple[float, float]:
    """Largest and median principal angle of two k-dimensional subspaces, in degrees.

    Sines from the residual where the cosine is near 1, else the cosine (Bjorck and Golub 1973).
    """
    inside = before.T @ after
    sines = torch.linalg.svdvals(after - before @ inside).flip(0)
    cosines = torch.linalg.svdvals(inside)
    angles = torch.where(
        cosines > SINE_ABOVE, sines.clamp(max=1).asin(), cosines.clamp(max=1).acos()
    )
    degrees = angles.rad2deg()
    return float(degrees.max()), float(degrees.quantile(0.5))
