"""The nulls of a comparison: for every scope and measure, where unrelated updates fall."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry import MEASURES
from goniometer.geometry.modules import of_vectors
from goniometer.geometry.nulls import TOP, Spectrum, null_pairs
from goniometer.geometry.pairs import ModulePairs
from goniometer.geometry.readings import Readings
from goniometer.geometry.scopes import Columns, aggregate, bands, medians
from goniometer.geometry.subspace import rank_names, ranked_angles
from goniometer.geometry.threads import one_thread, side_by_side
from goniometer.results import Band, NullKind, NullTable, PairReadings
from goniometer.seeds import derive
from goniometer.statistics import family_wise

KINDS: tuple[NullKind, ...] = ("independent", "shared_A0")
# Modules of one shape draw from one pool, this many times as large as what each takes: were it no
# larger, its own error would stand in every draw while the band narrows with the modules.
POOL = 8
# Entries of a matrix a draw that stand in memory at once.
PIECE = 1 << 20
_SIGNED = ("cosine", "cosine_mean", "cosine_median")


@final
@dataclass(frozen=True)
class Rank:
    """Nominal rank of one run at a module, 0 where it has none."""

    nominal: int
    low_rank: bool


Ranks = tuple[tuple[Rank, Rank], ...]
Pool = Mapping[str, Float[Tensor, " draw"]]
Pools = Mapping[NullKind, Mapping[int, Pool]]


def add_nulls(
    readings: Readings, *, draws: int, seed: int
) -> tuple[tuple[PairReadings, ...], dict[str, NullTable]]:
    """Give each pair its null group: pairs whose ranks agree at every module share one table.

    The draws have the real shapes and ranks; their spectrum is the mean over the runs and over
    the modules of one shape, and the energy of a module is the mean over all runs of its share.
    A pair's `family` has its own energies, and holds for all pairs together.
    """
    groups: dict[Ranks, str] = {}
    moments = {}
    tables: dict[str, NullTable] = {}
    of_run = [tuple(_rank(m, run) for m in readings.modules) for run in range(len(readings.names))]
    pairs = []
    for pair, (i, j) in zip(readings.pairs, combinations(range(len(of_run)), 2), strict=True):
        if pair.state in ("zero delta", "no common module"):
            pairs.append(pair)
            continue
        ranks: Ranks = tuple(zip(of_run[i], of_run[j], strict=True))
        if ranks not in groups:
            groups[ranks] = _label(ranks, len(groups))
            pools = _pools(ranks, readings, draws, seed)
            with one_thread():
                tables[groups[ranks]] = _table(ranks, readings, pools, seed)
            moments[ranks] = _moments(pools, len(readings.modules))
        energies = readings.energy[i], readings.energy[j]
        family = _family(moments[ranks], energies, len(readings.pairs), POOL * draws)
        pairs.append(pair.model_copy(update={"null_group": groups[ranks], "family": family}))
    return tuple(pairs), tables


def _rank(module: ModulePairs, run: int) -> Rank:
    # A difference of two runs' factors is of higher rank than what was trained.
    columns = max(module.nominal_ranks[run], int(module.ranks[run]))
    return Rank(columns if module.present[run] else 0, module.low_rank[run])


def _label(ranks: Ranks, count: int) -> str:
    distinct = {pair for pair in ranks if all(rank.nominal for rank in pair)}
    if len(distinct) == 1:
        a, b = distinct.pop()
        return f"ranks {a.nominal} and {b.nominal}"
    if not any(rank.low_rank for pair in distinct for rank in pair):
        return "dense updates" if count == 0 else f"dense updates {count + 1}"
    return f"mixed ranks {count + 1}"


def _moments(
    pools: Pools, modules: int
) -> dict[NullKind, tuple[Float[Tensor, " module"], Float[Tensor, " module"]]]:
    """Variance and fourth cumulant of each module's cosine under a null; its mean is 0."""
    found = {}
    for kind, drawn in pools.items():
        variance, fourth = (torch.zeros(modules, dtype=torch.float64) for _ in range(2))
        for m, pool in drawn.items():
            square = pool["cosine"].square()
            variance[m] = square.mean()
            fourth[m] = square.square().mean() - 3 * variance[m] ** 2
        found[kind] = variance, fourth
    return found


def _family(
    moments: Mapping[NullKind, tuple[Float[Tensor, " module"], Float[Tensor, " module"]]],
    energies: tuple[Float[Tensor, " module"], Float[Tensor, " module"]],
    pairs: int,
    draws: int,
) -> dict[NullKind, Band]:
    """Where the whole-model cosine of such an unrelated pair falls, with this pair's energies.

    It is a sum over modules of p q cos, p and q the runs' norms as shares of the whole: variances
    add, and so do fourth cumulants.
    """
    p, q = (energy / energy.sum() for energy in energies)  # shares, squared
    found: dict[NullKind, Band] = {}
    for kind, (variances, fourths) in moments.items():
        variance = float((p * q * variances).sum())
        if variance > 0:
            excess = float(((p * q).square() * fourths).sum()) / variance**2
            found[kind] = family_wise(variance**0.5, excess, pairs, draws)
    return found


def _table(ranks: Ranks, readings: Readings, pools: Pools, seed: int) -> NullTable:
    table: NullTable = {}
    union = [m for m, pair in enumerate(ranks) if any(rank.nominal for rank in pair)]
    common = [m for m, pair in enumerate(ranks) if all(rank.nominal for rank in pair)]
    scopes = {"union": union, "intersection": common, **readings.scopes}
    for kind in pools:
        columns, angles = _columns(kind, ranks, readings, union, pools[kind], seed)
        for scope, members in scopes.items():
            mine = [union.index(m) for m in members if m in union]
            shared = any(union[m] in common for m in mine)
            found = _bands(columns.at(mine)) if shared else {}
            if shared and scope == "union":
                found |= _named(rank_names(readings.k), medians(angles))
            for name, value in found.items():
                table.setdefault(scope, {}).setdefault(name, {})[kind] = value
    return table


def _pools(ranks: Ranks, readings: Readings, draws: int, seed: int) -> Pools:
    """Draws by kind and position of a module; modules of one shape and rank share one pool.

    Modules that cannot share an A (biases, dense ones) are drawn as independent beside the rest.
    """
    common = [m for m, pair in enumerate(ranks) if all(rank.nominal for rank in pair)]
    sharing = any(_may_share(ranks[m]) for m in common)
    kinds = [kind for kind in KINDS if kind != "shared_A0" or sharing]
    keys = {m: (readings.modules[m].shape, ranks[m]) for m in common}
    distinct = list(dict.fromkeys(keys.values()))
    spectra = {
        (shape, rank): _mean_spectrum(shape, rank, readings)
        for shape, pair in distinct
        for rank in pair
    }
    wanted = [
        (
            kind if _may_share(pair) else "independent",
            shape,
            (spectra[shape, pair[0]], spectra[shape, pair[1]]),
        )
        for kind in kinds
        for shape, pair in distinct
    ]

    def drawn(of: tuple[NullKind, tuple[int, int], tuple[Spectrum, Spectrum]]) -> Pool:
        return _pool(*of, readings.k, POOL * draws, seed)

    found = dict(zip(product(kinds, distinct), side_by_side(drawn, wanted), strict=True))
    return {kind: {m: found[kind, key] for m, key in keys.items()} for kind in kinds}


def _columns(
    kind: NullKind,
    ranks: Ranks,
    readings: Readings,
    modules: Sequence[int],
    pools: Mapping[int, Pool],
    seed: int,
) -> tuple[Columns, Float[Tensor, "rank drawn module"]]:
    """Draws by module, and each of their angles; a module of one run only has no value."""
    shares = (readings.energy / readings.energy.sum(1, keepdim=True).clamp(min=1e-300)).mean(0)
    size = len(next(iter(pools.values()))["cosine"])
    draws = size // POOL
    undefined = torch.full((draws,), torch.nan, dtype=torch.float64)
    every = (*MEASURES, *rank_names(readings.k), "gap")
    values: dict[str, list[Float[Tensor, " draw"]]] = {name: [] for name in every}
    for position in modules:
        drawn: Mapping[str, Float[Tensor, " draw"]] = {}
        if position in pools:
            module = readings.modules[position].module
            rng = np.random.default_rng(derive(seed, "null order", kind, module))
            chosen = torch.from_numpy(rng.choice(size, draws, replace=False))
            # A pair and the same with b negated are equally likely: no module leans to a side.
            signs = torch.from_numpy(rng.choice((-1.0, 1.0), draws))
            drawn = {name: column[chosen] for name, column in pools[position].items()}
            drawn |= {name: signs * drawn[name] for name in _SIGNED}
            drawn["gap"] = 2 * (1 - drawn["cosine"])
        for name, column in values.items():
            column.append(drawn.get(name, undefined))
    energies = [
        torch.tensor(
            [float(shares[m]) if ranks[m][side].nominal else 0.0 for m in modules]
        ).double()
        for side in (0, 1)
    ]
    gap = torch.stack(values.pop("gap"), 1)
    stacked = torch.stack([torch.stack(columns, 1) for columns in values.values()])
    measured, angles = stacked[: len(MEASURES)], stacked[len(MEASURES) :]
    return Columns(measured, gap, *(energy[None] for energy in energies)), angles


def _may_share(ranks: tuple[Rank, Rank]) -> bool:
    """Both are low rank, of one rank: then both may have started from one A."""
    return ranks[0] == ranks[1] and ranks[0].low_rank


def _mean_spectrum(shape: tuple[int, int], rank: Rank, readings: Readings) -> Spectrum:
    """Mean normalised spectrum of all updates of this shape and nominal rank."""
    kept = min(rank.nominal, TOP)
    found, whole = [], rank.nominal <= TOP
    for module in readings.modules:
        for run in range(len(module.nominal_ranks)):
            energy = float(module.energy[run])
            if module.shape == shape and _rank(module, run) == rank and energy > 0:
                sigma = module.sigma[run][:kept] / energy**0.5
                found.append(torch.nn.functional.pad(sigma, (0, kept - len(sigma))))
                whole = whole and bool(module.whole[run])
    # Where no run changed a module of this shape there is no spectrum to keep: a flat one.
    flat = torch.full((kept,), rank.nominal**-0.5).double()
    mean = torch.stack(found).mean(0) if found else flat
    # Values that are not known, of a truncated spectrum, belong to the tail.
    values = tuple(value for value in mean.tolist() if value > 0)
    tail = 0.0 if whole else max(0.0, 1 - sum(value**2 for value in values))
    return Spectrum(values, tail, rank.nominal if rank.low_rank else None)


@lru_cache(maxsize=64)
def _pool(
    kind: NullKind,
    shape: tuple[int, int],
    spectra: tuple[Spectrum, Spectrum],
    k: int,
    draws: int,
    seed: int,
) -> Pool:
    size = max(1, PIECE // max(1, len(spectra[0].values) * len(spectra[1].values)))
    every = (*MEASURES, *rank_names(k))
    found: dict[str, list[Float[Tensor, " draw"]]] = {name: [] for name in every}
    for start in range(0, draws, size):
        own = seed if draws <= size else derive(seed, "piece", start)
        pairs = null_pairs(kind, shape, spectra, k, min(size, draws - start), own)
        read = {name: measure.of(pairs) for name, measure in MEASURES.items()}
        for name, value in (read | ranked_angles(pairs)).items():
            defined = min(shape) > 1 or of_vectors(name)
            found[name].append(value if defined else pairs.gap * torch.nan)
    return {name: torch.cat(columns) for name, columns in found.items()}


def _bands(columns: Columns) -> dict[str, Band]:
    return _named(tuple(MEASURES), aggregate(MEASURES, columns))


def _named(names: Sequence[str], values: Float[Tensor, "name draw"]) -> dict[str, Band]:
    found = zip(names, bands(values), strict=True)
    return {name: value for name, value in found if value is not None}
