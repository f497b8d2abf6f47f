"""From modules to scopes: how readings of many modules become one number, with their nulls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.base import Measure
from goniometer.geometry.cosine import cosine, cosine_of_gap, off_direction_of_gap
from goniometer.results import Band

FEW = 40


@final
@dataclass(frozen=True)
class Columns:
    """Readings of one pair (or of the draws of a null) by module; NaN where undefined.

    Energies are squared norms; a module that a run does not adapt has energy 0 there.
    """

    values: Mapping[str, Float[Tensor, "draw module"]]
    gap: Float[Tensor, "draw module"]
    energy_a: Float[Tensor, "#draw module"]  # one row where all draws have the same
    energy_b: Float[Tensor, "#draw module"]

    def at(self, modules: Sequence[int]) -> "Columns":
        """Keep some modules."""
        index = torch.tensor(modules, dtype=torch.long)
        values = {name: value[:, index] for name, value in self.values.items()}
        return Columns(values, self.gap[:, index], self.energy_a[:, index], self.energy_b[:, index])


def scope_gap(columns: Columns) -> Float[Tensor, " draw"]:
    """||a/|a| - b/|b|||^2 over all the modules: sum of (p - q)^2 + p q gap.

    p and q are a module's norms as shares of the whole norms. Modules of one run only have the
    other's share 0. NaN where a whole update is zero.
    """
    p, q = (
        (energy / energy.sum(1, keepdim=True)).sqrt()
        for energy in (columns.energy_a, columns.energy_b)
    )
    return ((p - q).square() + (p * q * columns.gap).nan_to_num()).sum(1) + 0 * (p + q).sum(1)


def aggregate(measure: Measure, name: str, columns: Columns) -> Float[Tensor, " draw"]:
    """One number a draw for a measure over the modules at hand; NaN where undefined."""
    match measure.aggregation:
        case "cosine":
            gap = scope_gap(columns)
            if measure.of is cosine:
                return cosine_of_gap(gap)
            off = off_direction_of_gap(gap)
            return off.square() if name.endswith("energy") else off
        case "energy of a":
            return _weighted(columns.values[name], columns.energy_a, columns.energy_b)
        case "energy of b":
            return _weighted(columns.values[name], columns.energy_b, columns.energy_a)
        case "mean":
            return columns.values[name].nanmean(1)
        case "median":
            return torch.nanquantile(columns.values[name], 0.5, dim=1)


def _weighted(
    value: Float[Tensor, "draw module"],
    energy: Float[Tensor, "#draw module"],
    other: Float[Tensor, "#draw module"],
) -> Float[Tensor, " draw"]:
    """Energy-weighted mean; where the other update is zero, all of this one lies outside it."""
    outside = torch.where(other > 0, value.nan_to_num(), 1.0)
    return (outside * energy).sum(1) / energy.sum(1)


def band(values: Float[Tensor, " draw"]) -> Band | None:
    """2.5 %, 50 % and 97.5 % points of the draws that are defined; None where none is.

    Of fewer than FEW draws the ends are the smallest and the largest: no quantile lies between.
    """
    kept = values[values.isfinite()]
    if len(kept) == 0:
        return None
    ends = (0.0, 0.5, 1.0) if len(kept) < FEW else (0.025, 0.5, 0.975)
    low, median, high = torch.quantile(kept, torch.tensor(ends).double()).tolist()
    return Band(low=low, median=median, high=high, draws=len(kept))
