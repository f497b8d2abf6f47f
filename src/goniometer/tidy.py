"""Results as tidy tables, for CSV files and pandas: a row an observation, a column a measure.

Columns stand in a fixed order: what the row is of, then measures by name, then `undefined`, the
reasons for empty cells. Values read back from results.json give the same tables.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, final

from goniometer.errors import GoniometerError
from goniometer.results import Reading, Results

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, str | int | float | None]
Value = TypeVar("Value")
_KINDS = ("union", "all", "intersection", "layer", "projection")


@final
@dataclass(frozen=True)
class Tidy:
    """A table: its columns in order, and rows that may lack some of them."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def write(self, path: Path) -> None:
        """Write as CSV (UTF-8, comma, header); a number as the shortest text that reads back."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def to_pandas(self) -> "pd.DataFrame":
        """The table as a DataFrame; what is undefined is NaN, or None in a column of text."""
        import pandas as pd

        return pd.DataFrame.from_records(list(self.rows), columns=list(self.columns))


def pairs(results: Results) -> Tidy:
    """One row a pair and scope."""
    found = results.comparison.pairs
    names = _names(scope.readings for pair in found for scope in pair.scopes.values())
    about = ("a", "b", "scope", "state", "verdict", "null_group", "modules", "energy_share")
    rows = [
        {
            "a": pair.a,
            "b": pair.b,
            "scope": scope,
            "state": pair.state,
            "verdict": pair.verdict,
            "null_group": pair.null_group,
            "modules": part.modules,
            "energy_share": part.energy_share,
            **_cells(part.readings),
        }
        for pair in found
        for scope, part in by_scope(pair.scopes)
    ]
    return _table(about, names, rows)


def runs(results: Results) -> Tidy:
    """One row a run and scope, measures against the base included; `modules` of the whole run."""
    found = [(run, results.comparison.sizes(run.name)) for run in results.comparison.runs]
    names = _names(readings for _, scopes in found for readings in scopes.values())
    rows = [
        {
            "run": run.name,
            "scope": scope,
            "state": run.state,
            "format": run.format,
            "base": run.base,
            "source": run.source,
            "fingerprint": run.fingerprint,
            "modules": run.modules,
            "rank_low": run.ranks[0],
            "rank_high": run.ranks[1],
            **_cells(readings),
        }
        for run, scopes in found
        for scope, readings in by_scope(scopes)
    ]
    about = ("run", "scope", "state", "format", "base", "source", "fingerprint", "modules")
    return _table((*about, "rank_low", "rank_high"), names, rows)


def steps(results: Results) -> Tidy:
    """One row a checkpoint of a trajectory."""
    names = (
        "cosine_to_final", "cosine_to_final_null", "angle_left", "angle_right",
        "cosine_of_increments",
    )  # fmt: skip
    about = ("trajectory", "run", "step", "norm", "norm_null", "increment")
    rows = [
        {
            "trajectory": one.name,
            **{name: getattr(step, name) for name in about[1:]},
            **_cells({name: getattr(step, name) for name in names}),
        }
        for one in results.trajectories
        for step in one.steps
    ]
    return _table(about, names, rows)


def rank_one(results: Results) -> Tidy:
    """One row a trajectory and scope: shares of one direction, and their nulls."""
    names = ("totals", "totals_null", "increments", "increments_null")
    rows = [
        {
            "trajectory": one.name,
            "scope": scope,
            **_cells({name: getattr(share, name) for name in names}),
        }
        for one in results.trajectories
        for scope, share in by_scope(one.rank_one)
    ]
    return _table(("trajectory", "scope"), names, rows)


TABLES: dict[str, Callable[[Results], Tidy]] = {
    "pairs": pairs,
    "runs": runs,
    "steps": steps,
    "rank_one": rank_one,
}


def tidy(results: Results, table: str) -> Tidy:
    """Return one of TABLES by name.

    Raises:
        GoniometerError: no such table.
    """
    if table not in TABLES:
        raise GoniometerError("no such table", found=repr(table), expected=", ".join(TABLES))
    return TABLES[table](results)


def write_tables(results: Results, folder: Path) -> None:
    """Write each table that has rows as NAME.csv."""
    for name, make in TABLES.items():
        table = make(results)
        if table.rows:
            table.write(folder / f"{name}.csv")


def by_scope(scopes: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Scopes in order: the whole model, layers by number, projections by name."""
    return sorted(scopes.items(), key=lambda item: _place(item[0]))


def _place(scope: str) -> tuple[int, int, str]:
    kind, _, name = scope.partition(".")
    number = int(name) if kind == "layer" and name.isdecimal() else 0
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS), number, name


def _table(about: Sequence[str], names: Iterable[str], rows: Sequence[Row]) -> Tidy:
    return Tidy((*about, *names, "undefined"), tuple(rows))


def _names(found: Iterable[Mapping[str, Reading]]) -> list[str]:
    return sorted({name for readings in found for name in readings})


def _cells(readings: Mapping[str, Reading]) -> dict[str, str | float | None]:
    """Values by measure, and in one text why others have none: `reason: measure, measure; ...`."""
    cells: dict[str, str | float | None] = {name: r.value for name, r in readings.items()}
    reasons: dict[str, list[str]] = {}
    for name in sorted(readings):
        reason = readings[name].undefined
        if reason is not None:
            reasons.setdefault(reason, []).append(name)
    if len(reasons) == 1 and len(next(iter(reasons.values()))) == len(readings):
        text = next(iter(reasons))
    else:
        text = "; ".join(f"{reason}: {', '.join(names)}" for reason, names in reasons.items())
    return cells | {"undefined": text or None}
