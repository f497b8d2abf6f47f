"""What `compare` gives in Python: a value with tables, pairs, a notebook's view and a folder."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

from goniometer.errors import GoniometerError
from goniometer.options import nearest
from goniometer.results import PairReadings, Results, RunReadings, Scope, read_results
from goniometer.tidy import tidy

if TYPE_CHECKING:
    import pandas as pd

    from goniometer.geometry.base_measures import AtModule
    from goniometer.geometry.readings import Readings
    from goniometer.report import FigureFormat


@final
@dataclass(frozen=True, repr=False)
class Compared:
    """Fine-tunes compared: `results` is what results.json holds."""

    results: Results
    readings: "Readings | None" = field(default=None, compare=False)
    at_base: "tuple[AtModule, ...]" = field(default=(), compare=False)

    @property
    def runs(self) -> tuple[RunReadings, ...]:
        """Each run alone."""
        return self.results.comparison.runs

    @property
    def pairs(self) -> tuple[PairReadings, ...]:
        """All pairs of runs."""
        return self.results.comparison.pairs

    def pair(self, a: str, b: str) -> PairReadings:
        """Two runs, whichever way round: directional measures are of b as seen from a.

        Raises:
            GoniometerError: no such run, or one run twice.
        """
        names = [run.name for run in self.runs]
        for name in (a, b):
            if name not in names:
                raise GoniometerError("no such run", found=repr(name), fix=nearest(name, names))
        if a == b:
            raise GoniometerError("a pair is two runs", found=f"{a!r} twice")
        found = next(pair for pair in self.pairs if {pair.a, pair.b} == {a, b})
        return found if found.a == a else turned(found)

    def to_pandas(
        self, table: Literal["pairs", "runs", "steps", "rank_one"] = "pairs"
    ) -> "pd.DataFrame":
        """One row a pair and scope, run and scope, or checkpoint; measures are columns.

        What is undefined is NaN, and the column `undefined` says why.

        Raises:
            GoniometerError: no such table.
        """
        return tidy(self.results, table).to_pandas()

    def save(self, folder: str | Path, *, figures: Collection["FigureFormat"] = ()) -> Path:
        """Write the folder that `goniometer compare` writes; return the path of report.html.

        `figures` may ask for the charts as files too: "svg", "png".

        Raises:
            GoniometerError: the folder is not ours to replace, or this value was read from one.
        """
        from goniometer.comparison.folder import write

        if self.readings is None:
            raise GoniometerError(
                "the readings of single modules are not in results.json",
                fix="copy the folder that it was read from",
            )
        return write(
            self.results, self.readings, Path(folder), at_base=self.at_base, figures=figures
        )

    def __repr__(self) -> str:
        """The answer in a line."""
        from goniometer.report import answer

        return f"<{len(self.runs)} runs, {len(self.pairs)} pairs: {answer(self.results)}>"

    def _repr_html_(self) -> str:
        from goniometer.report.notebook import view

        return view(self.results)


def turned(pair: PairReadings) -> PairReadings:
    """The same pair the other way round."""
    return pair.model_copy(
        update={
            "a": pair.b,
            "b": pair.a,
            "only_a": pair.only_b,
            "only_b": pair.only_a,
            "scopes": {name: _turned_scope(scope) for name, scope in pair.scopes.items()},
        }
    )


def _turned_scope(scope: Scope) -> Scope:
    from goniometer.gates import reversed_name

    readings = {
        name: scope.readings[reversed_name(name, scope.readings)] for name in scope.readings
    }
    return scope.model_copy(update={"readings": readings})


def read_compared(folder: str | Path) -> Compared:
    """Read what was saved, from a folder's results.json.

    Raises:
        GoniometerError: no such file, or of another schema version.
    """
    return Compared(read_results(Path(folder) / "results.json"))
