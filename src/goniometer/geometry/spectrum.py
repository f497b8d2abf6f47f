"""Sizes of one update, from its singular values."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.results import MeasureInfo


def norm(sigma: Float[Tensor, "module r"]) -> Float[Tensor, " module"]:
    """Frobenius norm: the root of the summed squares of the singular values."""
    return torch.linalg.vector_norm(sigma, dim=1)


def effective_rank(sigma: Float[Tensor, "module r"]) -> Float[Tensor, " module"]:
    """Exp of the entropy of sigma / sum sigma (Roy and Vetterli, EUSIPCO 2007)."""
    p = sigma / sigma.sum(1, keepdim=True)
    return torch.exp(-torch.xlogy(p, p).sum(1))


def participation_ratio(sigma: Float[Tensor, "module r"]) -> Float[Tensor, " module"]:
    """(sum sigma^2)^2 / sum sigma^4: how many directions carry the energy."""
    energy = sigma.square()
    return energy.sum(1).square() / energy.square().sum(1)


def stable_rank(sigma: Float[Tensor, "module r"]) -> Float[Tensor, " module"]:
    """||sigma||^2 / sigma_1^2 (Rudelson and Vershynin, J. ACM 54, 2007)."""
    return sigma.square().sum(1) / sigma[:, 0].square()


# Read for one run; over a scope the norm is the root of summed squares, the ranks are medians.
SPECTRA: dict[
    str, tuple[MeasureInfo, Callable[[Float[Tensor, "module r"]], Float[Tensor, " module"]]]
] = {
    "norm": (
        MeasureInfo(
            title="Norm", unit="", range=(0, None), meaning="Frobenius norm of the update."
        ),
        norm,
    ),
    "effective_rank": (
        MeasureInfo(
            title="Effective rank",
            unit="",
            range=(1, None),
            meaning="exp of the entropy of the normalised singular values; median over modules.",
        ),
        effective_rank,
    ),
    "participation_ratio": (
        MeasureInfo(
            title="Participation ratio",
            unit="",
            range=(1, None),
            meaning="How many directions carry the energy; median over modules.",
        ),
        participation_ratio,
    ),
    "stable_rank": (
        MeasureInfo(
            title="Stable rank",
            unit="",
            range=(1, None),
            meaning="Energy over that of the top direction; median over modules.",
        ),
        stable_rank,
    ),
}
