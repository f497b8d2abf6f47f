"""What is measured of a run against its base: the table, and how modules become one number."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.intruders import EPSILON
from goniometer.geometry.masks import (
    NO_ENTRIES,
    PRINCIPAL_RANK,
    PRINCIPAL_SHARE,
    UNCHANGED,
    Entries,
)
from goniometer.results import BaseNullKind, MeasureInfo, Reading


@final
@dataclass(frozen=True)
class AtModule:
    """One run at one module: what every measure read, and the draws of its nulls.

    `noise` is the norm to expect of the rounding of the run's stored weights, None where the update
    was not made by subtracting stored weights.
    """

    run: str
    module: str
    entries: Entries
    noise: float | None
    readings: Mapping[str, Reading]
    nulls: Mapping[str, Mapping[BaseNullKind, Float[Tensor, " draw"]]] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class BaseMeasure:
    """One row of the table: `of` says it of several modules' counts, else `over` joins readings."""

    info: MeasureInfo
    of: Callable[[Sequence[AtModule]], float | None] | None = None
    over: Callable[[Sequence[float]], float] = statistics.fmean
    missing: str = "zero delta"


def _relative_norm(modules: Sequence[AtModule]) -> float | None:
    whole = _sum(modules)
    return math.sqrt(whole.update / whole.base) if whole.base else None


def _noise(modules: Sequence[AtModule]) -> float | None:
    """Noise over the norm of the same modules' update."""
    stored = [module for module in modules if module.noise is not None]
    update = _sum(stored).update
    if not update:
        return None
    return math.hypot(*(module.noise or 0.0 for module in stored)) / math.sqrt(update)


def _share(name: str) -> Callable[[Sequence[AtModule]], float | None]:
    def of(modules: Sequence[AtModule]) -> float | None:
        whole = _sum(modules)
        return getattr(whole, name) / whole.entries if whole.entries else None

    return of


def _sum(modules: Sequence[AtModule]) -> Entries:
    return sum((module.entries for module in modules), NO_ENTRIES)


def _info(
    title: str, meaning: str, unit: str = "", limits: tuple[float, float | None] = (0, 1)
) -> MeasureInfo:
    return MeasureInfo.model_validate(
        {"title": title, "unit": unit, "range": limits, "meaning": meaning}
    )


_VIEWS = {"fp32": "as float32", "bf16": "after both are rounded to bfloat16"}

_ONE: dict[str, BaseMeasure] = {
    "relative_norm": BaseMeasure(
        _info("Relative norm", "||dW|| / ||W0|| over the modules of the scope.", "", (0, None)),
        _relative_norm,
        missing="the base is zero here",
    ),
    "spectral_shift": BaseMeasure(
        _info(
            "Spectral shift",
            "||s(W1) - s(W0)|| / ||s(W0)|| of all singular values, at most the relative norm; "
            "mean over modules (arXiv 2511.08567).",
            limits=(0, None),
        )
    ),
    "principal_overlap": BaseMeasure(
        _info(
            "Principal overlap",
            "Of the weights that change in bfloat16, the share among the "
            f"{PRINCIPAL_SHARE:.0%} largest of the rank-{PRINCIPAL_RANK} approximation of W0 (at "
            "small modules a quarter of the shorter side); mean over modules (arXiv 2511.08567).",
            "share",
        ),
    ),
    "storage_noise": BaseMeasure(
        _info(
            "Storage noise",
            "Norm to expect of the rounding of stored weights, over the norm of the update; "
            "an upper estimate above .5, since weights that did not move were not rounded anew.",
            limits=(0, None),
        ),
        _noise,
        missing="no update that was read from stored weights",
    ),
    "intruders": BaseMeasure(
        _info(
            "Intruders",
            "How many of the top-k left singular vectors of W1 have a cosine under "
            f"{EPSILON} to every one of W0; sum over modules (arXiv 2410.21228).",
            limits=(0, None),
        ),
        over=math.fsum,
    ),
}
_SHARES = {
    f"{kind}_{view}": BaseMeasure(
        _info(f"{title}, {view}", f"Share of weights with {test}, {how}.", "share"),
        _share(f"{kind}_{view}"),
        missing="no weights",
    )
    for kind, title, test in (
        ("unchanged", "Unchanged", f"|w1 - w0| at most {UNCHANGED} max(|w0|, |w1|)"),
        ("equal", "Equal bits", "w1 = w0"),
    )
    for view, how in _VIEWS.items()
}
_ROTATIONS = {
    f"rotation_{side}_{which}": BaseMeasure(
        _info(
            f"{which.capitalize()} rotation, {side}",
            f"{which.capitalize()} principal angle between the top-k {side} singular subspaces "
            "of W0 and W1; median over modules (arXiv 2511.08567).",
            "degrees",
            (0, 90),
        ),
        over=statistics.median,
    )
    for side in ("left", "right")
    for which in ("largest", "median")
}
BASE_MEASURES = _ONE | _SHARES | _ROTATIONS


def of_scope(name: str, modules: Sequence[AtModule]) -> Reading:
    """One reading over some modules; undefined with the modules' reason where none has a value."""
    if not modules:
        return Reading(undefined="no module of this scope")
    measure = BASE_MEASURES[name]
    if measure.of is not None:
        found = measure.of(modules)
        return Reading(undefined=measure.missing) if found is None else Reading(value=found)
    values = [module.readings[name].value for module in modules]
    defined = [value for value in values if value is not None]
    if defined:
        return Reading(value=measure.over(defined))
    reasons = dict.fromkeys(module.readings[name].undefined for module in modules)
    return Reading(undefined="; ".join(str(reason) for reason in reasons))


def null_of_scope(
    name: str, kind: BaseNullKind, modules: Sequence[AtModule]
) -> Float[Tensor, " draw"]:
    """Draws of a null over the modules that have it, as many as the module of fewest has."""
    drawn = [m.nulls[name][kind] for m in modules if kind in m.nulls.get(name, {})]
    count = min((len(draws) for draws in drawn), default=0)
    rows = zip(*(draws[:count].tolist() for draws in drawn), strict=True)
    return torch.tensor([BASE_MEASURES[name].over(row) for row in rows], dtype=torch.float64)
