"""From modules to scopes: how readings of many modules become one number, with their nulls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.base import Aggregation, Measure
from goniometer.geometry.cosine import cosine, cosine_of_gap, off_direction_of_gap
from goniometer.results import Band

FEW = 40


@final
@dataclass(frozen=True)
class Columns:
    """Readings of one pair (or of the draws of a null) by module; NaN where undefined.

    Measures stand in the order of the table that they were read with. Energies are squared norms;
    a module that a run does not adapt has energy 0 there.
    """

    values: Float[Tensor, "measure draw module"]
    gap: Float[Tensor, "draw module"]
    energy_a: Float[Tensor, "#draw module"]  # one row where all draws have the same
    energy_b: Float[Tensor, "#draw module"]

    def at(self, modules: Sequence[int]) -> "Columns":
        """Keep some modules."""
        index = torch.tensor(modules, dtype=torch.long)
        return Columns(
            self.values[..., index],
            self.gap[:, index],
            self.energy_a[:, index],
            self.energy_b[:, index],
        )


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


def aggregate(measures: Mapping[str, Measure], columns: Columns) -> Float[Tensor, "measure draw"]:
    """One number a draw for every measure over the modules at hand; NaN where undefined."""
    ways = [measure.aggregation for measure in measures.values()]
    found = torch.full(columns.values.shape[:2], torch.nan, dtype=columns.values.dtype)
    for way in dict.fromkeys(ways):
        rows = [row for row, own in enumerate(ways) if own == way]
        found[rows] = _aggregated(way, columns.values[rows], columns)
    gap = scope_gap(columns)
    for row, (name, measure) in enumerate(measures.items()):
        if measure.aggregation == "cosine":
            found[row] = _of_gap(name, measure, gap)
    return found


def _aggregated(
    way: Aggregation, values: Float[Tensor, "some draw module"], columns: Columns
) -> Float[Tensor, "some draw"]:
    match way:
        case "cosine":  # of the scope's gap, not of its modules' readings
            return torch.full(values.shape[:2], torch.nan, dtype=values.dtype)
        case "energy of a":
            return _weighted(values, columns.energy_a, columns.energy_b)
        case "energy of b":
            return _weighted(values, columns.energy_b, columns.energy_a)
        case "mean":
            return values.nanmean(2)
        case "median":
            return medians(values)


def medians(values: Float[Tensor, "some draw module"]) -> Float[Tensor, "some draw"]:
    """Median over the modules where a value is defined; NaN where none is."""
    return torch.nanquantile(values, 0.5, dim=2) if values.numel() else values.sum(2)


def _of_gap(name: str, measure: Measure, gap: Float[Tensor, " draw"]) -> Float[Tensor, " draw"]:
    if measure.of is cosine:
        return cosine_of_gap(gap)
    off = off_direction_of_gap(gap)
    return off.square() if name.endswith("energy") else off


def _weighted(
    value: Float[Tensor, "some draw module"],
    energy: Float[Tensor, "#draw module"],
    other: Float[Tensor, "#draw module"],
) -> Float[Tensor, "some draw"]:
    """Energy-weighted mean; where the other update is zero, all of this one lies outside it."""
    outside = torch.where(other > 0, value.nan_to_num(), 1.0)
    return (outside * energy).sum(2) / energy.sum(1)


def band(values: Float[Tensor, " draw"]) -> Band | None:
    """2.5 %, 50 % and 97.5 % points of the draws that are defined; None where none is.

    Of fewer than FEW draws the ends are the smallest and the largest: no quantile lies between.
    """
    return bands(values[None])[0]


def bands(values: Float[Tensor, "measure draw"]) -> list[Band | None]:
    """Find the `band` of every row."""
    known = values.where(values.isfinite(), torch.nan)
    counts = known.isfinite().sum(1).tolist()
    points = torch.tensor((0.0, 0.025, 0.5, 0.975, 1.0)).to(known)
    found: list[Band | None] = []
    for count, row in zip(counts, torch.nanquantile(known, points, dim=1).T.tolist(), strict=True):
        low, high = (row[0], row[4]) if count < FEW else (row[1], row[3])
        found.append(Band(low=low, median=row[2], high=high, draws=count) if count else None)
    return found
