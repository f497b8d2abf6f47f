"""`compare` in Python, and how the command comes by the same value: one way for both."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from goniometer.compared import Compared
from goniometer.comparison.options import Options
from goniometer.errors import GoniometerError
from goniometer.progress import Shown, Silent, bars
from goniometer.results import Results

if TYPE_CHECKING:
    from goniometer.deltas import BaseModel, Companions, Delta
    from goniometer.geometry.base_measures import AtModule
    from goniometer.steps import Checkpoints
    from goniometer.with_model import WithModel

Runs = Sequence[str | Path] | Mapping[str, str | Path]

FEWEST_DRAWS = 2  # fewer are no band


def compare(  # noqa: PLR0913 (the command has as many)
    runs: Runs,
    *,
    origin: str | Path | None = None,
    base: str | Path | None = None,
    initial: str | Path | None = None,
    k: int | None = None,
    draws: int = 200,
    seed: int = 0,
    over: Literal["steps"] | None = None,
    exact: bool = False,
    base_measures: bool = True,
    data: str | Path | None = None,
    task: str | None = None,
    task_options: Mapping[str, Any] | None = None,
    positions: int | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    bare_answer: bool = False,
    accuracy: Literal["everywhere"] | None = None,
    progress: bool = False,
) -> Compared:
    """Compare some fine-tunes, as `goniometer compare` does; nothing is written or printed.

    Args:
        runs: folders or Hub ids (`owner/name@revision`), `NAME=RUN` names one; or by name.
        origin: a common starting adapter, subtracted from each run.
        base: the base model, which checkpoints and some adapters are read against; with `data` a
            whole model, as a study's `models.base`.
        initial: the adapter that PiSSA and its like started from.
        k: size of the top-k subspaces; max(1, min(10, r // 3)) if absent.
        draws: simulations for each null.
        seed: of the nulls.
        over: "steps" reads the checkpoints of each run as a trajectory.
        exact: decompose large dense updates whole, not to their top k.
        base_measures: with a base, measure each run against it too: seconds a module and run.
        data: rollouts (Parquet, JSON lines), on which the base with each run is measured: losses
            along paths, similarity of activations, KL, sums of runs.
        task: a task whose test problems are answered too: accuracy along paths, agreement.
        task_options: of the task.
        positions: points of a path, both ends among them: odd, from 3 up; 11 if absent.
        dtype: of the base's weights while `data` is measured; float32 if absent.
        device: where it runs then; `auto` if absent, cuda where there is one.
        bare_answer: with a task, also the loss of the gold answer right after the prompt.
        accuracy: "everywhere" answers at every point of the paths, not only at ends, midpoints
            and sums.
        progress: show bars on stderr.

    Raises:
        GoniometerError: as the readers say, shapes that show different bases, or k too large.
    """
    from goniometer.deltas.hub import argument_of

    if isinstance(runs, str | Path):
        raise GoniometerError("one run", key="runs", found=repr(str(runs)), expected="two or more")
    if draws < FEWEST_DRAWS:
        raise GoniometerError(
            "too few simulations", key="draws", found=draws, expected=f"{FEWEST_DRAWS} or more"
        )
    if over not in (None, "steps"):
        raise GoniometerError("not known", key="over", found=repr(over), expected="'steps' or None")
    origin, base, initial = (None if x is None else argument_of(x) for x in (origin, base, initial))
    options = Options(
        origin, base, initial, k, draws, seed, over, exact, base_measures,
        None if data is None else str(data), task, task_options or {}, positions,
        dtype, device, bare_answer, accuracy,
    )  # fmt: skip
    with bars() if progress else nullcontext(Silent()) as shown:
        return compare_with(runs, options, shown)


def compare_with(runs: Runs, options: Options, shown: Shown) -> Compared:
    """As `compare`, with the options as a value and the progress shown somewhere."""
    from goniometer.comparison.compare import compared
    from goniometer.comparison.runs import read_runs
    from goniometer.deltas.hub import companions
    from goniometer.steps import Checkpoints, find_checkpoints

    options.require_sense()
    named = _named(runs, fewest=2 if options.over is None else 1)
    found = Checkpoints({}) if options.over is None else find_checkpoints(named)
    sources = found.sources or named
    origin = options.origin
    given = companions(options.base_folder, options.initial)
    with shown.task("read runs", len(sources) + (origin is not None)) as advance:

        def read_one(path: Path) -> "Delta":
            delta = _read(path, given)
            advance(1)
            return delta

        deltas = read_runs(sources, origin, read_one)
    placed = _with_model(options, deltas, shown)
    modules = len({module for delta in deltas.values() for module in delta})
    with shown.task("compare modules", modules) as advance:
        results, readings = compared(
            deltas,
            origin=origin,
            k=options.k,
            draws=options.draws,
            seed=options.seed,
            exact=options.exact,
            of_one_run=[tuple(steps) for steps in found.of.values()],
            advance=advance,
        )
    results = _with_trajectories(results, found)
    if placed is not None:
        behaviour = placed.measured(deltas, results.comparison, shown, options.seed)
        results = results.model_copy(update={"behaviour": behaviour})
    # Over steps it would cost seconds a module for every checkpoint.
    if given.base is None or not options.base_measures or options.over:
        return Compared(results, readings)
    with shown.task("measure against the base", modules) as advance:
        return _against_base(Compared(results, readings), deltas, given.base, options, advance)


def _with_model(
    options: Options, deltas: "Mapping[str, Delta]", shown: Shown
) -> "WithModel | None":
    """Load the base and read the texts before the work, so that what does not fit is said soon."""
    if options.data is None or options.base is None:
        return None
    from goniometer.with_model import with_model

    with shown.task("load the base, read texts", None):
        return with_model(options.base, options.data, deltas, options)


def _against_base(
    compared: Compared,
    deltas: "Mapping[str, Delta]",
    base: "BaseModel",
    options: Options,
    advance: Callable[[int], None],
) -> Compared:
    from goniometer.geometry.against_base import read_against_base

    comparison = compared.results.comparison
    if options.origin is not None:
        # What a run added to its origin, added to the base, is a model that nobody trained.
        left_out = "measures against the base are left out with --origin"
        changed: dict[str, object] = {"warnings": (*comparison.warnings, left_out)}
        at_base: tuple[AtModule, ...] = ()
    else:
        found, at_base = read_against_base(
            deltas, base, name=options.base_name, seed=options.seed, advance=advance
        )
        changed = {"against_base": found}
    results = compared.results.model_copy(
        update={"comparison": comparison.model_copy(update=changed)}
    )
    return replace(compared, results=results, at_base=at_base)


def _named(runs: Runs, fewest: int) -> dict[str, str]:
    from goniometer.comparison.names import name_runs
    from goniometer.deltas.hub import argument_of

    if not isinstance(runs, Mapping):
        return name_runs([argument_of(run) for run in runs], fewest)
    if len(runs) < fewest:
        raise GoniometerError("nothing to compare", found=f"{len(runs)} run", expected="two")
    return {name: argument_of(run) for name, run in runs.items()}


def _read(path: Path, given: "Companions") -> "Delta":
    from goniometer.deltas import check_base, read

    delta = read(path, given)
    if given.base is not None:
        check_base(delta, given.base)
    return delta


def _with_trajectories(results: Results, found: "Checkpoints") -> Results:
    from goniometer.trajectory import trajectory

    if not found.of:
        return results
    comparison = results.comparison
    trajectories = tuple(trajectory(run, found.steps(run), comparison) for run in found.of)
    title = f"{len(found.sources)} checkpoints of {len(found.of)} run"
    warned = comparison.model_copy(update={"warnings": (*found.warnings, *comparison.warnings)})
    return results.model_copy(
        update={
            "title": title + ("s" if len(found.of) > 1 else ""),
            "comparison": warned,
            "trajectories": trajectories,
        }
    )
