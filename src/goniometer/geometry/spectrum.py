"""Sizes of one update, from its energy and its singular values.

Of a large dense update only the top singular values are known: what needs the others is undefined.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.results import MeasureInfo


def norm(
    _: Float[Tensor, "module r"], energy: Float[Tensor, " module"]
) -> Float[Tensor, " module"]:
    """Frobenius norm: the root of the energy."""
    return energy.sqrt()


def effective_rank(
    sigma: Float[Tensor, "module r"], _: Float[Tensor, " module"]
) -> Float[Tensor, " module"]:
    """Exp of the entropy of sigma / sum sigma (Roy and Vetterli, EUSIPCO 2007)."""
    p = sigma / sigma.sum(1, keepdim=True)
    return torch.exp(-torch.xlogy(p, p).sum(1))


def participation_ratio(
    sigma: Float[Tensor, "module r"], energy: Float[Tensor, " module"]
) -> Float[Tensor, " module"]:
    """(sum sigma^2)^2 / sum sigma^4: how many directions carry the energy."""
    top = sigma[:, :1]  # divided by it, fourth powers stay within float64
    return (energy / top[:, 0].square()).square() / (sigma / top).pow(4).sum(1)


def stable_rank(
    sigma: Float[Tensor, "module r"], energy: Float[Tensor, " module"]
) -> Float[Tensor, " module"]:
    """||sigma||^2 / sigma_1^2 (Rudelson and Vershynin, J. ACM 54, 2007)."""
    return energy / sigma[:, 0].square()


@final
@dataclass(frozen=True)
class Size:
    """One row of the SPECTRA table; `needs_all` where the top singular values do not suffice."""

    info: MeasureInfo
    of: Callable[[Float[Tensor, "module r"], Float[Tensor, " module"]], Float[Tensor, " module"]]
    needs_all: bool = False


# Read for one run; over a scope the norm is the root of summed squares, the ranks are medians.
SPECTRA: dict[str, Size] = {
    "norm": Size(
        MeasureInfo(
            title="Norm", unit="", range=(0, None), meaning="Frobenius norm of the update."
        ),
        norm,
    ),
    "effective_rank": Size(
        MeasureInfo(
            title="Effective rank",
            unit="",
            range=(1, None),
            meaning="exp of the entropy of the normalised singular values; median over modules.",
        ),
        effective_rank,
        needs_all=True,
    ),
    "participation_ratio": Size(
        MeasureInfo(
            title="Participation ratio",
            unit="",
            range=(1, None),
            meaning="How many directions carry the energy; median over modules.",
        ),
        participation_ratio,
        needs_all=True,
    ),
    "stable_rank": Size(
        MeasureInfo(
            title="Stable rank",
            unit="",
            range=(1, None),
            meaning="Energy over that of the top direction; median over modules.",
        ),
        stable_rank,
    ),
}
