"""What a measure reads when two updates have nothing to do with each other, by simulation.

Both nulls keep the shapes, ranks and spectra of the real updates and draw the directions:

- independent: left and right singular vectors are uniformly random frames.
- shared_A0: the right singular vectors are random within one common r-dimensional row space,
  that of a shared initial A: what the initialisation alone gives while A stays where it started.

Of an update of high rank only the TOP largest singular values are drawn with their directions. The
rest of its energy, its tail, is drawn as if spread evenly over its other directions: normal
variables in inner products, chi-squared shares within a subspace.

They are isotropic. Real inputs are not, so strangers' adapters can exceed them on the right side
without sharing anything but their inputs.

A draw is exact and costs r^3 whatever the module's size. Two independent uniformly random frames
of ra and rb vectors in R^m overlap as G R^-1 with R'R = G'G + W, where G is an ra x rb Gaussian
and W a Wishart matrix of m - ra degrees, drawn by Bartlett's decomposition (Muirhead, Aspects of
Multivariate Statistical Theory, 1982, theorem 3.2.14).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.base import PairBatch, Space, inside_of_frames
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
    rank: int | None = None  # columns of the factors, where it is low rank

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
    # Dimensions that V lies in.
    width = min(a.rank, n) if kind == "shared_A0" and a.rank else n
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
    for reverse, of in ((False, b), (True, a)):
        if of.tail:
            sigma = sigma_a if reverse else sigma_b
            frames = (left.mT, right.mT) if reverse else (left, right)
            inside |= _with_tail(inside, reverse, of, sigma, frames, (m, width), k, rng)
    exact = torch.full((draws, k), torch.nan, dtype=torch.float64)
    return PairBatch(
        energy_a=torch.full((draws,), a.energy, dtype=torch.float64),
        energy_b=torch.full((draws,), b.energy, dtype=torch.float64),
        gap=2 * (1 - inner / (a.energy * b.energy) ** 0.5),
        left=_top(left, k), right=_top(right, k), inside=inside,
        row_space=_row_space((a, b), right, (m, n), width, rng),
        left_sines=exact, right_sines=exact,
    )  # fmt: skip


def _with_tail(
    inside: Mapping[tuple[Space, bool], Float[Tensor, " draw"]],
    reverse: bool,
    of: Spectrum,
    sigma: Float[Tensor, "draw rb"],
    frames: tuple[Float[Tensor, "draw ra rb"], Float[Tensor, "draw ra rb"]],
    sizes: tuple[int, int],
    k: int,
    rng: np.random.Generator,
) -> dict[tuple[Space, bool], Float[Tensor, " draw"]]:
    """Energies within the other's top-k subspaces, with what the tail adds to them."""
    (L, R), (m, width), draws = (x[:, :k] for x in frames), sizes, len(sigma)
    others = max(1, (of.rank or min(m, width)) - len(of.values))
    left, right = (
        torch.from_numpy(rng.chisquare(k * others, draws)) * of.tail / (others * size)
        for size in sizes
    )
    G = torch.from_numpy(rng.standard_normal((draws, L.shape[1], R.shape[1])))
    joint = (L * sigma[:, None]) @ R.mT + G * (of.tail / (m * width)) ** 0.5
    return {
        ("left", reverse): inside["left", reverse] + left.clamp(max=of.tail),
        ("right", reverse): inside["right", reverse] + right.clamp(max=of.tail),
        ("joint", reverse): joint.square().sum((1, 2)),
    }


def _top(overlap: Float[Tensor, "draw ra rb"], k: int) -> Float[Tensor, "draw k k"]:
    top = overlap[:, :k, :k]
    return torch.nn.functional.pad(top, (0, k - top.shape[2], 0, k - top.shape[1]))


def _row_space(
    spectra: tuple[Spectrum, Spectrum],
    right: Float[Tensor, "draw ra rb"],
    shape: tuple[int, int],
    width: int,
    rng: np.random.Generator,
) -> Float[Tensor, " draw"]:
    """Mean cos^2 between whole row spaces, which have no more dimensions than the module.

    Where they are too large to be drawn, a normal variable of the same mean and variance: that of
    the trace of P_a P_b for random projections of ranks p and q in R^d.
    """
    draws = len(right)
    a, b = spectra
    if a.rank is None or b.rank is None:
        return torch.full((draws,), torch.nan, dtype=torch.float64)
    p, q, d = min(a.rank, *shape), min(b.rank, *shape), width
    if len(a.values) == p and len(b.values) == q:
        return (right.square().sum((1, 2)) / min(p, q)).clamp(max=1)
    spread = 2 * p * q * (d - p) * (d - q) / (d**2 * (d - 1) * (d + 2)) if d > 1 else 0.0
    trace = p * q / d + spread**0.5 * torch.from_numpy(rng.standard_normal(draws))
    return (trace / min(p, q)).clamp(0, 1)


def gaussian_r(rng: np.random.Generator, m: int, r: int, draws: int) -> Float[Tensor, "draw s r"]:
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
    below = gaussian_r(rng, m - ra, rb, draws)
    R = torch.linalg.cholesky(top.mT @ top + below.mT @ below, upper=True)
    overlap: Tensor = torch.linalg.solve_triangular(R, top, upper=True, left=False)
    return overlap
