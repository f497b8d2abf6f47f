"""All pairs of runs at one module, from the factors: one Gram matrix a side.

Each run's update is brought to its thin SVD (QR of the factors, SVD of the core). With the
singular vectors of all runs stacked, one product U'U and one V'V hold every overlap that any
measure of any pair needs. A Gram of raw factors would square the condition number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from goniometer.deltas import SVD, AbstractMatrix, LowRank
from goniometer.geometry.base import PairBatch
from goniometer.geometry.cosine import gap_of_spectra
from goniometer.geometry.subspace import SINE_ABOVE


@final
@dataclass(frozen=True)
class ModulePairs:
    """One module: each run's spectrum, and all pairs of runs. Runs without it have rank 0."""

    module: str
    shape: tuple[int, int]
    nominal_ranks: tuple[int, ...]  # columns of B; 0 for a run that does not adapt the module
    ranks: Int[Tensor, " run"]  # numerical
    sigma: Float[Tensor, "run r"]
    present: Bool[Tensor, " run"]
    batch: PairBatch


def pair_indices(runs: int) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """Positions of a and b in each pair, a before b."""
    index = torch.triu_indices(runs, runs, offset=1)
    return index[0], index[1]


def module_pairs(module: str, matrices: Sequence[AbstractMatrix | None], k: int) -> ModulePairs:
    """Decompose each run's update of a module and overlap all pairs.

    `matrices` has one entry a run, None where the run does not adapt the module.
    """
    shape = next(matrix.shape for matrix in matrices if matrix is not None)
    decompositions = [_empty(shape) if x is None else x.svd() for x in matrices]
    ranks = torch.tensor([len(svd.S) for svd in decompositions])
    width = max(int(ranks.max()), k)
    sigma = torch.stack([_padded(svd.S[None], width)[0] for svd in decompositions])
    U = torch.stack([_padded(svd.U, width) for svd in decompositions])
    V = torch.stack([_padded(svd.V, width) for svd in decompositions])
    a, b = pair_indices(len(matrices))
    left, right = _gram(U)[a, b], _gram(V)[a, b]
    gap = gap_of_spectra(sigma[a], sigma[b], left, right)
    for pair in (gap < 2 * (1 - SINE_ABOVE)).nonzero().flatten().tolist():
        i, j = int(a[pair]), int(b[pair])
        gap[pair] = _near_gap(sigma[i], sigma[j], U[i], U[j], V[i], V[j], left[pair], right[pair])
    batch = PairBatch(
        sigma[a], sigma[b], left, right, gap, _sines(U, left, a, b, k), _sines(V, right, a, b, k)
    )
    nominal = tuple(nominal_rank(matrix) for matrix in matrices)
    present = torch.tensor([matrix is not None for matrix in matrices])
    return ModulePairs(module, shape, nominal, ranks, sigma, present, batch)


def nominal_rank(matrix: AbstractMatrix | None) -> int:
    """Columns of B for low rank, the smaller side for dense, 0 for no update."""
    return (
        0 if matrix is None else matrix.rank if isinstance(matrix, LowRank) else min(matrix.shape)
    )


def _empty(shape: tuple[int, int]) -> SVD:
    m, n = shape
    return SVD(*(torch.zeros(size, dtype=torch.float64) for size in ((m, 0), (0,), (n, 0))))


def _padded(X: Float[Tensor, "rows r"], width: int) -> Float[Tensor, "rows width"]:
    return torch.nn.functional.pad(X, (0, width - X.shape[1]))


def _gram(Q: Float[Tensor, "run m r"]) -> Float[Tensor, "run run r r"]:
    runs, m, r = Q.shape
    stacked = Q.transpose(0, 1).reshape(m, runs * r)
    return (stacked.T @ stacked).reshape(runs, r, runs, r).transpose(1, 2)


def _near_gap(
    sigma_a: Float[Tensor, " r"],
    sigma_b: Float[Tensor, " r"],
    U_a: Float[Tensor, "m r"],
    U_b: Float[Tensor, "m r"],
    V_a: Float[Tensor, "n r"],
    V_b: Float[Tensor, "n r"],
    left: Float[Tensor, "r r"],
    right: Float[Tensor, "r r"],
) -> Float[Tensor, ""]:
    """||a/|a| - b/|b|||^2 from differences, as 1 - cos has lost half of its digits here.

    Split b's columns into their part in span U_a and the residual E = U_b - U_a L, a's rows
    likewise with F = V_a - V_b R'; the three parts are orthogonal:
    |s_a R - L s_b|^2 + sum_j s_b,j^2 |E_j|^2 + sum_i s_a,i^2 |F_i|^2.
    """
    s_a, s_b = sigma_a / sigma_a.norm(), sigma_b / sigma_b.norm()
    core = s_a[:, None] * right - left * s_b
    residual_left = (U_b - U_a @ left) * s_b
    residual_right = (V_a - V_b @ right.T) * s_a
    return core.square().sum() + residual_left.square().sum() + residual_right.square().sum()


def _sines(
    Q: Float[Tensor, "run m r"],
    overlap: Float[Tensor, "pair r r"],
    a: Int[Tensor, " pair"],
    b: Int[Tensor, " pair"],
    k: int,
) -> Float[Tensor, "pair k"]:
    """Sines of the principal angles, ascending, where some cosine is near 1; NaN elsewhere."""
    top = overlap[:, :k, :k]
    sines = torch.full((len(a), k), torch.nan, dtype=torch.float64)
    near = torch.linalg.matrix_norm(top, ord=2) > SINE_ABOVE if len(a) else torch.zeros(0).bool()
    for pair in near.nonzero().flatten().tolist():
        residual = Q[b[pair], :, :k] - Q[a[pair], :, :k] @ top[pair]
        sines[pair] = torch.linalg.svdvals(residual).flip(0)
    return sines
