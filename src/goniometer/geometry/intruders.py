"""Intruder dimensions, and what an update of random directions would do to the same base.

Source: arXiv 2410.21228, algorithm 1: of the top K left singular vectors of W1, those whose largest
cosine to every left singular vector of W0 is under epsilon. Signs of singular vectors are free, so
the cosine is absolute (as in PEFT's `reduce_intruder_dimension`, whose K and epsilon we take). Any
direction that is new and large enough counts, a random one too: the null keeps the base and the
singular values of the update and draws its directions anew.

A draw needs neither weight: in the base's own singular bases W0 is diag(S0), and a random update
stays one. So its top singular vectors come from products with a diagonal and two thin matrices,
and their entries are the cosines sought.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas import AbstractMatrix, LowRank
from goniometer.deltas.matrix import orthonormalise
from goniometer.geometry.base_spectrum import Base, rotation
from goniometer.geometry.top import krylov, top_svd

EPSILON = 0.5
# The shorter side up to which the draws of a null are decomposed directly: no more than the bases
# of all passes take.
DIRECT = 240
# Singular values of a dense update that its null keeps; the rest of its energy is white noise.
KEPT = 32
# Draws of a null: those of a dense update cost as much as a product with the weights each.
DRAWS_LOW_RANK, DRAWS_DENSE = 20, 4
# Residual at which the top of a draw is taken, as a share of the update's first singular value.
TOLERANCE = 0.03
# Vectors beyond the top k, of the base and of the update, that its search starts from.
SPARE = 5


def largest_cosines(base: Base, U: Float[Tensor, "m K"]) -> Float[Tensor, " K"]:
    """Of each column of U the largest absolute cosine to a left singular vector of W0.

    Left vectors of a tall W0 are W0 v / s. What lies outside its numerical rank is no vector of it.
    """
    if base.wide:
        along = base.shorter.T @ U
    else:
        S = base.spectrum.S.clamp(min=1e-300)
        along = base.shorter.T @ (base.W.T @ U) / S[:, None]
    return along[: base.spectrum.rank].abs().amax(0)


def count_intruders(cosines: Float[Tensor, " K"]) -> int:
    """How many of the top vectors are near to no singular vector of the base."""
    return int((cosines < EPSILON).sum())


@final
@dataclass(frozen=True)
class Spread:
    """Singular values of an update as a null keeps them: some by value, the rest as energy."""

    S: Float[Tensor, " r"]
    rest: float  # Frobenius norm of what is left

    @property
    def draws(self) -> int:
        """How many draws of its null are affordable."""
        return DRAWS_DENSE if self.rest else DRAWS_LOW_RANK

    def norm(self, shape: tuple[int, int]) -> float:
        """Spectral norm: of the part kept, or of noise of the norm left (Bai and Yin 1988)."""
        noise = self.rest * sum(side**-0.5 for side in shape)
        return max([noise, *self.S[:1].tolist()])


def spread(update: AbstractMatrix, seed: int = 0) -> Spread:
    """All singular values of a low-rank update; the first of a dense one, and the norm left."""
    if isinstance(update, LowRank):
        return Spread(update.svd().S, 0.0)
    top = top_svd(update, min(KEPT, *update.shape), seed=seed)
    left = max(0.0, top.energy - float(top.S.square().sum()))
    return Spread(top.S, 0.0 if top.whole else left**0.5)


@final
@dataclass(frozen=True)
class RandomDirections:
    """What updates of random directions do: the same measures, a draw each."""

    intruders: Float[Tensor, " draw"]
    left: Float[Tensor, "draw 2"]  # largest and median rotation, degrees
    right: Float[Tensor, "draw 2"]


def random_directions(
    S0: Float[Tensor, " s"],
    shape: tuple[int, int],
    update: Spread,
    k: int,
    rng: np.random.Generator,
) -> RandomDirections:
    """Draw updates with these singular values and uniformly random singular vectors.

    S0 are all singular values of the base; k is the number of top vectors that are looked at.
    """
    counts, left, right = [], [], []
    e_left, e_right = (torch.eye(side, k, dtype=torch.float64) for side in shape)
    for _ in range(update.draws):
        U, V = _draw(S0, shape, update, k, rng)
        counts.append(count_intruders(U[: len(S0)].abs().amax(0)))
        left.append(rotation(e_left, U))
        right.append(rotation(e_right, V))
    return RandomDirections(*(torch.tensor(x, dtype=torch.float64) for x in (counts, left, right)))


def _draw(
    S0: Float[Tensor, " s"],
    shape: tuple[int, int],
    update: Spread,
    k: int,
    rng: np.random.Generator,
) -> tuple[Float[Tensor, "m k"], Float[Tensor, "n k"]]:
    """Top k singular vectors of diag(S0) + X diag(S) Y' + noise, X and Y random frames."""
    (m, n), s = shape, len(S0)
    X, Y = (torch.from_numpy(rng.standard_normal((side, len(update.S)))) for side in shape)
    if len(update.S):
        X, Y = orthonormalise(X)[0], orthonormalise(Y)[0]
    XS = X * update.S
    noise = None
    if update.rest:
        noise = torch.from_numpy(rng.standard_normal(shape))
        # Beside the frames, not on top of them: else it would raise the values that are kept.
        noise = noise - X @ (X.T @ noise)
        noise = noise - (noise @ Y) @ Y.T
        noise = noise * (update.rest / noise.norm())
    if s <= DIRECT:
        whole = torch.diag_embed(S0) if m == n else torch.zeros(shape, dtype=torch.float64)
        whole[range(s), range(s)] = S0
        whole = whole + XS @ Y.T + (0 if noise is None else noise)
        U, _, Vt = torch.linalg.svd(whole, full_matrices=False)
        return U[:, :k], Vt[:k].T

    def product(W: Float[Tensor, "n l"]) -> tuple[Float[Tensor, "m l"], Float[Tensor, "n l"]]:
        out = XS @ (Y.T @ W)
        out[:s] += S0[:, None] * W[:s]
        if noise is not None:
            out += noise @ W
        back = Y @ (XS.T @ out)
        back[:s] += S0[:, None] * out[:s]
        if noise is not None:
            back += noise.T @ out
        return out, back

    # The top is near that of the base, of the update, or of both.
    start = torch.cat([torch.eye(n, k + SPARE, dtype=torch.float64), Y[:, :SPARE]], dim=1)
    top = krylov(product, start, k, TOLERANCE * update.norm(shape) / float(S0[0]))
    return top.U, top.V
