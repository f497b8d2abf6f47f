"""The largest singular triplets of a matrix of any size, with what is known of their error.

Small matrices and low rank are decomposed directly. Of a large dense one the top comes from
randomised subspace iteration (Halko, Martinsson and Tropp, SIAM Review 53, 2011, algorithms 4.4
and 5.1), with one deviation: the bases of all passes are kept, not the last one alone (block
Krylov, Musco and Musco, NeurIPS 2015). That needs the same passes over the matrix, and far fewer
of them where the spectrum is flat, as that of a full fine-tune is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas import AbstractMatrix, LowRank
from goniometer.deltas.matrix import SMALLEST, cut
from goniometer.seeds import derive

# The shorter side up to which a dense matrix is always decomposed directly.
DIRECT = 512
# Columns of the random start beyond k.
OVERSAMPLING = 10
# Passes over a matrix end when each residual is at most this share of the top singular value, ...
TOLERANCE = 1e-6
# ... or after so many.
PASSES = 12


@final
@dataclass(frozen=True)
class Top:
    """The q <= k largest singular triplets, in float64: fewer than k where the rank is lower.

    U is [m q], S is [q] descending, V is [n q], the columns of U and V orthonormal. `energy` is the
    squared Frobenius norm of the whole matrix. `whole`: no singular value is left out, so that
    U diag(S) V' is the matrix. `residuals` is ||M' u - s v|| of each triplet as a share of S[0]
    (M v = s u holds by construction; 0 where the decomposition was direct): some singular value
    lies within residual * S[0] of each S (Weyl).
    """

    U: Float[Tensor, "m q"]
    S: Float[Tensor, " q"]
    V: Float[Tensor, "n q"]
    energy: float
    whole: bool
    residuals: Float[Tensor, " q"]

    @property
    def residual(self) -> float:
        """The largest residual, as a share of S[0]; 0 of a zero matrix."""
        return float(self.residuals.max()) if len(self.residuals) else 0.0

    @property
    def share(self) -> float:
        """Share of the energy that the triplets hold; 1 of a zero matrix."""
        return min(1.0, float(self.S.square().sum()) / self.energy) if self.energy else 1.0


def top_svd(matrix: AbstractMatrix, k: int, *, exact: bool = False, seed: int = 0) -> Top:
    """Return the k largest singular triplets of a matrix, reading it by blocks of rows.

    Low rank, a shorter side of at most 512 (or that the bases of all passes would fill) and `exact`
    mean a direct decomposition in float64, which forms a dense matrix whole.
    """
    narrow = min(matrix.shape) <= max(DIRECT, PASSES * (k + OVERSAMPLING))
    if exact or narrow or isinstance(matrix, LowRank):
        svd = matrix.svd()
        U, S, V = (part[..., :k] for part in (svd.U, svd.S, svd.V))
        energy = float(svd.S.square().sum())
        return Top(U, S, V, energy, len(svd.S) <= k, torch.zeros_like(S))
    return _iterated(matrix, k, seed)


def tall_svd(
    matrix: AbstractMatrix, k: int
) -> tuple[Float[Tensor, "m k"], Float[Tensor, " r"], Float[Tensor, "n r"]]:
    """All singular values and right vectors of a tall matrix, and its first k left ones.

    R comes from the rows block by block (TSQR; Demmel et al., SIAM J. Sci. Comput. 34, 2012), and
    U = M V / S from one more reading, so that M is never held.
    """
    m, n = matrix.shape
    R = torch.zeros(0, n, dtype=torch.float64)
    for start, stop in matrix.blocks():
        R = torch.linalg.qr(torch.cat([R, matrix.rows(start, stop)]), mode="r").R
    u, s, vt = torch.linalg.svd(R, full_matrices=False)
    found = cut(u, s, vt.T, max(m, n))
    V, S = found.V[:, :k], found.S[:k]
    U = torch.cat([matrix.rows(*block) @ V / S for block in matrix.blocks()])
    return U, found.S, found.V


def _iterated(matrix: AbstractMatrix, k: int, seed: int) -> Top:
    energies = []

    def product(W: Float[Tensor, "n l"]) -> tuple[Float[Tensor, "m l"], Float[Tensor, "n l"]]:
        Y, Z, energy = _pass(matrix, W)
        energies.append(energy)
        return Y, Z

    generator = torch.Generator().manual_seed(derive(seed, "top svd", matrix.shape, k))
    size = (matrix.shape[1], k + OVERSAMPLING)
    start = torch.randn(size, generator=generator, dtype=torch.float64)
    return replace(krylov(product, start, k), energy=energies[0])


def krylov(
    product: Callable[[Tensor], tuple[Tensor, Tensor]],
    start: Float[Tensor, "n l"],
    k: int,
    tolerance: float = TOLERANCE,
) -> Top:
    """The k largest triplets of a matrix of n columns that is known by its products alone.

    `product` takes W, n x l, and returns M W and M' M W. `start` has k columns or more, random
    where nothing is known of the right singular vectors; PASSES times as many must fit in n.
    `energy` is that of the triplets: of the rest nothing is known.
    """
    W = fresh = torch.linalg.qr(start).Q
    Y, Z = last = product(fresh)
    top = _ritz(W, Y, Z, k)
    for _ in range(PASSES - 1):
        if top.residual <= tolerance:
            break
        fresh = _against(W, last[1])
        last = product(fresh)
        W, Y, Z = (torch.cat(both, 1) for both in ((W, fresh), (Y, last[0]), (Z, last[1])))
        top = _ritz(W, Y, Z, k)
    return top


def _pass(
    matrix: AbstractMatrix, W: Float[Tensor, "n l"]
) -> tuple[Float[Tensor, "m l"], Float[Tensor, "n l"], float]:
    """M W, M' M W and ||M||^2 in one reading of the rows."""
    products, normal, energy = [], torch.zeros_like(W), 0.0
    for start, stop in matrix.blocks():
        rows = matrix.rows(start, stop)
        products.append(rows @ W)
        normal += rows.T @ products[-1]
        energy += float(rows.square().sum())
    return torch.cat(products), normal, energy


def _ritz(
    W: Float[Tensor, "n l"],
    Y: Float[Tensor, "m l"],
    Z: Float[Tensor, "n l"],
    k: int,
) -> Top:
    """The best triplets that the span of W holds, from Y = M W and Z = M' M W (Rayleigh-Ritz).

    With Y = Q R and R = u s v': V = W v, U = Q u, and M' U = Z v / s gives the residual.
    """
    Q, R = torch.linalg.qr(Y)
    u, s, vt = torch.linalg.svd(R)
    size = max(len(Y), len(W))
    floor = max(float(s[0]) * size * torch.finfo(s.dtype).eps, SMALLEST)
    rank = int((s > floor).sum())
    q = min(k, rank)
    S, v = s[:q], vt[:q].T
    V = W @ v
    residuals = (Z @ v / S - V * S).norm(dim=0) / s[0] if q else S
    # More random columns than the rank leave nothing out: Y spans the whole column space.
    whole = rank <= k and rank < W.shape[1]
    return Top(Q @ u[:, :q], S, V, float(S.square().sum()), whole, residuals)


def _against(W: Float[Tensor, "n l"], X: Float[Tensor, "n b"]) -> Float[Tensor, "n b"]:
    """An orthonormal basis of X outside span W: Gram-Schmidt twice, as once is not enough."""
    for _ in range(2):
        X = torch.linalg.qr(X - W @ (W.T @ X)).Q
    return X
