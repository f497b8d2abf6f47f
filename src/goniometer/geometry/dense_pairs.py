"""All pairs of runs at one module where some update is not low rank: a checkpoint's, DoRA's.

An m x n update is never held whole in float64 unless it is small. Inner products, and the products
with the top singular vectors of all runs, are summed over blocks of rows, one pass over the files.
"""

from collections.abc import Sequence
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas import AbstractMatrix, Dense, LowRank
from goniometer.deltas.matrix import BLOCK
from goniometer.geometry.base import PairBatch, Space
from goniometer.geometry.pairs import pair_indices
from goniometer.geometry.subspace import SINE_ABOVE
from goniometer.geometry.top import DIRECT, Top, top_svd

# Updates of one module are held in float64 together while they take less than this.
HELD_BYTES = 1 << 26


def tops(
    matrices: Sequence[AbstractMatrix | None], k: int, *, exact: bool
) -> tuple[list[AbstractMatrix | None], list[Top]]:
    """The updates, held where that is cheap, and their top singular vectors.

    Low-rank updates are decomposed whole, by their factors; the others to k, by `top_svd`.
    """
    m, n = next(x.shape for x in matrices if x is not None)
    held = [
        Dense(x.dense())
        if x is not None and not isinstance(x, LowRank) and m * n * 8 * len(matrices) < HELD_BYTES
        else x
        for x in matrices
    ]
    return held, [_top(x, (m, n), k, exact=exact) for x in held]


def _top(matrix: AbstractMatrix | None, shape: tuple[int, int], k: int, *, exact: bool) -> Top:
    if matrix is not None and not (exact or isinstance(matrix, LowRank) or min(shape) <= DIRECT):
        return top_svd(matrix, k)
    if matrix is None:
        U, S, V = (torch.zeros(size).double() for size in ((shape[0], 0), (0,), (shape[1], 0)))
    else:
        svd = matrix.svd()
        U, S, V = svd.U, svd.S, svd.V
    return Top(U, S, V, float(S.square().sum()), whole=True, residuals=torch.zeros_like(S))


def dense_pair_batch(
    matrices: Sequence[AbstractMatrix | None], found: Sequence[Top], k: int
) -> PairBatch:
    """All pairs of runs at one module, from one pass over the rows of all updates."""
    U = torch.stack([_first(top.U, k) for top in found])
    V = torch.stack([_first(top.V, k) for top in found])
    inner, held_right, products = _products(matrices, U, V)
    energy = inner.diagonal()
    norms = energy.sqrt()
    a, b = pair_indices(len(matrices))
    gap = 2 * (1 - inner[a, b] / (norms[a] * norms[b]))
    near = (gap < 2 * (1 - SINE_ABOVE)).nonzero().flatten().tolist()
    for pair in near:
        gap[pair] = _distance(matrices, int(a[pair]), int(b[pair]), norms)
    inside: dict[tuple[Space, bool], Float[Tensor, " pair"]] = {}
    for reverse, i, j in ((False, a, b), (True, b, a)):  # of run j within the subspaces of run i
        inside["left", reverse] = products[i, j].square().sum((1, 2))
        inside["right", reverse] = held_right[i, j]
        inside["joint", reverse] = (products[i, j] @ V[i]).square().sum((1, 2))
    left, right = U[a].mT @ U[b], V[a].mT @ V[b]
    return PairBatch(
        energy_a=energy[a], energy_b=energy[b], gap=gap, left=left, right=right, inside=inside,
        row_space=_row_space(found), left_sines=_sines(U[a], U[b]),
        right_sines=_sines(V[a], V[b]),
    )  # fmt: skip


def _first(vectors: Float[Tensor, "rows q"], k: int) -> Float[Tensor, "rows k"]:
    return torch.nn.functional.pad(vectors[:, :k], (0, max(0, k - vectors.shape[1])))


def _products(
    matrices: Sequence[AbstractMatrix | None],
    U: Float[Tensor, "run m k"],
    V: Float[Tensor, "run n k"],
) -> tuple[Float[Tensor, "run run"], Float[Tensor, "run run"], Float[Tensor, "run run k n"]]:
    """<D_i, D_j>, ||D_j V_i||^2 and U_i' D_j for all runs i and j, a block of rows at a time."""
    runs, m, k = U.shape
    n = V.shape[1]
    inner, held_right = (torch.zeros(runs, runs, dtype=torch.float64) for _ in range(2))
    left = torch.zeros(runs, runs, k, n, dtype=torch.float64)
    step = max(1, BLOCK // (n * runs))
    for start in range(0, m, step):
        stop = min(start + step, m)
        rows = torch.zeros(runs, stop - start, n, dtype=torch.float64)
        for j, x in enumerate(matrices):
            if x is not None:
                rows[j] = x.rows(start, stop)
        flat = rows.flatten(1)
        inner += flat @ flat.T
        held_right += (rows @ V[:, None]).square().sum((2, 3))
        left += U[:, None, start:stop].mT @ rows
    return inner, held_right, left


def _distance(
    matrices: Sequence[AbstractMatrix | None], i: int, j: int, norms: Float[Tensor, " run"]
) -> float:
    """||a/|a| - b/|b|||^2 from the differences themselves."""
    a, b = matrices[i], matrices[j]
    if a is None or b is None:
        return float("nan")
    return sum(
        float((a.rows(*r) / norms[i] - b.rows(*r) / norms[j]).square().sum()) for r in a.blocks()
    )


def _row_space(found: Sequence[Top]) -> Float[Tensor, " pair"]:
    """Mean cos^2 between whole row spaces; NaN where one is not known, or is all there is."""
    values = []
    for one, other in combinations(found, 2):
        ranks = len(one.S), len(other.S)
        narrow = max(ranks) < min(len(one.U), len(one.V)) and min(ranks) > 0
        known = one.whole and other.whole and narrow
        shared = float((one.V.T @ other.V).square().sum()) if known else float("nan")
        values.append(shared / max(1, min(ranks)))
    return torch.tensor(values, dtype=torch.float64)


def _sines(
    Q_a: Float[Tensor, "pair rows k"], Q_b: Float[Tensor, "pair rows k"]
) -> Float[Tensor, "pair k"]:
    """Sines of the principal angles, ascending, by the residual (Bjorck and Golub 1973)."""
    found = torch.linalg.svdvals(Q_b - Q_a @ (Q_a.mT @ Q_b))
    # A module narrower than k has no k angles; what needs them is undefined there.
    return torch.nn.functional.pad(found, (0, Q_a.shape[2] - found.shape[1])).flip(1)
