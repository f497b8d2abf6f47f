"""Every reading of every module as one table, for `modules.parquet`."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from goniometer.deltas import layer_of, projection_of
from goniometer.geometry import MEASURES, SPECTRA
from goniometer.geometry.pairs import pair_indices
from goniometer.geometry.readings import Readings, undefined_reason

# Means and medians over modules have no value at one module.
MODULE_MEASURES = tuple(n for n in MEASURES if n not in ("cosine_mean", "cosine_median"))


def write_modules(readings: Readings, path: Path) -> None:
    """Write one row a run and module (`b` is null), then one a pair and module.

    A null cell is a reading that is undefined or does not apply; the column `undefined` says why.
    """
    rows = _run_rows(readings) + _pair_rows(readings)
    numbers = [*SPECTRA, *MODULE_MEASURES]
    schema = pa.schema(
        [(name, pa.string()) for name in ("a", "b", "module", "projection", "undefined")]
        + [(name, pa.int32()) for name in ("layer", "out_features", "in_features", "rank")]
        + [(name, pa.float64()) for name in numbers]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def _place(readings: Readings, m: int) -> dict[str, object]:
    module = readings.modules[m]
    out_features, in_features = module.shape
    return {
        "module": module.module,
        "projection": projection_of(module.module),
        "layer": layer_of(module.module),
        "out_features": out_features,
        "in_features": in_features,
    }


def _run_rows(readings: Readings) -> list[dict[str, object]]:
    rows = []
    for run, name in enumerate(readings.names):
        for m, module in enumerate(readings.modules):
            if not module.present[run]:
                continue
            zero = int(module.ranks[run]) == 0
            sizes = {
                size: None if zero and size != "norm" else float(of(module.sigma[[run]]))
                for size, (_, of) in SPECTRA.items()
            }
            reason = {"undefined": "zero delta"} if zero else {}
            rank = {"rank": int(module.ranks[run])}
            rows.append({"a": name, **_place(readings, m), **rank, **sizes, **reason})
    return rows


def _pair_rows(readings: Readings) -> list[dict[str, object]]:
    rows = []
    columns = {name: readings.values[name].tolist() for name in MODULE_MEASURES}
    a, b = pair_indices(len(readings.names))
    for pair, (i, j) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        for m, module in enumerate(readings.modules):
            values = {name: columns[name][pair][m] for name in MODULE_MEASURES}
            kept = {name: x for name, x in values.items() if not math.isnan(x)}
            row = {"a": readings.names[i], "b": readings.names[j], **_place(readings, m), **kept}
            if len(kept) < len(values):
                row["undefined"] = undefined_reason(module, i, j, readings.k, readings.names)
            rows.append(row)
    return rows
