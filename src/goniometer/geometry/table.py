"""Every reading of every module as one table, for `modules.parquet`."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from goniometer.deltas import layer_of, projection_of
from goniometer.geometry import MEASURES, SPECTRA
from goniometer.geometry.pairs import pair_indices
from goniometer.geometry.readings import Readings, undefined_reason
from goniometer.geometry.run_readings import module_sizes

# Means and medians over modules have no value at one module.
MODULE_MEASURES = tuple(n for n in MEASURES if n not in ("cosine_mean", "cosine_median"))
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
        writer.write_table(pa.Table.from_pylist(_run_rows(readings), schema=SCHEMA))
        places = _places(readings)
        for first in range(len(readings.names) - 1):
            writer.write_table(_pair_table(readings, first, places))


def _places(readings: Readings) -> dict[str, list[object]]:
    """What is the same for every run: the columns that say where a module stands."""
    modules = readings.modules
    return {
        "module": [m.module for m in modules],
        "projection": [projection_of(m.module) for m in modules],
        "layer": [layer_of(m.module) for m in modules],
        "out_features": [m.shape[0] for m in modules],
        "in_features": [m.shape[1] for m in modules],
    }


def _run_rows(readings: Readings) -> list[dict[str, object]]:
    places = _places(readings)
    rows: list[dict[str, object]] = []
    for run, name in enumerate(readings.names):
        for m, sizes in module_sizes(readings.modules, run).items():
            where = {column: values[m] for column, values in places.items()}
            reasons = {size.undefined for size in sizes.values()} - {None}
            rank = int(readings.modules[m].ranks[run])
            known = {size: reading.value for size, reading in sizes.items()}
            undefined = "; ".join(sorted(map(str, reasons))) or None
            rows.append({"a": name, **where, "rank": rank, **known, "undefined": undefined})
    return rows


def _pair_table(readings: Readings, first: int, places: dict[str, list[object]]) -> pa.Table:
    """Rows of the pairs of one run with each later one, column by column."""
    a, b = pair_indices(len(readings.names))
    mine = (a == first).nonzero().flatten()
    rows = slice(int(mine[0]), int(mine[-1]) + 1)  # pairs come ordered by their first run
    modules = readings.modules
    others = b[rows].tolist()
    columns: dict[str, Sequence[object]] = {
        name: values * len(mine) for name, values in places.items()
    }
    columns["a"] = [readings.names[first]] * (len(mine) * len(modules))
    columns["b"] = [readings.names[j] for j in others for _ in modules]
    read = {name: readings.values[name][rows] for name in MODULE_MEASURES}
    missing = torch.stack([value.isnan() for value in read.values()]).any(0)
    columns["undefined"] = [
        undefined_reason(module, first, j, readings.k, readings.names) if lacks else None
        for j, row in zip(others, missing.tolist(), strict=True)
        for module, lacks in zip(modules, row, strict=True)
    ]
    arrays = [
        pa.array(read[field.name].flatten().numpy(), field.type, from_pandas=True)  # NaN is null
        if field.name in read
        else pa.array(columns.get(field.name, [None] * len(columns["a"])), field.type)
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
