"""Updates in, all of their geometry out. No training, no model."""

from collections.abc import Callable, Collection, Mapping, Sequence

from goniometer.comparison.folder import VERSIONED, versions
from goniometer.comparison.replicates import Replicates
from goniometer.comparison.verdicts import floors, verdict
from goniometer.comparison.warnings import shared_starts, warnings_of
from goniometer.deltas import Delta
from goniometer.geometry import MEASURES, SPECTRA
from goniometer.geometry.null_table import add_nulls
from goniometer.geometry.readings import Readings, read_pairs
from goniometer.results import Comparison, PairReadings, Results
from goniometer.statistics import STEPS


def compare_deltas(  # noqa: PLR0913 (an option each)
    deltas: Mapping[str, Delta],
    *,
    k: int | None = None,
    draws: int = 200,
    seed: int = 0,
    origin: str | None = None,
    exact: bool = False,
    replicates: Replicates | None = None,
    of_one_run: Sequence[Collection[str]] = (),
    detailed: Collection[str] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[Comparison, Readings]:
    """Read all pairs, set the nulls beside them, and say of each pair what may be said.

    `of_one_run` groups names that are checkpoints of one run: their pairs are not judged. Pairs of
    runs that are `detailed` keep their layers and projections, however many pairs there are.
    """
    readings = read_pairs(deltas, k=k, exact=exact, detailed=detailed, advance=advance)
    pairs, nulls = add_nulls(readings, draws=draws, seed=seed)
    held = floors(pairs, replicates)
    by_names = {(pair.a, pair.b): pair for pair in pairs}
    groups = [frozenset(names) for names in of_one_run]

    def judge(pair: PairReadings) -> str:
        if pair.state == "comparable" and _within_one(pair, groups):
            return STEPS
        return verdict(pair, by_names, nulls, held, replicates)

    judged = [pair.model_copy(update={"verdict": judge(pair)}) for pair in pairs]
    apart = [pair for pair in pairs if not _within_one(pair, groups)]
    comparison = Comparison(
        k=readings.k,
        origin=origin,
        seed=seed,
        layers=tuple(int(s[6:]) for s in readings.scopes if s.startswith("layer.")),
        projections=tuple(s[11:] for s in readings.scopes if s.startswith("projection.")),
        measures={name: measure.info for name, measure in MEASURES.items()}
        | {name: size.info for name, size in SPECTRA.items()},
        runs=readings.runs,
        pairs=tuple(judged),
        nulls=nulls,
        floors=held,
        warnings=(*warnings_of(readings, detailed), *shared_starts(apart, nulls, replicates)),
    )
    return comparison, readings


def _within_one(pair: PairReadings, groups: Sequence[frozenset[str]]) -> bool:
    return any({pair.a, pair.b} <= names for names in groups)


def compared(
    deltas: Mapping[str, Delta],
    *,
    origin: str | None = None,
    k: int | None = None,
    draws: int = 200,
    seed: int = 0,
    exact: bool = False,
    of_one_run: Sequence[Collection[str]] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[Results, Readings]:
    """Compare updates of which no seed floor is known."""
    comparison, readings = compare_deltas(
        deltas,
        k=k,
        draws=draws,
        seed=seed,
        origin=origin,
        exact=exact,
        of_one_run=of_one_run,
        advance=advance,
    )
    title = f"{len(deltas)} fine-tunes compared"
    return Results(title=title, versions=versions(VERSIONED), comparison=comparison), readings
