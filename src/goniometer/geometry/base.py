"""What a measure of two updates is: a function of energies and of how singular vectors overlap.

Every measure reads a PairBatch and nothing else, so real pairs, low rank or dense, planted pairs
and the draws of a null go through the same code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.results import MeasureInfo

Space = Literal["left", "right", "joint"]


@final
@dataclass(frozen=True)
class PairBatch:
    """Pairs (a, b) of updates to one module, in float64.

    With a = U_a diag(sigma_a) V_a' and b likewise, `left` is U_a,k' U_b,k and `right` is
    V_a,k' V_b,k: the overlaps of the top-k singular vectors; a vector beyond the rank is zero.
    `gap` is ||a/|a| - b/|b|||^2 = 2 (1 - cos), computed from differences where cos is near 1.
    `inside[space, reverse]` is the energy of b within a's top-k subspaces, of a within b's if
    reverse. `row_space` is the mean squared cosine of the whole row spaces, NaN where an
    update is of full rank or known by its top vectors only.
    `left_sines` are sines of the principal angles between the top-k left subspaces, ascending,
    from the explicit residual; NaN where cosines are small enough to be exact.
    """

    energy_a: Float[Tensor, " pair"]
    energy_b: Float[Tensor, " pair"]
    gap: Float[Tensor, " pair"]
    left: Float[Tensor, "pair k k"]
    right: Float[Tensor, "pair k k"]
    inside: Mapping[tuple[Space, bool], Float[Tensor, " pair"]]
    row_space: Float[Tensor, " pair"]
    left_sines: Float[Tensor, "pair k"]
    right_sines: Float[Tensor, "pair k"]

    @property
    def k(self) -> int:
        """Size of the top-k subspaces."""
        return self.left.shape[1]

    @cached_property
    def left_cosines(self) -> Float[Tensor, "pair k"]:
        """Singular values of the overlap of the top-k left subspaces, descending."""
        return torch.linalg.svdvals(self.left)

    @cached_property
    def right_cosines(self) -> Float[Tensor, "pair k"]:
        """Singular values of the overlap of the top-k right subspaces, descending."""
        return torch.linalg.svdvals(self.right)


def inside_of_frames(
    sigma_a: Float[Tensor, "pair ra"],
    sigma_b: Float[Tensor, "pair rb"],
    left: Float[Tensor, "pair ra rb"],
    right: Float[Tensor, "pair ra rb"],
    k: int,
) -> dict[tuple[Space, bool], Float[Tensor, " pair"]]:
    """Energies of one update within the other's top-k subspaces, from the overlaps of all vectors.

    left ||U_a,k' b||^2, right ||b V_a,k||^2, joint ||U_a,k' b V_a,k||^2.
    """
    found: dict[tuple[Space, bool], Float[Tensor, " pair"]] = {}
    for reverse, sigma, L, R in (
        (False, sigma_b, left[:, :k], right[:, :k]),
        (True, sigma_a, left.mT[:, :k], right.mT[:, :k]),
    ):
        held = L * sigma[:, None]
        found["left", reverse] = held.square().sum((1, 2))
        found["right", reverse] = (R * sigma[:, None]).square().sum((1, 2))
        found["joint", reverse] = (held @ R.mT).square().sum((1, 2))
    return found


Aggregation = Literal["cosine", "energy of a", "energy of b", "mean", "median"]
# How the modules of a scope become one number:
# cosine: from summed inner products and squared norms (energy-weighted);
# energy of a, of b: mean weighted by that run's squared norm, modules it has alone count as 1;
# mean, median: over the modules that both have.


@final
@dataclass(frozen=True)
class Measure:
    """One row of the MEASURES table."""

    info: MeasureInfo
    of: Callable[[PairBatch], Float[Tensor, " pair"]]
    aggregation: Aggregation
