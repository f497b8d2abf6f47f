"""Read every module of a set of updates: each once, many at a time, in threads of their own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from goniometer.deltas import AbstractMatrix, Delta, LowRank, Outline, digest, module_order
from goniometer.deltas.delta import outline_of
from goniometer.geometry import MEASURES
from goniometer.geometry.base import PairBatch
from goniometer.geometry.dense_pairs import dense_pair_batch, is_small, parts
from goniometer.geometry.pairs import ModulePairs, decompose, pair_batch, pair_indices
from goniometer.geometry.subspace import ranked_angles
from goniometer.geometry.threads import return_freed_memory, side_by_side

# Factors of this many bytes are stacked in float64 at a time, by each thread.
CHUNK_BYTES = 1 << 26
# Dense updates stand in memory by blocks; more threads would only hold more of them.
DENSE_THREADS = 2
# Measures that need k singular vectors of both: undefined below numerical rank k.
_NEED_RANK_K = ("angle_", "overlap_")
Advance = Callable[[int], None]


@final
@dataclass(frozen=True)
class Pass:
    """What one pass over all modules found; digests by run, then by module."""

    modules: tuple[ModulePairs, ...]
    digests: tuple[Mapping[str, str], ...]


def read_modules(
    deltas: Mapping[str, Delta], k: int, *, exact: bool, advance: Advance = lambda _: None
) -> Pass:
    """Compare all pairs of runs at all modules. The numbers do not depend on the cores.

    Low-rank modules of one shape are read together; `advance` is called with the modules done.
    """
    runs = list(deltas.values())
    names = sorted({module for delta in runs for module in delta}, key=module_order)
    low_rank = [n for n in names if all(d.outline(n).low_rank for d in runs if n in d)]
    dense = [name for name in names if name not in set(low_rank)]
    found: dict[str, tuple[ModulePairs, list[str | None]]] = {}

    def outline_at(name: str) -> Outline:
        return next(delta.outline(name) for delta in runs if name in delta)

    def read(chunk: Sequence[str]) -> None:
        matrices = [[delta.get(name) for delta in runs] for name in chunk]
        for name, row, module in zip(
            chunk, matrices, _pairs(chunk, matrices, k, exact), strict=True
        ):
            found[name] = module, [None if x is None else digest(x) for x in row]
        advance(len(chunk))

    side_by_side(read, list(_chunks(low_rank, runs)))
    small = [n for n in dense if is_small(outline_at(n).shape, len(runs))]
    if dense:
        return_freed_memory()
    side_by_side(read, [[name] for name in small], most=DENSE_THREADS)
    side_by_side(read, [[name] for name in dense if name not in set(small)], most=1)
    digests = tuple(
        {name: value for name in names if (value := found[name][1][run]) is not None}
        for run in range(len(runs))
    )
    return Pass(tuple(found[name][0] for name in names), digests)


def _chunks(names: Sequence[str], runs: Sequence[Delta]) -> Iterator[list[str]]:
    """Split modules into chunks of one shape that fit CHUNK_BYTES when stacked."""

    def shape(name: str) -> tuple[int, int]:
        return next(delta.outline(name).shape for delta in runs if name in delta)

    for (m, n), group in groupby(sorted(names, key=shape), key=shape):
        members = list(group)
        rank = max(d.outline(name).rank for name in members for d in runs if name in d)
        size = max(1, CHUNK_BYTES // (8 * (m + n) * rank * len(runs)))
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _pairs(
    names: Sequence[str],
    matrices: Sequence[Sequence[AbstractMatrix | None]],
    k: int,
    exact: bool,
) -> Iterator[ModulePairs]:
    low_rank = [[x for x in row if isinstance(x, LowRank) or x is None] for row in matrices]
    if all(len(kept) == len(row) for kept, row in zip(low_rank, matrices, strict=True)):
        found = decompose(low_rank)
        batch = pair_batch(found, k)
        pairs = len(batch.gap) // len(names)
        values = _values(batch, found.sigma, k, min(_shape(matrices[0])) > 1)
        for i, name in enumerate(names):
            mine = slice(i * pairs, (i + 1) * pairs)
            cut = {measure: value[mine] for measure, value in values.items()}
            energy = found.sigma[i].square().sum(1)
            whole = torch.ones(len(matrices[i])).bool()
            yield _module(name, matrices[i], found.sigma[i], energy, whole, batch.gap[mine], cut)
        return
    for name, row in zip(names, matrices, strict=True):
        held, found_parts = parts(row, k, exact=exact)
        batch = dense_pair_batch(held, found_parts, k)
        width = max(len(x.sigma) for x in found_parts)
        pad = torch.nn.functional.pad
        sigma = torch.stack([pad(x.sigma, (0, width - len(x.sigma))) for x in found_parts])
        values = _values(batch, sigma[None], k, min(_shape(row)) > 1)
        energy = torch.tensor([x.energy for x in found_parts], dtype=torch.float64)
        whole = torch.tensor([x.whole for x in found_parts])
        module = _module(name, row, sigma, energy, whole, batch.gap, values)
        yield replace(module, residual=tuple(x.residual for x in found_parts))


def of_vectors(measure: str) -> bool:
    """Whether vectors (biases, norms' weights) have the measure: they have no subspaces."""
    return measure.startswith(("cosine", "off_direction"))


def _shape(row: Sequence[AbstractMatrix | None]) -> tuple[int, int]:
    return next(x.shape for x in row if x is not None)


def _module(
    name: str,
    row: Sequence[AbstractMatrix | None],
    sigma: Float[Tensor, "run r"],
    energy: Float[Tensor, " run"],
    whole: Bool[Tensor, " run"],
    gap: Float[Tensor, " pair"],
    values: Mapping[str, Float[Tensor, " pair"]],
) -> ModulePairs:
    present = torch.tensor([x is not None for x in row])
    nominal = tuple(0 if x is None else outline_of(x).rank for x in row)
    low_rank = tuple(x is None or isinstance(x, LowRank) for x in row)
    ranks = (sigma > 0).sum(1)
    return ModulePairs(
        name, _shape(row), nominal, low_rank, ranks, sigma, energy, whole, present, gap, values
    )


def _values(
    batch: PairBatch, sigma: Float[Tensor, "module run r"], k: int, has_subspaces: bool
) -> dict[str, Float[Tensor, " pair"]]:
    """Every measure and every angle of every pair, module by module; NaN where undefined."""
    a, b = pair_indices(sigma.shape[1])
    ranks = (sigma > 0).sum(2)
    rank = torch.minimum(ranks[:, a], ranks[:, b]).flatten()
    values = {}
    read = {name: measure.of(batch) for name, measure in MEASURES.items()}
    for name, value in (read | ranked_angles(batch)).items():
        defined: Bool[Tensor, " pair"] = rank >= (k if name.startswith(_NEED_RANK_K) else 1)
        if not has_subspaces and not of_vectors(name):
            defined = torch.zeros_like(defined)
        values[name] = value.where(defined, torch.nan)
    return values
