"""A synthetic modules.parquet for the report's tests, as `compare` writes it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from goniometer.results import Results
from tests.results_factory import PROJECTIONS, measures_of


def write_modules(found: Results, path: Path, *, undefined: tuple[str, int] = ("", 0)) -> None:
    """Rows of runs (b is null), then of pairs; cosines differ by pair and module.

    `undefined`: a projection and a layer whose top right direction is not defined.
    """
    rows = []
    layers = len(found.comparison.layers)
    names = [
        (f"model.layers.{layer}.self_attn.{projection}", projection, layer)
        for projection in PROJECTIONS
        for layer in range(layers)
    ]
    for run in found.comparison.runs:
        rows += [{"a": run.name, "b": None, "module": m, "layer": at} for m, _, at in names]
    for place, pair in enumerate(found.comparison.pairs):
        for module, projection, layer in names:
            values = measures_of(cosine_of(place, module, layer))
            if (projection, layer) == undefined:
                values["v1"] = None
            rows.append({"a": pair.a, "b": pair.b, "module": module, "layer": layer} | values)
    keys = list(rows[-1])
    pq.write_table(
        pa.table(
            {
                key: pa.array(
                    [row.get(key) for row in rows],
                    pa.string() if key in ("a", "b", "module") else None,
                )
                for key in keys
            }
        ),
        path,
    )


def cosine_of(place: int, module: str, layer: int) -> float:
    """The cosine of a pair, by its place, at a module."""
    return round(0.9 - 0.05 * place - 0.001 * layer - 0.0001 * len(module), 4)
