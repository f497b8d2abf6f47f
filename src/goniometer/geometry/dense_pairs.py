"""All pairs of runs at one module where some update is not low rank: a checkpoint's, DoRA's.

An m x n update is never held whole in float64 unless it is small. Inner products, and the products
with the top singular vectors of all runs, are summed over blocks of rows, one pass over the files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas import AbstractMatrix, Dense, LowRank
from goniometer.deltas.matrix import BLOCK
from goniometer.geometry.base import PairBatch, Space
from goniometer.geometry.pairs import pair_indices
from goniometer.geometry.subspace import SINE_ABOVE
from goniometer.geometry.top import DIRECT, tall_svd, top_svd

# Updates of one module are held in float64 together while they take less than this.
HELD_BYTES = 1 << 26


@final
@dataclass(frozen=True)
class Parts:
    """What is known of one run's update: its top singular vectors, and all that is cheap.

    `sigma` is all singular values where `whole`, else the top ones. `rows` spans the row space
    where that is known and smaller than it might be.
    """

    U: Float[Tensor, "m k"]
    V: Float[Tensor, "n k"]
    sigma: Float[Tensor, " r"]
    energy: float
    whole: bool
    rows: Float[Tensor, "n s"] | None = None
    residual: float = 0.0  # of the top triplets, as a share of the first singular value


def parts(
    matrices: Sequence[AbstractMatrix | None], k: int, *, exact: bool
) -> tuple[list[AbstractMatrix | None], list[Parts]]:
    """The updates, held where that is cheap, and what is known of each.

    Low-rank updates are decomposed whole, by their factors; the others whole where their shorter
    side is small, and to k by `top_svd` where it is not.
    """
    m, n = next(x.shape for x in matrices if x is not None)
    held = [
        Dense(x.dense())
        if x is not None and not isinstance(x, LowRank) and is_small((m, n), len(matrices))
        else x
        for x in matrices
    ]
    return held, [_parts(x, (m, n), k, exact=exact) for x in held]


def is_small(shape: tuple[int, int], runs: int) -> bool:
    """Whether the updates of all runs at a module may be held in float64 together."""
    return shape[0] * shape[1] * 8 * runs <= HELD_BYTES


def _parts(matrix: AbstractMatrix | None, shape: tuple[int, int], k: int, *, exact: bool) -> Parts:
    m, n = shape
    if matrix is None:
        U, V = (torch.zeros(size, k, dtype=torch.float64) for size in shape)
        return Parts(U, V, U.new_zeros(0), energy=0.0, whole=True)
    if not (exact or isinstance(matrix, LowRank) or min(shape) <= DIRECT):
        # One more than is used: whether the k-th stands clear of the next.
        top = top_svd(matrix, k + 1)
        return Parts(
            _first(top.U, k), _first(top.V, k), top.S, top.energy, top.whole, residual=top.residual
        )
    tall = not isinstance(matrix, LowRank | Dense) and m > n
    if tall:
        U, S, V = tall_svd(matrix, k)
    else:
        svd = matrix.svd()
        U, S, V = svd.U, svd.S, svd.V
    rows = V if 0 < len(S) < min(shape) else None
    return Parts(_first(U, k), _first(V, k), S, float(S.square().sum()), whole=True, rows=rows)


def dense_pair_batch(
    matrices: Sequence[AbstractMatrix | None], found: Sequence[Parts], k: int
) -> PairBatch:
    """All pairs of runs at one module, from one pass over the rows of all updates."""
    U, V = torch.stack([x.U for x in found]), torch.stack([x.V for x in found])
    inner, held_right, products = _products(matrices, U, V)
    energy = inner.diagonal()
    norms = energy.sqrt()
    a, b = pair_indices(len(matrices))
    gap = 2 * (1 - inner[a, b] / (norms[a] * norms[b]))
    near = (gap < 2 * (1 - SINE_ABOVE)).nonzero().flatten().tolist()
    for pair in near:
        gap[pair] = _distance(matrices, int(a[pair]), int(b[pair]), norms)
    gap = gap.clamp(max=4)
    inside: dict[tuple[Space, bool], Float[Tensor, " pair"]] = {}
    for reverse, i, j in ((False, a, b), (True, b, a)):  # of run j within the subspaces of run i
        inside["left", reverse] = products[i, j].square().sum((1, 2))
        inside["right", reverse] = held_right[i, j]
        inside["joint", reverse] = (products[i, j] @ V[i]).square().sum((1, 2))
    left, right = U[a].mT @ U[b], V[a].mT @ V[b]
    return PairBatch(
        energy_a=energy[a], energy_b=energy[b], gap=gap, left=left, right=right, inside=inside,
        row_space=_row_space(found), left_sines=_sines(U, left),
        right_sines=_sines(V, right),
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


def _row_space(found: Sequence[Parts]) -> Float[Tensor, " pair"]:
    """Mean cos^2 between whole row spaces; NaN where one is not known, or is all there is."""
    values = []
    for one, other in combinations(found, 2):
        if one.rows is None or other.rows is None:
            values.append(float("nan"))
        else:
            ranks = one.rows.shape[1], other.rows.shape[1]
            values.append(float((one.rows.T @ other.rows).square().sum()) / min(ranks))
    return torch.tensor(values, dtype=torch.float64)


def _sines(
    Q: Float[Tensor, "run rows k"], overlap: Float[Tensor, "pair k k"]
) -> Float[Tensor, "pair k"]:
    """Sines of the principal angles, ascending, by the residual, where some cosine is near 1."""
    a, b = pair_indices(len(Q))
    sines = torch.full((len(overlap), Q.shape[2]), torch.nan, dtype=torch.float64)
    near = torch.linalg.matrix_norm(overlap, ord=2) > SINE_ABOVE
    for pair in near.nonzero().flatten().tolist():
        found = torch.linalg.svdvals(Q[b[pair]] - Q[a[pair]] @ overlap[pair])
        # A module narrower than k has no k angles; what needs them is undefined there.
        sines[pair] = torch.nn.functional.pad(found, (0, Q.shape[2] - len(found))).flip(0)
    return sines
