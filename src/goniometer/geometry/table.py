"""Every reading of every module as one table, for `modules.parquet`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float

from goniometer.deltas import layer_of, projection_of
from goniometer.geometry import MEASURES, SPECTRA, arrow
from goniometer.geometry.pairs import pair_indices
from goniometer.geometry.readings import Readings, undefined_reason
from goniometer.geometry.run_readings import module_sizes

# Means and medians over modules have no value at one module.
MODULE_MEASURES = tuple(n for n in MEASURES if n not in ("cosine_mean", "cosine_median"))
Texts = dict[str, Sequence[str | None]]
_TEXTS = ("a", "b", "module", "projection", "undefined")
_COUNTS = ("layer", "out_features", "in_features", "rank")
SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.int32()) for name in _COUNTS]
    + [(name, pa.float64()) for name in (*SPECTRA, *MODULE_MEASURES)]
)


def write_modules(readings: Readings, path: Path) -> None:
    """Write one row a run and module (`b` is null), then one a pair and module.

    A null cell is a reading that is undefined or does not apply; the column `undefined` says why.
    """
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for run in range(len(readings.names)):
            writer.write_table(_run_table(readings, run))
        for first in range(len(readings.names) - 1):
            writer.write_table(_pair_table(readings, first))


def _run_table(readings: Readings, run: int) -> pa.Table:
    """Rows of the modules that one run has."""
    sizes = module_sizes(readings.modules, run)
    values = {
        name: np.array([sizes[m][name].value for m in sizes], dtype=float) for name in SPECTRA
    }
    reasons = [{size.undefined for size in of.values()} - {None} for of in sizes.values()]
    texts: Texts = {
        "a": [readings.names[run]] * len(sizes),
        "undefined": ["; ".join(sorted(map(str, why))) or None for why in reasons],
    }
    ranks = [int(readings.modules[m].ranks[run]) for m in sizes]
    return _table(readings, list(sizes), texts, {"rank": ranks}, values)


def _pair_table(readings: Readings, first: int) -> pa.Table:
    """Rows of the pairs of one run with each later one."""
    a, b = pair_indices(len(readings.names))
    mine = (a == first).nonzero().flatten()
    rows = slice(int(mine[0]), int(mine[-1]) + 1)  # pairs come ordered by their first run
    modules = readings.modules
    others = b[rows].tolist()
    read = {name: readings.values[name][rows] for name in MODULE_MEASURES}
    missing = torch.stack([value.isnan() for value in read.values()]).any(0)
    texts: Texts = {
        "a": [readings.names[first]] * (len(mine) * len(modules)),
        "b": [readings.names[j] for j in others for _ in modules],
        "undefined": [
            undefined_reason(module, first, j, readings.k, readings.names) if lacks else None
            for j, row in zip(others, missing.tolist(), strict=True)
            for module, lacks in zip(modules, row, strict=True)
        ],
    }
    places = [*range(len(modules))] * len(mine)
    values = {name: value.flatten().numpy() for name, value in read.items()}
    return _table(readings, places, texts, {}, values)


def _table(
    readings: Readings,
    places: Sequence[int],
    texts: Texts,
    counts: Mapping[str, Sequence[int | None]],
    values: Mapping[str, Float[np.ndarray, " row"]],
) -> pa.Table:
    """Columns of SCHEMA at modules by position; a column that is not given is null."""
    modules = [readings.modules[place] for place in places]
    texts = texts | {
        "module": [m.module for m in modules],
        "projection": [projection_of(m.module) for m in modules],
    }
    counts = {
        **counts,
        "layer": [layer_of(m.module) for m in modules],
        "out_features": [m.shape[0] for m in modules],
        "in_features": [m.shape[1] for m in modules],
    }
    nothing = [None] * len(places)
    undefined = np.full(len(places), np.nan)
    columns = [
        arrow.texts(texts.get(field.name, nothing))
        if field.name in _TEXTS
        else arrow.integers(counts.get(field.name, nothing), field.type)
        if field.name in _COUNTS
        else arrow.floats(values.get(field.name, undefined))
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)
