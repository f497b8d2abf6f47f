"""What every run did to every module of the base as one table, for `base_modules.parquet`."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from goniometer.deltas import layer_of, projection_of
from goniometer.geometry.base_measures import BASE_MEASURES, AtModule, null_of_scope, of_scope


def write_base_modules(modules: Sequence[AtModule], path: Path) -> None:
    """Write one row a run and module: every measure, and the mean of each of its nulls.

    A null cell is a reading that is undefined; the column `undefined` says why.
    """
    nulls = list(
        dict.fromkeys(
            (measure, kind) for at in modules for measure in at.nulls for kind in at.nulls[measure]
        )
    )
    rows = []
    for at in modules:
        readings = {name: of_scope(name, [at]) for name in BASE_MEASURES}
        reasons = {r.undefined: None for r in readings.values() if r.undefined is not None}
        row: dict[str, object] = {
            "run": at.run,
            "module": at.module,
            "projection": projection_of(at.module),
            "layer": layer_of(at.module),
            "entries": at.entries.entries,
            "undefined": "; ".join(reasons) or None,
        }
        row |= {name: reading.value for name, reading in readings.items()}
        for measure, kind in nulls:
            drawn = null_of_scope(measure, kind, [at])
            row[f"{measure}, {kind}"] = float(drawn.mean()) if len(drawn) else None
        rows.append(row)
    numbers = [*BASE_MEASURES, *(f"{measure}, {kind}" for measure, kind in nulls)]
    schema = pa.schema(
        [(name, pa.string()) for name in ("run", "module", "projection", "undefined")]
        + [("layer", pa.int32()), ("entries", pa.int64())]
        + [(name, pa.float64()) for name in numbers]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
