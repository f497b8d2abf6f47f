"""`compare`: folders in, one report folder out. No training, no model."""

import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import combinations
from os.path import exists  # which never raises
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal, final

from goniometer.deltas import Delta, read
from goniometer.deltas.hub import locate
from goniometer.errors import GoniometerError
from goniometer.geometry import MEASURES, SPECTRA
from goniometer.geometry.null_table import add_nulls
from goniometer.geometry.pairs import ModulePairs
from goniometer.geometry.readings import DETAILED_PAIRS, Readings, read_pairs
from goniometer.geometry.table import write_modules
from goniometer.report import FigureFormat, build
from goniometer.results import (
    Comparison,
    Floor,
    NullTable,
    PairReadings,
    Reading,
    Results,
    to_json,
)
from goniometer.statistics import ANOTHER_SEED, REPEAT, STEPS, sameness, seed_floor
from goniometer.store import write_folder
from goniometer.tidy import write_tables

if TYPE_CHECKING:
    from goniometer.geometry.base_measures import AtModule

FloorKind = Literal["same init, other order", "other init, same order"]
# Independent row spaces overlap by r / n; those of one random A stay near 1 in training.
SHARED_START = 0.5
VERSIONED = ("goniometer", "torch", "numpy", "safetensors")


def name_runs(arguments: Sequence[str], fewest: int = 2) -> dict[str, str]:
    """Name each run: `NAME=RUN` as it says, else by its folder; equal names get their parents'.

    Raises:
        GoniometerError: fewer than `fewest` runs, or one name for two of them.
    """
    if len(arguments) < fewest:
        raise GoniometerError("nothing to compare", found=f"{len(arguments)} run", expected="two")
    split = [_split_name(argument) for argument in arguments]
    parts = [_parts(run) for _, run in split]
    depths = [1] * len(split)

    def named() -> list[str]:
        return [name or "/".join(parts[i][-depths[i] :]) for i, (name, _) in enumerate(split)]

    for _ in range(max(map(len, parts))):
        names = named()
        depths = [d + (names.count(n) > 1) for d, n in zip(depths, names, strict=True)]
    names = named()
    for name in names:
        if names.count(name) > 1:
            raise GoniometerError(
                "two runs have one name", key=repr(name), fix="name them with NAME=PATH"
            )
    return {name: run for name, (_, run) in zip(names, split, strict=True)}


def _parts(run: str) -> tuple[str, ...]:
    """Parts of a path; what is not here, or no path at all, is refused when it is read."""
    return (Path(run).resolve() if exists(run) else Path(run)).parts  # noqa: PTH110


def _split_name(argument: str) -> tuple[str, str]:
    name, equals, rest = argument.partition("=")
    if equals and "/" not in name and not exists(argument):  # noqa: PTH110
        return name, rest
    return "", argument


def read_runs(
    runs: Mapping[str, str],
    origin: str | None = None,
    read_one: Callable[[Path], Delta] = read,
) -> dict[str, Delta]:
    """Read the update of each run by name, less the common origin where there is one.

    Runs and origin are folders or Hub ids.

    Raises:
        GoniometerError: as `locate` or the format's reader says.
    """
    deltas = {name: _read_located(run, read_one) for name, run in runs.items()}
    if origin is None:
        return deltas
    start = _read_located(origin, read_one)
    return {name: delta.minus(start) for name, delta in deltas.items()}


def _read_located(run: str, read_one: Callable[[Path], Delta]) -> Delta:
    located = locate(run)
    delta = read_one(located.path)
    return replace(delta, provenance=replace(delta.provenance, source=located.source))


@final
@dataclass(frozen=True)
class Replicates:
    """What a study knows of its runs' seeds: groups that repeat one arm, and each run's seeds.

    Runs of one recipe differ in nothing but seeds. Seeds of the grid are numbered from 1.
    """

    same_init: tuple[tuple[str, ...], ...]  # by arm: one init, other data orders
    other_init: tuple[tuple[str, ...], ...]  # by arm: one data order, other inits
    init_of: Mapping[str, int]
    order_of: Mapping[str, int]
    recipe_of: Mapping[str, str] = field(default_factory=dict)
    seed_of: Mapping[str, int] = field(default_factory=dict)
    # What a floor is of: the weights that move, and the rows that are trained on.
    kind_of: Mapping[str, object] = field(default_factory=dict)

    def repeat(self, a: str, b: str) -> bool:
        """Whether two runs differ in nothing but seeds."""
        return self.recipe_of.get(a, a) == self.recipe_of.get(b, b)

    def of_the_grid(self, *runs: str) -> bool:
        """Whether one of the runs has a seed of the grid."""
        return any(self.seed_of.get(run, 0) for run in runs)


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
    floors = _floors(pairs, replicates)
    by_names = {(pair.a, pair.b): pair for pair in pairs}
    groups = [frozenset(names) for names in of_one_run]

    def verdict(pair: PairReadings) -> str:
        if pair.state == "comparable" and _within_one(pair, groups):
            return STEPS
        return _verdict(pair, by_names, nulls, floors, replicates)

    judged = [pair.model_copy(update={"verdict": verdict(pair)}) for pair in pairs]
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
        floors=floors,
        warnings=(*_warnings(readings, detailed), *_shared_starts(apart, nulls, replicates)),
    )
    return comparison, readings


def _within_one(pair: PairReadings, groups: Sequence[frozenset[str]]) -> bool:
    return any({pair.a, pair.b} <= names for names in groups)


def _floors(pairs: Sequence[PairReadings], replicates: Replicates | None) -> tuple[Floor, ...]:
    if replicates is None:
        return ()
    cosines = {(pair.a, pair.b): pair.scopes["union"].readings["cosine"].value for pair in pairs}
    known = {pair: value for pair, value in cosines.items() if value is not None}
    groups: list[tuple[FloorKind, tuple[str, ...]]] = [
        *(("same init, other order", runs) for runs in replicates.same_init),
        *(("other init, same order", runs) for runs in replicates.other_init),
    ]
    # A replicate that trained nothing has no cosine, and so makes no floor.
    return tuple(
        seed_floor(kind, runs, known)
        for kind, runs in groups
        if len(runs) > 1 and all({(a, b), (b, a)} & known.keys() for a, b in combinations(runs, 2))
    )


def _verdict(
    pair: PairReadings,
    pairs: Mapping[tuple[str, str], PairReadings],
    nulls: Mapping[str, NullTable],
    floors: Sequence[Floor],
    replicates: Replicates | None,
) -> str:
    bands = dict(pair.family)
    readings = pair.scopes["union"].readings
    if replicates is None:
        start = readings["row_space_overlap"].value
        if start is not None and start < SHARED_START:
            bands.pop("shared_A0", None)  # they did not start from one A
        return sameness(readings["cosine"], pair.state, None, bands)
    if any({pair.a, pair.b} <= set(floor.runs) for floor in floors) and pair.state == "comparable":
        return REPEAT
    if replicates.repeat(pair.a, pair.b) and pair.state == "comparable":
        return ANOTHER_SEED
    same_init = replicates.init_of[pair.a] == replicates.init_of[pair.b]
    same_order = replicates.order_of[pair.a] == replicates.order_of[pair.b]
    if not same_init:
        bands.pop("shared_A0", None)
    # Floors are of the common seeds; arms of another one share its order, and so its noise.
    elsewhere = replicates.of_the_grid(pair.a, pair.b)
    unlike = replicates.kind_of.get(pair.a) != replicates.kind_of.get(pair.b)
    if elsewhere or unlike or (not same_init and not same_order):
        return sameness(readings["cosine"], pair.state, None, bands)
    mine = [f for f in floors if replicates.kind_of.get(f.arm) == replicates.kind_of.get(pair.a)]
    floor = _strictest(mine, "same init, other order" if same_init else "other init, same order")
    across = _across_orders(pair, pairs, replicates) if same_init and same_order else None
    return sameness(
        across or readings["cosine"],
        pair.state,
        floor,
        bands,
        shares_noise=same_init and same_order and across is None,
    )


def _across_orders(
    pair: PairReadings,
    pairs: Mapping[tuple[str, str], PairReadings],
    replicates: Replicates,
) -> Reading | None:
    """Mean cosine of each run of a pair to the other's repeats in other data orders.

    Two arms share their data order, and so its noise; the floor's runs do not. Where one of the
    two has repeats, these are what can be held against the floor. None where neither has.
    """
    found = [
        (pairs.get((run, repeat)) or pairs[repeat, run]).scopes["union"].readings["cosine"].value
        for run, other in ((pair.a, pair.b), (pair.b, pair.a))
        for runs in replicates.same_init
        if runs[0] == other
        for repeat in runs[1:]
    ]
    defined = [value for value in found if value is not None]
    return Reading(value=fmean(defined)) if defined else None


def _strictest(floors: Sequence[Floor], kind: FloorKind) -> Floor | None:
    """The floor with the highest bound: a noisy arm must not make unlike updates look the same."""
    of_kind = [floor for floor in floors if floor.kind == kind]
    return max(of_kind, key=lambda floor: floor.bound, default=None)


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


def write(
    results: Results,
    readings: Readings,
    folder: Path,
    *,
    at_base: "Sequence[AtModule]" = (),
    figures: Collection[FigureFormat] = (),
) -> Path:
    """Write results.json, the tables and the report; return the path of report.html."""

    def make(partial: Path) -> None:
        (partial / "results.json").write_text(to_json(results))
        write_modules(readings, partial / "modules.parquet")
        if at_base:
            from goniometer.geometry.base_table import write_base_modules

            write_base_modules(at_base, partial / "base_modules.parquet")
        write_tables(results, partial)
        build(results, partial, figures=figures)

    write_folder(folder, make, {"stage": "compare", "schema_version": results.schema_version})
    return folder / "report.html"


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def _shared_starts(
    pairs: Sequence[PairReadings],
    nulls: Mapping[str, NullTable],
    replicates: Replicates | None,
) -> tuple[str, ...]:
    """Tell of runs that seem to share their initial A, where nobody planned it."""
    if replicates is not None:
        return ()
    found = []
    for pair in pairs:
        overlap = pair.scopes["union"].readings["row_space_overlap"].value
        table = nulls[pair.null_group]["union"] if pair.null_group else {}
        chance = table.get("row_space_overlap", {}).get("independent")
        # Of high ranks, chance alone overlaps by much.
        clear = overlap is not None and (chance is None or overlap > 1.05 * chance.high)
        if overlap is not None and clear and overlap > SHARED_START and pair.state == "comparable":
            found.append(f"{pair.a} and {pair.b} ({overlap:.2f})")
    if not found:
        return ()
    return (
        f"started from one A, or one from the other, by their row space overlap: {', '.join(found)}"
        "; right-hand angles and v1 between them say more of that start than of training",
    )


def _is_loose(module: ModulePairs, run: int, k: int) -> bool:
    """Whether a residual is large beside the gap that sets the top-k subspace apart."""
    if not module.residual or not module.residual[run] or int(module.ranks[run]) <= k:
        return False
    sigma = module.sigma[run]
    return module.residual[run] * float(sigma[0]) > 0.1 * float(sigma[k - 1] - sigma[k])


def _warnings(readings: Readings, detailed: Collection[str]) -> tuple[str, ...]:
    warnings = []
    bases = {run.name: run.base for run in readings.runs if run.base is not None}
    if len(set(bases.values())) > 1:
        named = ", ".join(f"{run} {base!r}" for run, base in bases.items())
        warnings.append(f"the runs name different bases: {named}; their shapes agree")
    if len(readings.pairs) > DETAILED_PAIRS:
        whose = "their layers and projections" + (" in the grid" if detailed else "")
        warnings.append(
            f"{len(readings.pairs)} pairs: {whose} are left out here; "
            "modules.parquet has every module of every pair"
        )
    k = readings.k
    for run, name in enumerate(readings.names):
        mine = [m for m in readings.modules if m.present[run] and int(m.ranks[run]) > 0]
        flat = sum(
            int(m.ranks[run]) > k and float(m.sigma[run, k] / m.sigma[run, k - 1]) > 0.99
            for m in mine
        )
        if flat:
            warnings.append(
                f"{name}: at {flat} of {len(mine)} modules sigma_{k + 1} is within 1 % of "
                f"sigma_{k}, so its top-{k} subspace is not well determined there"
            )
        loose = sum(_is_loose(m, run, k) for m in mine)
        if loose:
            warnings.append(
                f"{name}: at {loose} of {len(mine)} modules the iteration left a residual that "
                f"could turn its top-{k} subspace; --exact decomposes them whole"
            )
        short = sum(int(m.ranks[run]) < k for m in mine if min(m.shape) > 1)
        if short:
            warnings.append(
                f"{name}: k = {k} exceeds the numerical rank at {short} of {len(mine)} modules"
            )
    return tuple(warnings)
