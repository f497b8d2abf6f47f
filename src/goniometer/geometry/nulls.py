"""What a measure reads when two updates have nothing to do with each other, by simulation.

Both nulls keep the shapes, ranks and spectra of the real updates and draw the directions:

- independent: left and right singular vectors are uniformly random frames.
- shared_A0: the right singular vectors are random within one common r-dimensional row space,
  that of a shared initial A: what the initialisation alone gives while A stays where it started.

They are isotropic. Real inputs are not, so strangers' adapters can exceed them on the right side
without sharing anything but their inputs.

A draw is exact and costs r^3 whatever the module's size. Two independent uniformly random frames
of ra and rb vectors in R^m overlap as G R^-1 with R'R = G'G + W, where G is an ra x rb Gaussian
and W a Wishart matrix of m - ra degrees, drawn by Bartlett's decomposition (Muirhead, Aspects of
Multivariate Statistical Theory, 1982, theorem 3.2.14).
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.base import PairBatch
from goniometer.geometry.cosine import gap_of_spectra
from goniometer.results import NullKind
from goniometer.seeds import derive

Spectrum = tuple[float, ...]


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
    (m, n), (ra, rb) = shape, (len(spectra[0]), len(spectra[1]))
    if kind == "shared_A0" and ra != rb:
        raise ValueError(f"no shared A0 at ranks {ra} and {rb}")
    rng = np.random.default_rng(derive(seed, "null", kind, shape, ra, rb, draws))
    left = _frame_overlap(rng, m, ra, rb, draws)
    right = _frame_overlap(rng, ra if kind == "shared_A0" else n, ra, rb, draws)
    sigma_a, sigma_b = (
        torch.tensor(spectrum, dtype=torch.float64).expand(draws, -1) for spectrum in spectra
    )
    exact = torch.full((draws, k), torch.nan, dtype=torch.float64)
    gap = gap_of_spectra(sigma_a, sigma_b, left, right)
    return PairBatch(sigma_a, sigma_b, left, right, gap, exact, exact)


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
