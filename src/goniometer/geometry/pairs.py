"""All pairs of runs at many low-rank modules of one shape: one Gram matrix a side and module.

The factors of all runs are stacked, and one product a side holds every inner product that any
measure of any pair needs; from there on all matrices are r x r. A Gram squares the condition
number: a factor whose equilibrated columns are worse conditioned than CONDITION is replaced by an
orthonormal basis of its columns (QR) before its module's Gram is formed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from goniometer.deltas import LowRank
from goniometer.deltas.matrix import SMALLEST, orthonormalise
from goniometer.geometry.base import PairBatch, inside_of_frames
from goniometer.geometry.cosine import gap_of_spectra
from goniometer.geometry.subspace import SINE_ABOVE

# Relative errors of a Gram route grow as eps * condition^2: under 1e-10 here.
CONDITION = 300.0
# Columns of a Gram matrix formed at once.
STRIP = 96


@final
@dataclass(frozen=True)
class ModulePairs:
    """One module: each run's spectrum, and every measure of all pairs. Runs without it are zero."""

    module: str
    shape: tuple[int, int]
    nominal_ranks: tuple[int, ...]  # columns of B; 0 for a run that does not adapt the module
    low_rank: tuple[bool, ...]
    ranks: Int[Tensor, " run"]  # numerical; of what is known of a large dense update
    sigma: Float[Tensor, "run r"]  # top singular values; all of them where `whole`
    energy: Float[Tensor, " run"]  # squared norms
    whole: Bool[Tensor, " run"]
    present: Bool[Tensor, " run"]
    gap: Float[Tensor, " pair"]
    values: Mapping[str, Float[Tensor, " pair"]]  # by measure; NaN where undefined
    residual: tuple[float, ...] = ()  # by run, where some were decomposed to their top only


@final
@dataclass(frozen=True)
class Frames:
    """One side of the stacked factors: X = Q R by module and run, with Q = X T never formed.

    `stacked` is [module, long, run, r]; `gram` is its product with itself.
    """

    stacked: Float[Tensor, "module long run r"]
    gram: Float[Tensor, "module run r run r"]
    R: Float[Tensor, "module run r r"]
    T: Float[Tensor, "module run r r"]


@final
@dataclass(frozen=True)
class Decomposed:
    """Thin SVDs of the updates of all runs at some modules, vectors as `stacked @ coefficients`."""

    sigma: Float[Tensor, "module run r"]
    left: Frames
    right: Frames
    u: Float[Tensor, "module run r r"]
    v: Float[Tensor, "module run r r"]


def pair_indices(runs: int) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """Positions of a and b in each pair, a before b."""
    index = torch.triu_indices(runs, runs, offset=1)
    return index[0], index[1]


def decompose(modules: Sequence[Sequence[LowRank | None]]) -> Decomposed:
    """Thin SVDs of low-rank updates: by module, one entry a run, None where a run has none."""
    count, runs = len(modules), len(modules[0])
    some = [x for row in modules for x in row if x is not None]
    (m, n), r = some[0].shape, max(x.B.shape[1] for x in some)
    B = torch.zeros(count, m, runs, r, dtype=torch.float64)
    A = torch.zeros(count, runs, r, n, dtype=torch.float64)
    scale = torch.zeros(count, runs, 1, 1, dtype=torch.float64)
    for i, row in enumerate(modules):
        for j, x in enumerate(row):
            if x is not None:
                B[i, :, j, : x.B.shape[1]] = x.B
                A[i, j, : x.A.shape[0]] = x.A
                scale[i, j] = x.scale
    left, right = _frames(B), _frames(A.permute(0, 3, 1, 2))
    core = scale * (left.R @ right.R.mT)
    u, sigma, vt = torch.linalg.svd(core)
    eps = max(m, n) * torch.finfo(torch.float64).eps
    floor = (sigma[..., :1] * eps).clamp(min=SMALLEST)
    # Of a difference of factors, what cancels leaves rounding of the factors' own size.
    sizes = torch.linalg.matrix_norm(left.R) * torch.linalg.matrix_norm(right.R)
    rounding = (sizes * scale[..., 0, 0].abs() * eps)[..., None]
    differences = torch.tensor(
        [[x is not None and x.trained_rank is not None for x in row] for row in modules]
    )
    floor = torch.where(differences[..., None], torch.maximum(floor, rounding), floor)
    kept = (sigma > floor).double()
    # Directions below the numerical rank are no directions: their vectors are zero.
    u, v = left.T @ u * kept[..., None, :], right.T @ vt.mT * kept[..., None, :]
    return Decomposed(sigma * kept, left, right, u, v)


def pair_batch(found: Decomposed, k: int) -> PairBatch:
    """All pairs of runs at all modules, module by module."""
    runs, r = found.sigma.shape[1:]
    a, b = pair_indices(runs)
    size = max(r, k)
    sigma_a, sigma_b = (
        _widened(found.sigma[:, x].flatten(0, 1)[:, None], size)[:, 0] for x in (a, b)
    )
    left = _overlaps(found.left.gram, found.u)[:, a, b].flatten(0, 1)
    right = _overlaps(found.right.gram, found.v)[:, a, b].flatten(0, 1)
    gap = gap_of_spectra(sigma_a[:, :r], sigma_b[:, :r], left, right)
    for pair in (gap < 2 * (1 - SINE_ABOVE)).nonzero().flatten().tolist():
        gap[pair] = _near_gap(found, pair // len(a), int(a[pair % len(a)]), int(b[pair % len(a)]))
    gap = gap.clamp(max=4)
    left, right = (_widened(_widened(x, size).mT, size).mT for x in (left, right))
    ranks = torch.minimum((sigma_a > 0).sum(1), (sigma_b > 0).sum(1))
    top_left, top_right = left[:, :k, :k], right[:, :k, :k]
    return PairBatch(
        energy_a=sigma_a.square().sum(1),
        energy_b=sigma_b.square().sum(1),
        gap=gap,
        left=top_left,
        right=top_right,
        inside=inside_of_frames(sigma_a, sigma_b, left, right, k),
        row_space=right.square().sum((1, 2)) / ranks,
        left_sines=_sines(found.left, found.u, top_left, k),
        right_sines=_sines(found.right, found.v, top_right, k),
    )


def _frames(stacked: Float[Tensor, "module long run r"]) -> Frames:
    gram = _gram(stacked)
    R, T, bad = _triangular(gram)
    if bool(bad.any()):
        for i, j in bad.nonzero().tolist():
            Q, factor = orthonormalise(stacked[i, :, j])
            stacked[i, :, j] = 0
            stacked[i, :, j, : Q.shape[1]] = Q
            R[i, j] = 0
            R[i, j, : Q.shape[1]] = factor
            T[i, j] = torch.eye(T.shape[-1], dtype=T.dtype)
        again = bad.any(1).nonzero().flatten()
        gram[again] = _gram(stacked[again])
    return Frames(stacked, gram, R, T)


def _gram(stacked: Float[Tensor, "module long run r"]) -> Float[Tensor, "module run r run r"]:
    count, _, runs, r = stacked.shape
    flat = stacked.flatten(2)
    gram = flat.new_empty(count, runs * r, runs * r)
    # Symmetric: a strip of columns needs its products with itself and with what follows only.
    for start in range(0, runs * r, STRIP):
        strip = slice(start, start + STRIP)
        product = flat[..., strip].mT @ flat[..., start:]
        gram[:, strip, start:], gram[:, start:, strip] = product, product.mT
    return gram.reshape(count, runs, r, runs, r)


def _triangular(
    gram: Float[Tensor, "module run r run r"],
) -> tuple[
    Float[Tensor, "module run r r"], Float[Tensor, "module run r r"], Bool[Tensor, "module run"]
]:
    """R and T = R^-1 of each run's factor, by Cholesky of equilibrated columns.

    A zero column has a zero row and column in R and in T. The third value says where this cannot
    be trusted.
    """
    blocks = torch.diagonal(gram, dim1=1, dim2=3).permute(0, 3, 1, 2)
    norms = blocks.diagonal(dim1=2, dim2=3).sqrt()
    inverse = torch.where(norms > 0, 1 / norms, 0.0)
    scaled = inverse[..., :, None] * blocks * inverse[..., None, :]
    scaled = scaled + torch.diag_embed((norms == 0).double())
    C, failed = torch.linalg.cholesky_ex(scaled, upper=True)
    eye = torch.eye(C.shape[-1], dtype=C.dtype).expand_as(C)
    T = torch.linalg.solve_triangular(C, eye, upper=True)
    condition = torch.linalg.matrix_norm(C) * torch.linalg.matrix_norm(T)
    # A failed factorisation leaves anything behind, NaN included.
    bad = (failed > 0) | ~(condition < CONDITION)
    return C * norms[..., None, :], inverse[..., :, None] * T, bad


def _overlaps(
    gram: Float[Tensor, "module run r run r"], vectors: Float[Tensor, "module run r s"]
) -> Float[Tensor, "module run run s s"]:
    """U_i' U_j for all runs i and j, with U = stacked @ vectors."""
    count, runs, r = gram.shape[:3]
    s = vectors.shape[-1]
    half = vectors.mT @ gram.reshape(count, runs, r, runs * r)  # U_i' X_j
    half = half.reshape(count, runs, s, runs, r).transpose(2, 3)
    return half @ vectors[:, None]


def _widened(x: Float[Tensor, "*pair p q"], size: int) -> Float[Tensor, "*pair p size"]:
    return torch.nn.functional.pad(x, (0, size - x.shape[-1]))


def _near_gap(found: Decomposed, module: int, i: int, j: int) -> Float[Tensor, ""]:
    """||a/|a| - b/|b|||^2 from differences, as 1 - cos has lost half of its digits here.

    Split b's columns into their part in span U_a and the residual E = U_b - U_a L, a's rows
    likewise with F = V_a - V_b R'; the three parts are orthogonal:
    |s_a R - L s_b|^2 + sum_j s_b,j^2 |E_j|^2 + sum_i s_a,i^2 |F_i|^2.
    """
    U_a, U_b = (found.left.stacked[module, :, run] @ found.u[module, run] for run in (i, j))
    V_a, V_b = (found.right.stacked[module, :, run] @ found.v[module, run] for run in (i, j))
    s_a, s_b = (found.sigma[module, run] / found.sigma[module, run].norm() for run in (i, j))
    left, right = U_a.T @ U_b, V_a.T @ V_b
    core = s_a[:, None] * right - left * s_b
    residual_left = (U_b - U_a @ left) * s_b
    residual_right = (V_a - V_b @ right.T) * s_a
    return core.square().sum() + residual_left.square().sum() + residual_right.square().sum()


def _sines(
    side: Frames,
    vectors: Float[Tensor, "module run r r"],
    overlap: Float[Tensor, "pair k k"],
    k: int,
) -> Float[Tensor, "pair k"]:
    """Sines of the principal angles, ascending, where some cosine is near 1; NaN elsewhere."""
    a, b = pair_indices(vectors.shape[1])
    sines = torch.full((len(overlap), k), torch.nan, dtype=torch.float64)
    near = torch.linalg.matrix_norm(overlap, ord=2) > SINE_ABOVE
    for pair in near.nonzero().flatten().tolist():
        module, i, j = pair // len(a), int(a[pair % len(a)]), int(b[pair % len(a)])
        U_a, U_b = (
            _widened(side.stacked[module, :, x] @ vectors[module, x, :, :k], k) for x in (i, j)
        )
        residual = U_b - U_a @ (U_a.T @ U_b)
        values = torch.linalg.svdvals(residual)
        sines[pair] = torch.nn.functional.pad(values, (0, k - len(values))).flip(0)
    return sines
