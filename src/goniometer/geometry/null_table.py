"""The nulls of a comparison: for every scope and measure, where unrelated updates fall."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry import MEASURES
from goniometer.geometry.nulls import Spectrum, null_pairs
from goniometer.geometry.readings import Readings
from goniometer.geometry.scopes import Columns, aggregate, band
from goniometer.results import Band, NullKind, NullTable, PairReadings
from goniometer.seeds import derive

KINDS: tuple[NullKind, ...] = ("independent", "shared_A0")
# Modules of one shape draw from one pool, this many times as large as what each takes: were it no
# larger, its own error would stand in every draw while the band narrows with the modules.
POOL = 8
_SIGNED = ("cosine", "cosine_mean", "cosine_median")
Ranks = tuple[tuple[int, int], ...]


def add_nulls(
    readings: Readings, *, draws: int, seed: int
) -> tuple[tuple[PairReadings, ...], dict[str, NullTable]]:
    """Give each pair its null group: pairs whose ranks agree at every module share one table.

    The draws have the real shapes and ranks; their spectrum is the mean over the runs and over
    the modules of one shape, and the energy of a module is the mean over the runs of its share.
    """
    groups: dict[Ranks, str] = {}
    tables: dict[str, NullTable] = {}
    pairs = []
    for pair in readings.pairs:
        if pair.state in ("zero delta", "no common module"):
            pairs.append(pair)
            continue
        i, j = readings.names.index(pair.a), readings.names.index(pair.b)
        ranks: Ranks = tuple((m.nominal_ranks[i], m.nominal_ranks[j]) for m in readings.modules)
        if ranks not in groups:
            groups[ranks] = _label(ranks, len(groups))
            tables[groups[ranks]] = _table(ranks, readings, draws, seed)
        pairs.append(pair.model_copy(update={"null_group": groups[ranks]}))
    return tuple(pairs), tables


def _label(ranks: Ranks, count: int) -> str:
    distinct = set(ranks)
    if len(distinct) == 1:
        ra, rb = distinct.pop()
        return f"ranks {ra} and {rb}"
    return f"mixed ranks {count + 1}"


def _table(ranks: Ranks, readings: Readings, draws: int, seed: int) -> NullTable:
    table: NullTable = {}
    union = [m for m, pair in enumerate(ranks) if any(pair)]
    common = [m for m, pair in enumerate(ranks) if all(pair)]
    scopes = {"union": union, "intersection": common, **readings.scopes}
    for kind in KINDS:
        if kind == "shared_A0" and any(ranks[m][0] != ranks[m][1] for m in common):
            continue
        columns = _columns(kind, ranks, readings, union, draws, seed)
        for scope, members in scopes.items():
            mine = [union.index(m) for m in members if m in union]
            shared = any(union[m] in common for m in mine)
            bands = _bands(columns.at(mine)) if shared else {}
            for name, value in bands.items():
                table.setdefault(scope, {}).setdefault(name, {})[kind] = value
    return table


def _columns(
    kind: NullKind,
    ranks: Ranks,
    readings: Readings,
    modules: Sequence[int],
    draws: int,
    seed: int,
) -> Columns:
    """Draws by module; a module of one run only has energy there and no value."""
    shares = (readings.energy / readings.energy.sum(1, keepdim=True).clamp(min=1e-300)).mean(0)
    spectra: dict[tuple[tuple[int, int], tuple[int, int]], tuple[Spectrum, Spectrum]] = {}
    undefined = torch.full((draws,), torch.nan, dtype=torch.float64)
    values: dict[str, list[Float[Tensor, " draw"]]] = {name: [] for name in (*MEASURES, "gap")}
    for position in modules:
        module, (ra, rb) = readings.modules[position], ranks[position]
        drawn: Mapping[str, Float[Tensor, " draw"]] = {}
        if ra and rb:
            key = (module.shape, (ra, rb))
            if key not in spectra:
                spectra[key] = _mean_spectra(*key, readings)
            pool = _pool(kind, module.shape, spectra[key], readings.k, POOL * draws, seed)
            rng = np.random.default_rng(derive(seed, "null order", kind, module.module))
            chosen = torch.from_numpy(rng.choice(POOL * draws, draws, replace=False))
            # A pair and the same with b negated are equally likely: no module leans to a side.
            signs = torch.from_numpy(rng.choice((-1.0, 1.0), draws))
            drawn = {name: column[chosen] for name, column in pool.items()}
            drawn |= {name: signs * drawn[name] for name in _SIGNED}
            drawn["gap"] = 2 * (1 - drawn["cosine"])
        for name, column in values.items():
            column.append(drawn.get(name, undefined))
    stacked = {name: torch.stack(columns, 1) for name, columns in values.items()}
    energies = [
        torch.tensor([float(shares[m]) if ranks[m][side] else 0.0 for m in modules]).double()
        for side in (0, 1)
    ]
    gap = stacked.pop("gap")
    return Columns(stacked, gap, *(energy.expand(draws, -1) for energy in energies))


def _mean_spectra(
    shape: tuple[int, int], ranks: tuple[int, int], readings: Readings
) -> tuple[Spectrum, Spectrum]:
    """Mean normalised spectrum of all updates of this shape and nominal rank, for each rank."""
    found: dict[int, list[Float[Tensor, " r"]]] = {rank: [] for rank in ranks}
    for module in readings.modules:
        for run, rank in enumerate(module.nominal_ranks):
            sigma = module.sigma[run]
            if module.shape == shape and rank in found and sigma[0] > 0:
                padded = torch.nn.functional.pad(sigma, (0, max(0, rank - len(sigma))))[:rank]
                found[rank].append(padded / padded.norm())
    # Where no run changed a module of this shape there is no spectrum to keep: a flat one.
    first, second = (
        tuple(torch.stack(found[rank]).mean(0).tolist()) if found[rank] else (rank**-0.5,) * rank
        for rank in ranks
    )
    return first, second


@lru_cache(maxsize=64)
def _pool(
    kind: NullKind,
    shape: tuple[int, int],
    spectra: tuple[Spectrum, Spectrum],
    k: int,
    draws: int,
    seed: int,
) -> Mapping[str, Float[Tensor, " draw"]]:
    pairs = null_pairs(kind, shape, spectra, k, draws, seed)
    return {name: measure.of(pairs) for name, measure in MEASURES.items()}


def _bands(columns: Columns) -> dict[str, Band]:
    found = {name: band(aggregate(measure, name, columns)) for name, measure in MEASURES.items()}
    return {name: value for name, value in found.items() if value is not None}
