"""Looking things up in results: who is an arm, which pair is meant, where the floor lies."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

from goniometer.report.theme import RUN_COLOURS, var
from goniometer.results import (
    Accuracy,
    Band,
    Cell,
    Comparison,
    Floor,
    NullKind,
    Paired,
    PairReadings,
    Reading,
    Results,
)

NULL_KINDS: tuple[NullKind, ...] = ("shared_A0", "independent")
NULL_NAMES: dict[NullKind, str] = {
    "shared_A0": "null, shared A0",
    "independent": "null, independent",
}
NULL_COLOURS: dict[NullKind, str] = {"shared_A0": var("shared"), "independent": var("null")}
# Scopes of pairs under which a whole model may stand, in the order of preference.
_WHOLE = ("union", "intersection")


@final
@dataclass(frozen=True)
class Index:
    """Results with what the report asks of them again and again."""

    results: Results

    @property
    def comparison(self) -> Comparison:
        """The geometry."""
        return self.results.comparison

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All runs, in the order of the comparison."""
        return tuple(run.name for run in self.comparison.runs)

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """The runs that a reader asks about: all, but for a study's repeats and its grid."""
        return tuple(name for name in self.shown if name not in self.repeats) or self.shown

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Arms and their repeats for the floors; the grid's runs have charts of their own."""
        return tuple(name for name in self.names if name not in self.grid) or self.names

    @cached_property
    def repeats(self) -> frozenset[str]:
        """The cells that a study trained only to know its floors."""
        return frozenset(cell.name for cell in self.cells if cell.role == "floor")

    @cached_property
    def grid(self) -> frozenset[str]:
        """The cells that differ from their arm in seed, learning rate or share of wrong rows."""
        return frozenset(cell.name for cell in self.cells if cell.role == "grid")

    @cached_property
    def ended(self) -> dict[str, str]:
        """Cells that were not trained to their end, with how each ended in words."""
        return {
            cell.name: f"stopped at step {cell.steps} (non-finite)"
            if cell.state == "non-finite"
            else cell.state
            for cell in self.cells
            if cell.state != "trained"
        }

    @cached_property
    def _pairs(self) -> dict[frozenset[str], PairReadings]:
        return {frozenset((pair.a, pair.b)): pair for pair in self.comparison.pairs}

    def pair(self, a: str, b: str) -> PairReadings | None:
        """The pair of these two, whichever stands first."""
        return self._pairs.get(frozenset((a, b)))

    @cached_property
    def arm_pairs(self) -> tuple[PairReadings, ...]:
        """Pairs of arms."""
        arms = set(self.arms)
        return tuple(p for p in self.comparison.pairs if p.a in arms and p.b in arms)

    @cached_property
    def shown_pairs(self) -> tuple[PairReadings, ...]:
        """Pairs of arms and repeats."""
        shown = set(self.shown)
        return tuple(p for p in self.comparison.pairs if p.a in shown and p.b in shown)

    @cached_property
    def paired_arms(self) -> tuple[Paired, ...]:
        """Paired tests between arms and with the base."""
        study = self.results.study
        known = {*self.arms, *(a.run for a in (study.accuracies[:1] if study else ()))}
        return tuple(p for p in (study.paired if study else ()) if {p.a, p.b} <= known)

    def colour(self, name: str) -> str:
        """A run's colour, as style sheets name it."""
        return var(self.token(name))

    def token(self, name: str) -> str:
        """A run's colour, the same in all charts; what repeats an arm has the arm's colour."""
        if name in self.cell_of:
            name = self.cell_of[name].arm
        place = self.arms.index(name) if name in self.arms else len(self.arms)
        return f"run-{place % RUN_COLOURS}"

    def fill(self, name: str) -> str:
        """Repeats and runs of the grid are hollow."""
        hollow = name in self.repeats or name in self.grid
        return var("ground") if hollow else self.colour(name)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The study's cells; none without a study."""
        return self.results.study.cells if self.results.study else ()

    @cached_property
    def cell_of(self) -> dict[str, Cell]:
        """The study's cells by name."""
        return {cell.name: cell for cell in self.cells}

    @cached_property
    def scores(self) -> dict[str, Accuracy]:
        """Accuracies by run."""
        study = self.results.study
        return {accuracy.run: accuracy for accuracy in (study.accuracies if study else ())}

    @cached_property
    def shown_scores(self) -> tuple[Accuracy, ...]:
        """The base's accuracy, then those of arms and repeats."""
        study = self.results.study
        base, *rest = study.accuracies if study and study.accuracies else (None,)
        return (base, *(a for a in rest if a.run in self.shown)) if base else ()

    def norm(self, name: str) -> float | None:
        """Norm of a run's whole update; None where there is no such run."""
        found = next((run for run in self.comparison.runs if run.name == name), None)
        size = found.scopes.get("all", {}).get("norm") if found else None
        return size.value if size else None

    def floor_pairs(self, floor: Floor) -> Iterator[PairReadings]:
        """The pairs that a floor is made of, as far as they were compared."""
        for i, a in enumerate(floor.runs):
            for b in floor.runs[i + 1 :]:
                if found := self.pair(a, b):
                    yield found

    def floor_range(self, floor: Floor, scope: str, measure: str) -> tuple[float, float] | None:
        """Smallest and largest value of a measure over the pairs of a floor; None without any."""
        found = [read(pair, scope, measure) for pair in self.floor_pairs(floor)]
        values = [r.value for r in found if r is not None and r.value is not None]
        return (min(values), max(values)) if values else None

    def null(self, group: str | None, scope: str, measure: str, kind: NullKind) -> Band | None:
        """A null's band; the whole model may be called `whole` or by the pairs' own scope."""
        table = self.comparison.nulls.get(group or "", {})
        readings = table.get(scope) or (table.get("whole") if scope in _WHOLE else None) or {}
        return readings.get(measure, {}).get(kind)


def read(pair: PairReadings, scope: str, measure: str) -> Reading | None:
    """A pair's reading; None where the scope or the measure is absent."""
    found = pair.scopes.get(scope)
    return found.readings.get(measure) if found else None


def whole(pair: PairReadings) -> str:
    """The scope that stands for the whole model: the union of both runs' modules."""
    return next((scope for scope in _WHOLE if scope in pair.scopes), "union")


def alike_first(pairs: Iterable[PairReadings]) -> list[PairReadings]:
    """Pairs by falling cosine, those without one last."""

    def place(pair: PairReadings) -> float:
        value = cosine(pair)
        return 2.0 if value is None else -value

    return sorted(pairs, key=place)


def most_different(pairs: Sequence[PairReadings]) -> PairReadings | None:
    """The pair of lowest cosine."""
    defined = [pair for pair in pairs if cosine(pair) is not None]
    return alike_first(defined)[-1] if defined else None


def cosine(pair: PairReadings) -> float | None:
    """The whole-model cosine; None where undefined."""
    found = read(pair, whole(pair), "cosine")
    return found.value if found else None
