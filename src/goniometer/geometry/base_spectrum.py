"""The spectrum of a weight matrix, whole, and how far a run turned its top singular subspaces.

Sources: arXiv 2511.08567 as restated with formulas in arXiv 2606.07082, section 3.1: normalised
spectral shift and principal-angle rotation. We take the angles from sines, as acos of a cosine near
1 keeps half of the digits, and rotations here are often far below a degree.
"""

from dataclasses import dataclass
from typing import final

import scipy.linalg
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas import AbstractMatrix, LowRank
from goniometer.geometry.subspace import SINE_ABOVE

# Singular values under this share of the first are rounding in a Gram matrix, or near it.
RANK_FLOOR = 1e-6


@final
@dataclass(frozen=True)
class Spectrum:
    """All singular values of an m x n weight and its top k singular vectors, in float64.

    From the Gram matrix of the shorter side: one product and one symmetric eigenproblem, a fraction
    of an SVD's time. A Gram squares the condition number, so singular values are within 1e-8 of the
    first, and those above 1e-4 of the first within 1e-12. In float32 a shift of 1e-5 would be lost.
    """

    S: Float[Tensor, " s"]  # descending, s the shorter side
    U: Float[Tensor, "m k"]
    V: Float[Tensor, "n k"]
    rank: int  # numerical, as far as a Gram can tell


@final
@dataclass(frozen=True)
class Base:
    """A base's weight, its spectrum, and all singular vectors of its shorter side."""

    W: Float[Tensor, "m n"]
    gram: Float[Tensor, "s s"]
    spectrum: Spectrum
    shorter: Float[Tensor, "s s"]

    @property
    def wide(self) -> bool:
        """Whether the shorter side is the left one; that of a square matrix is."""
        return _is_wide(self.W)


def decompose_base(W: Float[Tensor, "m n"], k: int) -> Base:
    """Decompose a base's weight once for all runs."""
    gram = gram_of(W)
    values, vectors = torch.linalg.eigh(gram)
    shorter = vectors.flip(1)
    return Base(W, gram, _spectrum(W, values, shorter, k), shorter)


def tuned_spectrum(
    base: Base, update: AbstractMatrix, dW: Float[Tensor, "m n"], k: int
) -> Spectrum:
    """Spectrum of W0 + dW, dW being the update formed; its Gram from thin products if low rank."""
    W = base.W + dW
    gram = _moved_gram(base, update) if isinstance(update, LowRank) else gram_of(W)
    s = len(gram)
    # Some vectors by one routine and all values by another take half as long as all of both.
    top = scipy.linalg.eigh(gram.numpy(), subset_by_index=(s - min(k, s), s - 1))[1]
    return _spectrum(W, torch.linalg.eigvalsh(gram), torch.from_numpy(top).flip(1), k)


def gram_of(W: Float[Tensor, "m n"]) -> Float[Tensor, "s s"]:
    """Gram matrix of the shorter side."""
    return W @ W.T if _is_wide(W) else W.T @ W


def _is_wide(W: Float[Tensor, "m n"]) -> bool:
    return W.shape[0] <= W.shape[1]


def _moved_gram(base: Base, update: LowRank) -> Float[Tensor, "s s"]:
    """(W0 + X Y')' (W0 + X Y') = gram + P Y' + Y P' + Y (X' X) Y' with P = W0' X; or the sides."""
    B, A = update.scale * update.B.double(), update.A.double().T
    W, X, Y = (base.W, A, B) if base.wide else (base.W.T, B, A)
    cross = (W @ X) @ Y.T
    return base.gram + cross + cross.T + Y @ (X.T @ X) @ Y.T


def _spectrum(
    W: Float[Tensor, "m n"], values: Float[Tensor, " s"], vectors: Float[Tensor, "s v"], k: int
) -> Spectrum:
    S = values.flip(0).clamp(min=0).sqrt()
    rank = int((RANK_FLOOR * S[0] < S).sum())
    near = vectors[:, : min(k, rank)]
    far = (W.T @ near if _is_wide(W) else W @ near) / S[: near.shape[1]]
    U, V = (near, far) if _is_wide(W) else (far, near)
    return Spectrum(S, U, V, rank)


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
