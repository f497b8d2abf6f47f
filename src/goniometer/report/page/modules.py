"""Readings of single modules for the page: from modules.parquet beside results.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from goniometer.errors import GoniometerError
from goniometer.report.charts.chart import rounded
from goniometer.report.facts.index import Index

NAME: Final = "modules.parquet"
# What the page holds of each pair and module; the file has every measure.
MEASURES: Final = {
    "cosine": "cosine",
    "off_subspace_left": "outside, left",
    "off_subspace_right": "outside, right",
    "angle_left_median": "left angle",
    "angle_right_median": "right angle",
    "u1": "|u1\u00b7u1'|",
    "v1": "|v1\u00b7v1'|",
}
MOST_READINGS = 60_000  # about 0.4 MB


@final
@dataclass(frozen=True)
class Modules:
    """Readings as the page carries them: per pair and measure, a value a module."""

    modules: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    values: tuple[tuple[tuple[float | None, ...], ...], ...]
    layers: tuple[str, ...]  # of the modules; empty where one has none
    left_out: int = 0  # pairs that the page has no room for

    def packed(self) -> dict[str, Any]:
        """As compact JSON: names once, pairs as positions among the runs."""
        runs = tuple(dict.fromkeys(name for pair in self.pairs for name in pair))
        place = {name: i for i, name in enumerate(runs)}
        return {
            "modules": self.modules,
            "layers": self.layers,
            "heads": list(MEASURES.values()),
            "degrees": [key.startswith("angle") for key in MEASURES],
            "runs": runs,
            "pairs": [[place[a], place[b]] for a, b in self.pairs],
            "values": self.values,
        }


def read_modules(folder: Path, index: Index) -> Modules | None:
    """The readings of a folder's modules.parquet; None where it has none of these runs.

    Raises:
        GoniometerError: the file cannot be read, or is no table of modules.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = ["a", "b", "module", "layer", *MEASURES]
    try:
        table = pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise GoniometerError(
            "cannot be read as a table of modules",
            file=path,
            found=str(error).partition("\n")[0],
            fix="remove it, and the report is built without it, or run compare again",
        ) from None
    if set(table.column_names) != set(columns):
        raise GoniometerError(
            "no table of modules",
            file=path,
            expected=", ".join(columns),
            fix="remove it, and the report is built without it, or run compare again",
        )
    wanted = pa.array(index.shown)
    both = pc.and_(pc.is_in(table["a"], wanted), pc.is_in(table["b"], wanted))
    return _gathered(table.filter(both).to_pydict(), index)


def _gathered(rows: dict[str, list[Any]], index: Index) -> Modules | None:
    if not rows["a"]:
        return None
    layer_of = dict(zip(rows["module"], rows["layer"], strict=True))
    # As geometry orders them: by layer, what has none first, then by name.
    modules = sorted(layer_of, key=lambda m: (-1 if layer_of[m] is None else layer_of[m], m))
    column = {module: i for i, module in enumerate(modules)}
    found: dict[tuple[str, str], list[list[float | None]]] = {}
    for i, (a, b, module) in enumerate(zip(rows["a"], rows["b"], rows["module"], strict=True)):
        blank: list[list[float | None]] = [[None] * len(modules) for _ in MEASURES]
        mine = found.setdefault((a, b), blank)
        for values, key in zip(mine, MEASURES, strict=True):
            values[column[module]] = _short(rows[key][i], key)
    ordered = _arms_first(list(found), index)
    room = max(1, MOST_READINGS // (len(modules) * len(MEASURES)))
    kept = ordered[:room]
    layers = tuple("" if layer_of[m] is None else str(layer_of[m]) for m in modules)
    packed = tuple(tuple(tuple(of) for of in found[pair]) for pair in kept)
    return Modules(tuple(modules), tuple(kept), packed, layers, len(ordered) - len(kept))


def _arms_first(pairs: Sequence[tuple[str, str]], index: Index) -> list[tuple[str, str]]:
    return sorted(pairs, key=lambda pair: sum(name in index.repeats for name in pair))


def _short(value: float | None, key: str) -> float | None:
    if value is None:
        return None
    return round(value, 1) if key.startswith("angle") else rounded(value, 4)
