"""What a measure reads when two updates have nothing to do with each other, by simulation.

Both nulls keep the shapes, ranks and spectra of the real updates and draw the directions:

- independent: left and right singular vectors are uniformly random frames.
- shared_A0: the right singular vectors are random within one common r-dimensional row space,
  that of a shared initial A: what the initialisation alone gives while A stays where it started.

Of an update of high rank only the TOP largest singular values are drawn with their directions. The
rest of its energy, its tail, spreads over many directions: it lies within a subspace in proportion
to the subspace's size, and adds to an inner product what a normal variable of its variance adds.

They are isotropic. Real inputs are not, so strangers' adapters can exceed them on the right side
without sharing anything but their inputs.

A draw is exact and costs r^3 whatever the module's size. Two independent uniformly random frames
of ra and rb vectors in R^m overlap as G R^-1 with R'R = G'G + W, where G is an ra x rb Gaussian
and W a Wishart matrix of m - ra degrees, drawn by Bartlett's decomposition (Muirhead, Aspects of
Multivariate Statistical Theory, 1982, theorem 3.2.14).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.base import PairBatch, inside_of_frames
from goniometer.results import NullKind
from goniometer.seeds import derive

# Singular values that are drawn with their directions; LoRA ranks up to this have no tail.
TOP = 64


@final
@dataclass(frozen=True)
class Spectrum:
    """Singular values of an update of norm 1, the largest first, and the energy of the others."""

    values: tuple[float, ...]
    tail: float = 0.0
    rank: int | None = None  # of the whole update, where it is low rank

    @property
    def energy(self) -> float:
        """Squared norm, tail included."""
        return sum(value**2 for value in self.values) + self.tail


def null_pairs(
    kind: NullKind,
    shape: tuple[int, int],
    spectra: tuple[Spectrum, Spectrum],
    k: int,
    draws: int,
    seed: int,
) -> PairBatch:
    """Draw pairs of unrelated updates of a module with these singular values.

    Raises:
        ValueError: a shared A0 with two different ranks, which cannot be.
    """
    (m, n), (a, b) = shape, spectra
    ra, rb = len(a.values), len(b.values)
    if kind == "shared_A0" and (a.rank is None or a.rank != b.rank):
        raise ValueError(f"no shared A0 at ranks {a.rank} and {b.rank}")
    width = a.rank if kind == "shared_A0" and a.rank else n  # dimensions that V lies in
    rng = np.random.default_rng(derive(seed, "null", kind, shape, ra, rb, draws))
    left = _frame_overlap(rng, m, ra, rb, draws)
    right = _frame_overlap(rng, width, ra, rb, draws)
    sigma_a, sigma_b = (
        torch.tensor(x.values, dtype=torch.float64).expand(draws, -1) for x in spectra
    )
    inner = torch.einsum("pi,pij,pij,pj->p", sigma_a, left, right, sigma_b)
    drawn = (a.energy - a.tail) * (b.energy - b.tail)
    spread = ((a.energy * b.energy - drawn) / (m * width)) ** 0.5
    if spread > 0:
        inner = inner + spread * torch.from_numpy(rng.standard_normal(draws))
    inside = inside_of_frames(sigma_a, sigma_b, left, right, k)
    for (space, reverse), value in inside.items():
        share = {"left": k / m, "right": k / width, "joint": k / m * k / width}[space]
        inside[space, reverse] = value + min(share, 1.0) * (a.tail if reverse else b.tail)
    exact = torch.full((draws, k), torch.nan, dtype=torch.float64)
    return PairBatch(
        energy_a=torch.full((draws,), a.energy, dtype=torch.float64),
        energy_b=torch.full((draws,), b.energy, dtype=torch.float64),
        gap=2 * (1 - inner / (a.energy * b.energy) ** 0.5),
        left=_top(left, k), right=_top(right, k), inside=inside,
        row_space=_row_space(a, b, right, width), left_sines=exact, right_sines=exact,
    )  # fmt: skip


def _top(overlap: Float[Tensor, "draw ra rb"], k: int) -> Float[Tensor, "draw k k"]:
    top = overlap[:, :k, :k]
    return torch.nn.functional.pad(top, (0, k - top.shape[2], 0, k - top.shape[1]))


def _row_space(
    a: Spectrum, b: Spectrum, right: Float[Tensor, "draw ra rb"], width: int
) -> Float[Tensor, " draw"]:
    """Mean cos^2 between whole row spaces; its mean where they are too large to be drawn."""
    draws = len(right)
    if a.rank is None or b.rank is None:
        return torch.full((draws,), torch.nan, dtype=torch.float64)
    if a.tail or b.tail:
        return torch.full((draws,), max(a.rank, b.rank) / width, dtype=torch.float64)
    return right.square().sum((1, 2)) / min(a.rank, b.rank)


def _gaussian_r(rng: np.random.Generator, m: int, r: int, draws: int) -> Float[Tensor, "draw s r"]:
    """R of the QR of an m x r standard Gaussian: chi on the diagonal, normal above (Bartlett)."""
    rows = min(m, r)
    R = np.triu(rng.standard_normal((draws, rows, r)), 1)
    degrees = m - np.arange(rows)
    R[:, np.arange(rows), np.arange(rows)] = np.sqrt(rng.chisquare(degrees, (draws, rows)))
    return torch.from_numpy(R)


def _frame_overlap(
    rng: np.random.Generator, m: int, ra: int, rb: int, draws: int
) -> Float[Tensor, "draw ra rb"]:
    """U_a' U_b of two independent uniformly random frames of ra and rb vectors in R^m."""
    top = torch.from_numpy(rng.standard_normal((draws, ra, rb)))
    if m <= ra:
        # All of R^m against all of it: a random rotation (Mezzadri, Notices AMS 54, 2007).
        rotation, R = torch.linalg.qr(top)
        return rotation * R.diagonal(dim1=1, dim2=2).sign()[:, None]
    below = _gaussian_r(rng, m - ra, rb, draws)
    R = torch.linalg.cholesky(top.mT @ top + below.mT @ below, upper=True)
    overlap: Tensor = torch.linalg.solve_triangular(R, top, upper=True, left=False)
    return overlap
