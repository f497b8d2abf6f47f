"""What a measure reads when two updates have nothing to do with each other, by simulation.

Both nulls are isotropic: B and A are Gaussian. Trained inputs are not isotropic, so strangers'
adapters can exceed them on the right side without sharing anything but their inputs.

- independent: B and A drawn anew for each run.
- shared_A0: one A for both, B independent: what a common initialisation alone gives while A
  stays where it started.

Draws are exact and cost r^3 whatever the module's size: the R factor of an m x r Gaussian is
drawn by Bartlett's decomposition, and the overlap of two independent random r-frames in m
dimensions is G R^-1 with R'R = G'G + W, G an r x r Gaussian and W Wishart of m - r degrees.
"""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.base import PairBatch
from goniometer.geometry.cosine import gap_of_spectra
from goniometer.results import NullKind
from goniometer.seeds import derive

Array = np.ndarray


@lru_cache(maxsize=256)
def null_pairs(
    kind: NullKind, shape: tuple[int, int], ranks: tuple[int, int], k: int, draws: int, seed: int
) -> PairBatch:
    """Draw pairs of unrelated updates of a module with these ranks.

    Raises:
        ValueError: a shared A0 with two different ranks, which cannot be.
    """
    (m, n), (ra, rb) = shape, ranks
    if kind == "shared_A0" and ra != rb:
        raise ValueError(f"no shared A0 at ranks {ra} and {rb}")
    rng = np.random.default_rng(derive(seed, "null", kind, shape, ranks, draws))
    RA_a = _gaussian_r(rng, n, ra, draws)
    RA_b = RA_a if kind == "shared_A0" else _gaussian_r(rng, n, rb, draws)
    _, sigma_a, Wa = _core(_gaussian_r(rng, m, ra, draws) @ RA_a.mT)
    _, sigma_b, Wb = _core(_gaussian_r(rng, m, rb, draws) @ RA_b.mT)
    # Rotating a random frame by its own core leaves it random: only a shared A keeps the rotation.
    left = _frame_overlap(rng, m, ra, rb, draws)
    right = Wa.mT @ Wb if kind == "shared_A0" else _frame_overlap(rng, n, ra, rb, draws)
    exact = torch.full((draws, k), torch.nan, dtype=torch.float64)
    gap = gap_of_spectra(sigma_a, sigma_b, left, right)
    return PairBatch(sigma_a, sigma_b, left, right, gap, exact, exact)


def _core(
    core: Float[Tensor, "draw r s"],
) -> tuple[Float[Tensor, "draw r s"], Float[Tensor, "draw s"], Float[Tensor, "draw s s"]]:
    u, s, vt = torch.linalg.svd(core, full_matrices=False)
    return u, s, vt.mT


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
    below = _gaussian_r(rng, m - ra, rb, draws) if m > ra else torch.zeros(draws, 1, rb).double()
    R = torch.linalg.qr(torch.cat([top, below], dim=1), mode="r").R
    # LAPACK picks R's signs from the data; a positive diagonal keeps the overlap's signs random.
    R = R * R.diagonal(dim1=1, dim2=2).sign()[:, :, None]
    overlap: Tensor = torch.linalg.solve_triangular(R, top, upper=True, left=False)
    return overlap
