"""Runs at one module of their base: the base's weight is read once, each run's update in turn.

Matrices in flight are float64. What has a shorter side above SIDE, more than ENTRIES entries or one
side LONG times the other (a vocabulary's embedding) is read by blocks of rows, for what can be
counted entry by entry only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas import AbstractMatrix, Delta, Dense, StoredTensor
from goniometer.deltas.rounding import difference_noise
from goniometer.geometry.base_measures import AtModule
from goniometer.geometry.base_spectrum import (
    Base,
    Spectrum,
    decompose_base,
    rotation,
    spectral_shift,
    tuned_spectrum,
)
from goniometer.geometry.intruders import (
    count_intruders,
    largest_cosines,
    random_directions,
    spread,
)
from goniometer.geometry.masks import (
    NO_ENTRIES,
    Entries,
    count_entries,
    overlap,
    principal_mask,
    principal_rank,
)
from goniometer.results import BaseNullKind, Reading
from goniometer.seeds import derive

# What a spectrum is computed of: a symmetric eigenproblem of this side takes seconds.
SIDE, ENTRIES, LONG = 4096, 1 << 26, 16
# Top vectors that are compared, fewer where the shorter side is under three times as many.
TOP = 10
# Draws of masks that are independent; they cost next to nothing.
MASK_DRAWS = 200
ROTATIONS = tuple(
    f"rotation_{side}_{which}" for side in ("left", "right") for which in ("largest", "median")
)
SPECTRAL = ("spectral_shift", *ROTATIONS, "intruders")
WHOLE = (*SPECTRAL, "principal_overlap")  # what needs the base's spectrum


@final
@dataclass(frozen=True, eq=False)
class Weight(AbstractMatrix):
    """A weight of the base as the updates are shaped: a vector is one column."""

    tensor: StoredTensor
    size: tuple[int, int]
    factor: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n); rows that the base alone has are left out."""
        return self.size

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Rows as stored, in float64."""
        stop = min(stop, self.size[0])
        return self.factor * self.tensor.rows(start, stop).reshape(stop - start, self.size[1])

    def scaled(self, factor: float) -> "Weight":
        """Return factor times the matrix."""
        return replace(self, factor=self.factor * factor)

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """Blocks of the file, as stored."""
        for start, stop in self.blocks():
            yield f"rows from {start}", self.tensor.stored(start, stop)


def at_module(
    module: str, weight: Weight, deltas: Mapping[str, Delta], seed: int
) -> Iterator[AtModule]:
    """Every measure of each run that changes a module; `deltas` are these runs.

    Raises:
        GoniometerError: a file is not whole, or holds NaN or Inf.
    """
    reason = _unaffordable(weight.shape)
    if reason:
        unread = dict.fromkeys(WHOLE, Reading(undefined=reason))
        for run, delta in deltas.items():
            update = delta[module]
            counts = _count(weight, update)
            yield AtModule(run, module, counts, difference_noise(update), unread)
        return
    k = max(1, min(TOP, min(weight.shape) // 3))
    base = decompose_base(weight.dense(), max(k, principal_rank(weight.shape)))
    for run, delta in deltas.items():
        rng = np.random.default_rng(derive(seed, "against base", run, module))
        yield _of_run(run, module, base, delta[module], k, rng)


def _unaffordable(shape: tuple[int, int]) -> str | None:
    m, n = shape
    if min(shape) == 1:
        return "a vector has no singular subspaces"
    if min(shape) > SIDE or m * n > ENTRIES or 1 < LONG * min(shape) <= max(shape):
        return f"too large for a whole spectrum: {m} x {n}"
    return None


def _of_run(
    run: str, module: str, base: Base, update: AbstractMatrix, k: int, rng: np.random.Generator
) -> AtModule:
    dW = update.dense()
    entries = _count(Dense(base.W), Dense(dW))
    if not entries.base:
        missing = dict.fromkeys(WHOLE, Reading(undefined="the base is zero here"))
        return AtModule(run, module, entries, difference_noise(update), missing)
    found = base.spectrum
    r = principal_rank(update.shape)
    mask = principal_mask(found.U[:, :r], found.S[:r], found.V[:, :r])
    shared = overlap(mask, base.W, dW, draws=MASK_DRAWS, rng=rng)
    after = tuned_spectrum(base, update, dW, k)
    nulls: dict[str, dict[BaseNullKind, Float[Tensor, " draw"]]] = {}
    if shared is None:
        readings = {"principal_overlap": Reading(undefined="no weight changes in bfloat16")}
    else:
        readings = {"principal_overlap": Reading(value=shared.value)}
        nulls["principal_overlap"] = {
            "independent": shared.independent,
            "shuffled": shared.shuffled,
        }
    if min(found.rank, after.rank) < k:
        reason = Reading(undefined=f"numerical rank below k = {k}")
        readings |= dict.fromkeys(SPECTRAL, reason)
    else:
        readings |= _spectral(base, after, k)
        if entries.update:
            nulls |= _spectral_nulls(base, update, k, rng)
    return AtModule(run, module, entries, difference_noise(update), readings, nulls)


def _count(weight: AbstractMatrix, update: AbstractMatrix) -> Entries:
    ranges = weight.blocks()
    return sum((count_entries(weight.rows(*r), update.rows(*r)) for r in ranges), NO_ENTRIES)


def _spectral(base: Base, after: Spectrum, k: int) -> dict[str, Reading]:
    before = base.spectrum
    angles = (*rotation(before.U[:, :k], after.U), *rotation(before.V[:, :k], after.V))
    values = {
        "spectral_shift": spectral_shift(before.S, after.S),
        **dict(zip(ROTATIONS, angles, strict=True)),
        "intruders": count_intruders(largest_cosines(base, after.U)),
    }
    return {name: Reading(value=value) for name, value in values.items()}


def _spectral_nulls(
    base: Base, update: AbstractMatrix, k: int, rng: np.random.Generator
) -> dict[str, dict[BaseNullKind, Float[Tensor, " draw"]]]:
    drawn = random_directions(base.spectrum.S, update.shape, spread(update), k, rng)
    angles = torch.cat([drawn.left, drawn.right], dim=1).unbind(1)
    columns = {"intruders": drawn.intruders, **dict(zip(ROTATIONS, angles, strict=True))}
    return {name: {"random directions": draws} for name, draws in columns.items()}
