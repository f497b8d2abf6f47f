"""How changes relate: measures of pairs of updates, from weights only, no model.

To add a measure of a pair: write a function of a PairBatch in the file of its subject (or a new
one), with the source of its formula, and add its line to MEASURES: title, unit, range, meaning,
and how modules aggregate. Nulls, layers, tables and charts follow. Measures of one update go
into SPECTRA in spectrum.py likewise.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from goniometer.geometry.base import Aggregation, Measure, PairBatch
from goniometer.geometry.cosine import cosine, off_direction, off_direction_energy
from goniometer.geometry.spectrum import SPECTRA
from goniometer.geometry.subspace import (
    Side,
    angle,
    off_subspace,
    overlap,
    row_space_overlap,
    u1,
    v1,
)
from goniometer.results import MeasureInfo


def _measure(
    title: str,
    meaning: str,
    of: Callable[[PairBatch], Any],
    aggregation: Aggregation,
    unit: str = "",
    limits: tuple[float, float] = (0, 1),
) -> Measure:
    info = MeasureInfo.model_validate(
        {"title": title, "unit": unit, "range": limits, "meaning": meaning}
    )
    return Measure(info, of, aggregation)


_SIDES: dict[Side, str] = {
    "left": "out features, columns of U",
    "right": "in features, columns of V",
}

MEASURES: dict[str, Measure] = {
    "cosine": _measure(
        "Cosine", "Frobenius cosine; energy-weighted over modules.", cosine, "cosine", "", (-1, 1)
    ),
    "cosine_mean": _measure(
        "Cosine, mean", "Mean of the modules' cosines.", cosine, "mean", "", (-1, 1)
    ),
    "cosine_median": _measure(
        "Cosine, median", "Median of the modules' cosines.", cosine, "median", "", (-1, 1)
    ),
    "off_direction": _measure(
        "Off direction", "sqrt(1 - cos^2): the cosine said again, as a norm.",
        off_direction, "cosine",
    ),
    "off_direction_energy": _measure(
        "Off direction, energy", "1 - cos^2: the share of energy off the other's line.",
        off_direction_energy, "cosine", "share",
    ),
} | {
    f"off_subspace_{side}{suffix}": _measure(
        f"Off subspace, {side}{', reverse' if suffix else ''}",
        f"Share of the energy of {of} outside the top-k {side} subspace of {outside}.",
        partial(off_subspace, side=side, reverse=bool(suffix)),
        "energy of a" if suffix else "energy of b",
        "share",
    )
    for side in ("left", "right", "joint")
    for suffix, of, outside in (("", "b", "a"), ("_reverse", "a", "b"))
} | {
    f"angle_{side}_{which}": _measure(
        f"{which.capitalize()} angle, {side}",
        f"{which.capitalize()} principal angle of the top-k {side} subspaces "
        f"({_SIDES[side]}); median over modules.",
        partial(angle, side=side, which=which),
        "median",
        "degrees",
        (0, 90),
    )
    for side in _SIDES
    for which in ("smallest", "median", "largest")
} | {
    f"overlap_{side}": _measure(
        f"Overlap, {side}",
        "phi, the mean squared cosine of the principal angles; median over modules.",
        partial(overlap, side=side),
        "median",
    )
    for side in _SIDES
} | {
    "row_space_overlap": _measure(
        "Row space overlap",
        "Mean squared cosine of the principal angles between the whole row spaces; near 1 where "
        "two runs started from one random A; median over modules.",
        row_space_overlap,
        "median",
    ),
    "u1": _measure(
        "u1", "Absolute cosine of the top left singular vectors; median over modules.",
        u1, "median",
    ),
    "v1": _measure(
        "v1", "Absolute cosine of the top right singular vectors; median over modules.",
        v1, "median",
    ),
}  # fmt: skip

__all__ = ["MEASURES", "SPECTRA", "Measure", "PairBatch"]
