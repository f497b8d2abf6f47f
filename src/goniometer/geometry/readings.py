"""Readings of a set of updates: every measure of every module, scope, run and pair."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from goniometer.deltas import Delta, Outline, check_shapes, layer_of, projection_of
from goniometer.errors import GoniometerError
from goniometer.geometry import MEASURES
from goniometer.geometry.modules import read_modules
from goniometer.geometry.pairs import ModulePairs, pair_indices
from goniometer.geometry.run_readings import run_readings
from goniometer.geometry.scopes import Columns, aggregate, medians, scope_gap
from goniometer.geometry.subspace import rank_names
from goniometer.geometry.threads import one_thread
from goniometer.results import PairReadings, PairState, Reading, RunReadings, Scope

# Two updates this close, relative to their norm, are one update stored twice (float32 rounding).
IDENTICAL = 1e-6
# Above so many pairs, layers and projections of those that no caller names are in the table of
# modules alone.
DETAILED_PAIRS = 200


@final
@dataclass(frozen=True)
class Readings:
    """All readings of a set of runs, before nulls and verdicts."""

    k: int
    names: tuple[str, ...]
    modules: tuple[ModulePairs, ...]
    values: Mapping[str, Float[Tensor, "pair module"]]  # NaN where undefined
    energy: Float[Tensor, "run module"]  # squared norms
    scopes: Mapping[str, tuple[int, ...]]  # positions of the modules of each layer and projection
    runs: tuple[RunReadings, ...]
    pairs: tuple[PairReadings, ...]


def default_k(ranks: Sequence[int]) -> int:
    """max(1, min(10, r // 3)) for the smallest rank r: at k near r a shared A0 gives 0 degrees."""
    return max(1, min(10, min(ranks, default=1) // 3))


def read_pairs(
    deltas: Mapping[str, Delta],
    *,
    k: int | None = None,
    exact: bool = False,
    detailed: Collection[str] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> Readings:
    """Compare all pairs of runs at all modules; `advance` is called with the modules done.

    `exact` decomposes large dense updates whole instead of to their top k. Of more than
    DETAILED_PAIRS pairs, those between the runs that are `detailed` have layers and projections.

    Raises:
        GoniometerError: shapes show different bases, or k exceeds the smallest rank.
    """
    check_shapes(deltas)
    k = _checked_k(k, [delta.outline(name) for delta in deltas.values() for name in delta])
    found = read_modules(deltas, k, exact=exact, advance=advance)
    modules = found.modules
    values = {name: torch.stack([m.values[name] for m in modules], 1) for name in MEASURES}
    gap = torch.stack([module.gap for module in modules], 1)
    energy = torch.stack([module.energy for module in modules], 1)
    scopes = _scopes([module.module for module in modules])
    a, b = pair_indices(len(deltas))
    columns = Columns(torch.stack([*values.values()]), gap, energy[a], energy[b])
    names = tuple(deltas)
    runs = [
        run_readings(delta, name, i, modules, scopes, found.digests[i])
        for i, (name, delta) in enumerate(deltas.items())
    ]
    with one_thread():
        pairs = _pairs(names, modules, k, columns, scopes, detailed)
    return Readings(k, names, modules, values, energy, scopes, tuple(runs), tuple(pairs))


def _checked_k(k: int | None, outlines: Sequence[Outline]) -> int:
    # A vector has no subspaces, so it does not limit their size.
    ranks = [outline.rank for outline in outlines if min(outline.shape) > 1]
    if k is not None and k < 1:
        raise GoniometerError("no size of a subspace", key="k", found=k, expected="1 or more")
    if k is not None and ranks and k > min(ranks):
        raise GoniometerError(
            "larger than the smallest rank", key="k", found=k, expected=f"at most {min(ranks)}"
        )
    return k or default_k(ranks)


def undefined_reason(module: ModulePairs, i: int, j: int, k: int, names: Sequence[str]) -> str:
    """Say why a measure of runs i and j at a module has no value."""
    for run, other in ((i, j), (j, i)):
        if not module.present[run]:
            return f"module only in {names[other]}" if module.present[other] else "no such module"
    if 0 in (module.ranks[i], module.ranks[j]):
        return "zero delta"
    if min(module.shape) == 1:
        return "a vector has no subspaces"
    if int(min(module.ranks[i], module.ranks[j])) < k:
        return f"numerical rank below k = {k}"
    return "row space overlap: of low rank only"


def _scopes(modules: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Group module positions by layer, then by projection, in order."""
    scopes: dict[str, list[int]] = {}
    for position, name in enumerate(modules):
        if layer_of(name) is not None:
            scopes.setdefault(f"layer.{layer_of(name)}", []).append(position)
    for position, name in enumerate(modules):
        scopes.setdefault(f"projection.{projection_of(name)}", []).append(position)
    return {name: tuple(positions) for name, positions in scopes.items()}


def _pairs(
    names: Sequence[str],
    modules: Sequence[ModulePairs],
    k: int,
    columns: Columns,
    scopes: Mapping[str, tuple[int, ...]],
    detailed: Collection[str],
) -> list[PairReadings]:
    a, b = (index.tolist() for index in pair_indices(len(names)))
    present = torch.stack([module.present for module in modules], 1)
    common = [
        tuple((present[i] & present[j]).nonzero().flatten().tolist())
        for i, j in zip(a, b, strict=True)
    ]
    states = _states(columns, common)
    wanted = {"union": tuple(range(len(modules)))}
    named = names if len(a) <= DETAILED_PAIRS else detailed
    if named:
        wanted |= scopes
    tables = {scope: _table(columns, members) for scope, members in wanted.items()}
    whole = {members: _table(columns, members) for members in set(common)}
    near = [names[i] in named and names[j] in named for i, j in zip(a, b, strict=True)]
    union = tables["union"]
    angled = replace(union, readings={**union.readings, **_spectra(modules, k, near)})
    found = []
    for pair, (i, j) in enumerate(zip(a, b, strict=True)):
        state, shared = states[pair], set(common[pair])
        unreadable = state if state in ("zero delta", "no common module") else None
        mine = {"intersection": (whole[common[pair]], common[pair])}
        mine = {"union": (angled if near[pair] else union, wanted["union"])} | mine
        if near[pair]:
            mine |= {scope: (tables[scope], members) for scope, members in scopes.items()}
        only = [_names(modules, present[x] & ~present[y]) for x, y in ((i, j), (j, i))]
        read = {
            scope: _scope(table, pair, members, unreadable or _unshared(shared, members))
            for scope, (table, members) in mine.items()
        }
        found.append(
            PairReadings(
                a=names[i], b=names[j], state=state, null_group=None, only_a=only[0],
                only_b=only[1], scopes=read, verdict="not decided",
            )
        )  # fmt: skip
    return found


def _names(modules: Sequence[ModulePairs], chosen: Bool[Tensor, " module"]) -> tuple[str, ...]:
    return tuple(modules[m].module for m in chosen.nonzero().flatten().tolist())


def _unshared(shared: set[int], members: Sequence[int]) -> str | None:
    return None if shared.intersection(members) else "no module in common here"


def _states(columns: Columns, common: Sequence[tuple[int, ...]]) -> list[PairState]:
    """||a - b||^2 / (|a| |b|) = (|a| - |b|)^2 / (|a| |b|) + gap decides what is identical."""
    norm_a, norm_b = columns.energy_a.sum(1).sqrt(), columns.energy_b.sum(1).sqrt()
    distance = (norm_a - norm_b).square() / (norm_a * norm_b) + scope_gap(columns)
    states: list[PairState] = []
    for pair, shared in enumerate(common):
        if 0.0 in (float(norm_a[pair]), float(norm_b[pair])):
            states.append("zero delta")
        elif not shared:
            states.append("no common module")
        else:
            close = float(distance[pair].clamp(min=0).sqrt()) <= IDENTICAL
            states.append("identical" if close else "comparable")
    return states


@final
@dataclass(frozen=True)
class _Table:
    """One scope of all pairs."""

    share: list[float]
    readings: Mapping[str, list[float]]


def _table(columns: Columns, members: Sequence[int]) -> _Table:
    part = columns.at(members)
    shares = [
        some.sum(1) / whole.sum(1)
        for some, whole in ((part.energy_a, columns.energy_a), (part.energy_b, columns.energy_b))
    ]
    read = aggregate(MEASURES, part).tolist() if members else [[]] * len(MEASURES)
    readings = dict(zip(MEASURES, read, strict=True))
    return _Table(torch.minimum(*shares).nan_to_num().tolist(), readings)


def _spectra(
    modules: Sequence[ModulePairs], k: int, near: Sequence[bool]
) -> dict[str, list[float]]:
    """Each of the k principal angles of a side, over all modules, of the pairs that are `near`."""
    chosen = torch.tensor(near, dtype=torch.bool)
    found = {}
    for name in rank_names(k):
        angles = torch.full((len(near),), torch.nan, dtype=torch.float64)
        of_modules = torch.stack([module.values[name][chosen] for module in modules], 1)
        angles[chosen] = medians(of_modules[None])[0]
        found[name] = angles.tolist()
    return found


def _scope(table: _Table, pair: int, members: Sequence[int], unreadable: str | None) -> Scope:
    reason = unreadable or "zero delta, a vector, or numerical rank below k here"
    readings = {}
    for name, values in table.readings.items():
        value = values[pair] if members and not unreadable else float("nan")
        # NaN is the one value that is not itself.
        readings[name] = Reading(value=value) if value == value else Reading(undefined=reason)  # noqa: PLR0124
    return Scope(modules=len(members), energy_share=table.share[pair], readings=readings)
