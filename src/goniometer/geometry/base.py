"""What a measure of two updates is: a function of spectra and of how singular vectors overlap.

Every measure reads a PairBatch and nothing else, so real pairs, planted pairs and the draws of
a null go through the same code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.results import MeasureInfo


@final
@dataclass(frozen=True)
class PairBatch:
    """Pairs (a, b) of updates to one module, in float64, as seen from their thin SVDs.

    With a = U_a diag(sigma_a) V_a' and b likewise, `left` is U_a' U_b and `right` is V_a' V_b.
    Ranks are padded with zeros: a padded singular vector is the zero vector. `gap` is
    ||a/|a| - b/|b|||^2 = 2 (1 - cos), computed from differences where cos is near 1.
    `left_sines` are sines of the principal angles between the top-k left subspaces, ascending,
    from the explicit residual; NaN where cosines are small enough to be exact.
    """

    sigma_a: Float[Tensor, "pair ra"]
    sigma_b: Float[Tensor, "pair rb"]
    left: Float[Tensor, "pair ra rb"]
    right: Float[Tensor, "pair ra rb"]
    gap: Float[Tensor, " pair"]
    left_sines: Float[Tensor, "pair k"]
    right_sines: Float[Tensor, "pair k"]

    @property
    def k(self) -> int:
        """Size of the top-k subspaces."""
        return self.left_sines.shape[1]

    @cached_property
    def left_cosines(self) -> Float[Tensor, "pair k"]:
        """Singular values of the overlap of the top-k left subspaces, descending."""
        return torch.linalg.svdvals(self.left[:, : self.k, : self.k])

    @cached_property
    def right_cosines(self) -> Float[Tensor, "pair k"]:
        """Singular values of the overlap of the top-k right subspaces, descending."""
        return torch.linalg.svdvals(self.right[:, : self.k, : self.k])


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
