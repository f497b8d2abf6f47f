"""What two updates share when each has only seen the same inputs: rows of A drawn from a moment S.

An update is B A with isotropic random B (m x r) and independent rows of A ~ N(0, S). That is what
gradients of unrelated errors give: a step on A adds sum_t (B'e_t) x_t', with errors e_t of mean 0
that know nothing of the inputs x_t, and the rows of that have a covariance proportional to E[x x'].

Only the right-hand side is drawn. It does not change under a rotation of the in features, so S's
eigenvalues are all that matters: A = G diag(sqrt(eigenvalues)) with a Gaussian G, in the axes of
S's eigenvectors. Of B it takes the R of its QR (Bartlett's decomposition, as in `nulls.py`), so
a draw costs r^2 times the rank of S, whatever m is.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas import LowRank
from goniometer.geometry import MEASURES
from goniometer.geometry.nulls import gaussian_r
from goniometer.geometry.pairs import decompose, pair_batch
from goniometer.geometry.scopes import bands
from goniometer.results import Band
from goniometer.seeds import derive

# Measures that inputs alone bear on.
RIGHT_HAND = tuple(
    name for name in MEASURES if "right" in name or name in ("v1", "row_space_overlap")
)
# Entries of all draws' A that stand in memory at once.
PIECE = 1 << 21

Draws = Mapping[str, Float[Tensor, " draw"]]


def draw_input_null(
    eigenvalues: Float[Tensor, " p"], out_features: int, rank: int, k: int, draws: int, seed: int
) -> Draws:
    """Draw the right-hand measures of pairs of updates that share their inputs' moment alone.

    Args:
        eigenvalues: of the moment, those that are not 0; their scale does not matter.
        out_features: m, rows of the update.
        rank: r of both updates.
        k: size of the top-k subspaces.
        draws: how many pairs.
        seed: of all draws.

    Returns:
        Draws by measure; NaN where an update's rank is under k.
    """
    deviations = eigenvalues.double().clamp(min=0).sqrt()
    size = max(1, PIECE // (rank * len(eigenvalues)))
    found: dict[str, list[Float[Tensor, " draw"]]] = {name: [] for name in RIGHT_HAND}
    for start in range(0, draws, size):
        count = min(size, draws - start)
        rng = np.random.default_rng(derive(seed, "input null", out_features, rank, start))
        R = gaussian_r(rng, out_features, rank, 2 * count)
        A = torch.from_numpy(rng.standard_normal((2 * count, rank, len(deviations)))) * deviations
        updates = [LowRank(*factors, 1.0) for factors in zip(R, A, strict=True)]
        drawn = decompose([updates[i : i + 2] for i in range(0, 2 * count, 2)])
        pairs = pair_batch(drawn, k)
        full = (drawn.sigma > 0).sum(2).amin(1) >= k
        for name, column in found.items():
            column.append(MEASURES[name].of(pairs).where(full, torch.nan))
    return {name: torch.cat(columns) for name, columns in found.items()}


def bands_of(drawn: Draws) -> dict[str, Band]:
    """Where each measure falls, of those that have a value."""
    found = zip(drawn, bands(torch.stack(list(drawn.values()))), strict=True)
    return {name: band for name, band in found if band is not None}


def over_modules(modules: list[Draws]) -> Draws:
    """The measures that are medians over modules, of modules that are drawn independently."""
    return {
        name: torch.nanquantile(torch.stack([drawn[name] for drawn in modules]), 0.5, dim=0)
        for name in RIGHT_HAND
        if MEASURES[name].aggregation == "median"
    }
