"""Read a set of updates: every measure of every module, scope, run and pair."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from goniometer.deltas import (
    AbstractMatrix,
    Delta,
    check_shapes,
    layer_of,
    module_order,
    projection_of,
)
from goniometer.errors import GoniometerError
from goniometer.geometry import MEASURES, SPECTRA
from goniometer.geometry.pairs import ModulePairs, module_pairs, nominal_rank, pair_indices
from goniometer.geometry.scopes import Columns, aggregate, scope_gap
from goniometer.results import PairReadings, Reading, RunReadings, Scope

# Two updates this close, relative to their norm, are one update stored twice (float32 rounding).
IDENTICAL = 1e-6
# Measures that need k singular vectors of both: undefined below numerical rank k.
_NEED_RANK_K = ("angle_", "overlap_")


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
    return max(1, min(10, min(ranks) // 3))


def read_pairs(
    deltas: Mapping[str, Delta],
    *,
    k: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Readings:
    """Compare all pairs of runs at all modules; `advance` is called with 1 a module.

    Raises:
        GoniometerError: shapes show different bases, or k exceeds the smallest rank.
    """
    check_shapes(deltas)
    ranks = [nominal_rank(matrix) for delta in deltas.values() for matrix in delta.values()]
    if k is not None and k > min(ranks):
        raise GoniometerError(
            "larger than the smallest rank", key="k", found=k, expected=f"at most {min(ranks)}"
        )
    k = k or default_k(ranks)
    modules = _all_modules(deltas, k, advance)
    values = {name: torch.stack(columns, 1) for name, columns in _values(modules, k).items()}
    gap = torch.stack([module.batch.gap for module in modules], 1)
    energy = torch.stack([module.sigma.square().sum(1) for module in modules], 1)
    scopes = _scopes([module.module for module in modules])
    names = tuple(deltas)
    pairs = []
    for pair, (i, j) in enumerate(
        zip(*(x.tolist() for x in pair_indices(len(names))), strict=True)
    ):
        columns = Columns(
            {name: value[[pair]] for name, value in values.items()},
            gap[[pair]],
            energy[[i]],
            energy[[j]],
        )
        pairs.append(_pair(names, (i, j), modules, columns, scopes))
    runs = [_run(name, deltas[name], i, modules, scopes) for i, name in enumerate(names)]
    return Readings(k, names, tuple(modules), values, energy, scopes, tuple(runs), tuple(pairs))


def _all_modules(
    deltas: Mapping[str, Delta], k: int, advance: Callable[[int], None]
) -> list[ModulePairs]:
    """Read modules side by side, each on one thread: the numbers do not depend on the cores."""

    def read(name: str) -> ModulePairs:
        matrices: list[AbstractMatrix | None] = [delta.get(name) for delta in deltas.values()]
        found = module_pairs(name, matrices, k)
        advance(1)
        return found

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # A new thread starts with the default number of threads of its own.
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(read, _union(deltas)))
    finally:
        torch.set_num_threads(threads)


def undefined_reason(module: ModulePairs, i: int, j: int, k: int, names: Sequence[str]) -> str:
    """Say why a measure of runs i and j at a module has no value."""
    for run, other in ((i, j), (j, i)):
        if not module.present[run]:
            return f"module only in {names[other]}" if module.present[other] else "no such module"
    if 0 in (module.ranks[i], module.ranks[j]):
        return "zero delta"
    return f"numerical rank below k = {k}"


def _union(deltas: Mapping[str, Delta]) -> list[str]:
    modules = {module for delta in deltas.values() for module in delta}
    return sorted(modules, key=module_order)


def _values(modules: Sequence[ModulePairs], k: int) -> dict[str, list[Float[Tensor, " pair"]]]:
    columns: dict[str, list[Float[Tensor, " pair"]]] = {name: [] for name in MEASURES}
    for module in modules:
        a, b = pair_indices(len(module.ranks))
        rank = torch.minimum(module.ranks[a], module.ranks[b])
        for name, measure in MEASURES.items():
            defined: Bool[Tensor, " pair"] = rank >= (k if name.startswith(_NEED_RANK_K) else 1)
            columns[name].append(measure.of(module.batch).where(defined, torch.nan))
    return columns


def _scopes(modules: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Group module positions by layer, then by projection, in order."""
    scopes: dict[str, list[int]] = {}
    for position, name in enumerate(modules):
        if layer_of(name) is not None:
            scopes.setdefault(f"layer.{layer_of(name)}", []).append(position)
    for position, name in enumerate(modules):
        scopes.setdefault(f"projection.{projection_of(name)}", []).append(position)
    return {name: tuple(positions) for name, positions in scopes.items()}


def _pair(
    names: Sequence[str],
    runs: tuple[int, int],
    modules: Sequence[ModulePairs],
    columns: Columns,
    scopes: Mapping[str, tuple[int, ...]],
) -> PairReadings:
    i, j = runs
    everything = tuple(range(len(modules)))
    common = tuple(m for m in everything if modules[m].present[i] and modules[m].present[j])
    only = [
        tuple(
            modules[m].module for m in everything if modules[m].present[x] > modules[m].present[y]
        )
        for x, y in ((i, j), (j, i))
    ]
    state = _state(columns, bool(common))
    unreadable = state if state in ("zero delta", "no common module") else None
    wanted = {"union": everything, "intersection": common, **scopes}
    shared = set(common)
    return PairReadings(
        a=names[i],
        b=names[j],
        state=state,  # type: ignore[arg-type]
        null_group=None,
        only_a=only[0],
        only_b=only[1],
        scopes={
            name: _scope(
                columns,
                members,
                unreadable or (None if shared & set(members) else "no module in common here"),
            )
            for name, members in wanted.items()
        },
        verdict="not decided",
    )


def _state(columns: Columns, common: bool) -> str:
    norms = [float(energy.sum().sqrt()) for energy in (columns.energy_a, columns.energy_b)]
    if 0.0 in norms:
        return "zero delta"
    if not common:
        return "no common module"
    # ||a - b||^2 / (|a| |b|) = (|a| - |b|)^2 / (|a| |b|) + gap
    scale = (norms[0] - norms[1]) ** 2 / (norms[0] * norms[1])
    distance = math.sqrt(max(0.0, scale + float(scope_gap(columns))))
    return "identical" if distance <= IDENTICAL else "comparable"


def _scope(columns: Columns, members: tuple[int, ...], unreadable: str | None) -> Scope:
    part = columns.at(members)
    share = min(
        float(some.sum() / whole.sum()) if whole.sum() > 0 else 0.0
        for some, whole in ((part.energy_a, columns.energy_a), (part.energy_b, columns.energy_b))
    )
    readings = {}
    for name, measure in MEASURES.items():
        defined = members and not unreadable
        value = float(aggregate(measure, name, part)) if defined else math.nan
        readings[name] = (
            Reading(value=value)
            if math.isfinite(value)
            else Reading(undefined=unreadable or "zero delta or numerical rank below k here")
        )
    return Scope(modules=len(members), energy_share=share, readings=readings)


def _run(
    name: str,
    delta: Delta,
    run: int,
    modules: Sequence[ModulePairs],
    scopes: Mapping[str, tuple[int, ...]],
) -> RunReadings:
    mine = [m for m in range(len(modules)) if modules[m].present[run]]
    ranks = [modules[m].nominal_ranks[run] for m in mine]
    sizes = {
        scope: _sizes([modules[m] for m in members if m in set(mine)], run)
        for scope, members in {"all": tuple(mine), **scopes}.items()
    }
    return RunReadings(
        name=name,
        source=delta.provenance.source,
        fingerprint=delta.fingerprint,
        format=delta.provenance.format,
        base=delta.provenance.base,
        ranks=(min(ranks), max(ranks)),
        modules=len(mine),
        state="zero delta" if all(int(modules[m].ranks[run]) == 0 for m in mine) else "ok",
        not_read=delta.provenance.not_read,
        warnings=delta.provenance.warnings,
        scopes=sizes,
    )


def _sizes(modules: Sequence[ModulePairs], run: int) -> dict[str, Reading]:
    """Norm over the scope, and the medians of the rank measures over its non-zero modules."""
    if not modules:
        return {name: Reading(undefined="no module of this scope") for name in SPECTRA}
    spectra = [module.sigma[run] for module in modules]
    energy = sum(float(sigma.square().sum()) for sigma in spectra)
    readings = {"norm": Reading(value=math.sqrt(energy))}
    for name, (_, of) in SPECTRA.items():
        if name != "norm":
            values = [float(of(sigma[None])) for sigma in spectra if sigma[0] > 0]
            readings[name] = (
                Reading(value=statistics.median(values))
                if values
                else Reading(undefined="zero delta")
            )
    return readings
