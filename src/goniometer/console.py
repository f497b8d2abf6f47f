"""What a person sees in the terminal: progress on stderr, one table on stdout."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, final

from rich import box
from rich.console import Console
from rich.table import Table

from goniometer.config import Study
from goniometer.errors import GoniometerError
from goniometer.progress import bars
from goniometer.results import AgainstBase, Band, Comparison, NullKind, Reading, Trajectory

if TYPE_CHECKING:
    from goniometer.gates import Gate
    from goniometer.library import Options
    from goniometer.report import FigureFormat

# Measures in the terminal's table of pairs, with their headings and digits.
SHOWN = {
    "cosine": ("cosine", 6),
    "off_subspace_joint": ("b off a", 3),
    "off_subspace_joint_reverse": ("a off b", 3),
    "angle_left_smallest": ("top angle left", 1),
    "angle_right_smallest": ("right", 1),
    "u1": ("u1", 3),
    "v1": ("v1", 3),
}
# Measures against the base in the terminal.
AGAINST_BASE = {
    "relative_norm": ("relative norm", 5),
    "spectral_shift": ("spectral shift", 6),
    "principal_overlap": ("principal overlap", 3),
    "unchanged_fp32": ("unchanged fp32", 3),
    "unchanged_bf16": ("bf16", 3),
    "rotation_left_largest": ("rotation left", 2),
    "rotation_right_largest": ("right", 2),
    "intruders": ("intruders", 0),
    "storage_noise": ("storage noise", 3),
}
# A table that goes to a file or a pipe is not folded to some terminal's width.
PIPED_WIDTH = 200


# A terminal narrower than this has no room for all the columns of a pair.
ROOMY = 140
# More tables of nulls than this are left to the report.
MOST_NULLS = 2
CLOSED_PIPE = 141  # what a shell says of SIGPIPE: 1 would be a gate


@final
class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Leave quietly, as other tools do, when nobody reads on."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise SystemExit(CLOSED_PIPE) from None


def stdout() -> Console:
    """Return the console for results: wide where there is no terminal to fit."""
    console = _Output()
    return console if console.is_terminal else _Output(width=PIPED_WIDTH)


def compared(
    runs: Sequence[str],
    out: Path,
    options: "Options",
    fail_on: Sequence[str],
    figures: "Sequence[FigureFormat]" = (),
) -> bool:
    """Run `compare`, write its folder, print its tables; return whether no gate tripped."""
    from goniometer import gates
    from goniometer.behaviour_console import print_behaviour
    from goniometer.library import compare_with

    conditions = _gates(fail_on, options) if fail_on else []
    with bars() as shown:
        found = compare_with(runs, options, shown)
        with shown.task("write report", None):
            page = found.save(out, figures=figures)
    console = stdout()
    comparison = found.results.comparison
    print_trajectories(found.results.trajectories, console)
    print_comparison(comparison, console)
    print_against_base(comparison.against_base, console)
    print_behaviour(found.results.behaviour, console)
    console.print(f"report: {page}", soft_wrap=True, highlight=False)
    trips = [line for gate in conditions for line in gates.trips(gate, comparison)]
    for line in trips:
        sys.stderr.write(f"goniometer: gate tripped: {line}\n")
    return not trips


def _gates(texts: Sequence[str], options: "Options") -> "list[Gate]":
    from goniometer import gates
    from goniometer.geometry import MEASURES, SPECTRA
    from goniometer.geometry.base_measures import BASE_MEASURES

    found = [gates.parse(text, MEASURES, {*SPECTRA, *BASE_MEASURES}) for text in texts]
    for gate in found:
        if gate.measure in BASE_MEASURES and not options.at_base:
            raise GoniometerError(
                "a measure against the base, which is not measured here",
                key=f"--fail-on {gate.text!r}",
                fix="give --base, without --no-base-measures, --origin and --over",
            )
    return found


def studied(settings: Study, out: Path, until: str) -> None:
    """Run a study up to a stage and print what it found."""
    from goniometer.pipeline import run_study
    from goniometer.results import read_results
    from goniometer.study_console import print_study

    def warn(line: str) -> None:
        shown.progress.console.print(
            f"warning: {line}", style="yellow", soft_wrap=True, highlight=False, markup=False
        )

    with bars() as shown:
        page = run_study(settings, out, until=until, bars=shown, warn=warn)
    if until == "report":
        print_study(read_results(page.parent / "results.json"), stdout())
    stdout().print(f"{until}: {page}", soft_wrap=True, highlight=False)


def planned(settings: Study, out: Path, *, measured: bool) -> None:
    """Print what a study is made of and what it will take; nothing is written or downloaded.

    Raises:
        GoniometerError: everything that is wrong with it, at once; what is only not here is said.
    """
    from goniometer.plan_console import print_plan
    from goniometer.study.estimate.measure import measured_speed
    from goniometer.study.preflight import examine

    found = examine(settings, out, fetch=False)
    found.faults.raise_any()
    with bars() as shown:
        speed = (
            measured_speed(found.plan, shown) if measured and found.base and found.task else None
        )
    print_plan(found, speed, stdout())


def print_trajectories(trajectories: Sequence[Trajectory], console: Console) -> None:
    """Print each run's checkpoints, then the rank-1 shares; nulls are of orthogonal increments."""
    heads = [*("step", "norm", "null", "cosine to final", "null", "angle left", "right")]
    heads += ["increment", "cosine with the one before"]
    for one in trajectories:
        title = f"{one.name} over steps; null: orthogonal increments; median angles in degrees"
        table = _table(title, [], heads)
        for step in one.steps:
            table.add_row(
                str(step.step),
                f"{step.norm:.4f}",
                f"{step.norm_null:.4f}",
                _number(step.cosine_to_final, 4),
                _number(step.cosine_to_final_null, 4),
                _number(step.angle_left, 1),
                _number(step.angle_right, 1),
                f"{step.increment:.4f}",
                _number(step.cosine_of_increments, 4),
            )
        console.print(table)
    if trajectories:
        heads = ["of totals", "null", "of increments", "null"]
        table = _table("rank-1 share of the trajectory, all modules", ["run"], heads)
        for one in trajectories:
            share = one.rank_one["union"]
            four = (share.totals, share.totals_null, share.increments, share.increments_null)
            table.add_row(one.name, *(_number(reading, 4) for reading in four))
        console.print(table)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print runs, then pairs over the union of modules with their nulls."""
    runs = _table("runs", ["run", "format"], ["modules", "rank", "norm", "effective rank"])
    runs.add_column("fingerprint")
    for run in comparison.runs:
        sizes = run.scopes["all"]
        low, high = run.ranks
        rank = str(low) if low == high else f"{low}-{high}"
        norm, effective = _number(sizes["norm"], 4), _number(sizes["effective_rank"], 2)
        runs.add_row(
            run.name, run.format, str(run.modules), rank, norm, effective, run.fingerprint[:12]
        )
    console.print(runs)
    title = f"pairs over all modules; top-k subspaces with k = {comparison.k}; angles in degrees"
    roomy = console.width >= ROOMY
    shown = SHOWN if roomy else {"cosine": SHOWN["cosine"]}
    pairs = _table(title, ["a", "b"], [heading for heading, _ in shown.values()])
    pairs.add_column("verdict", no_wrap=True)
    for pair in comparison.pairs:
        readings = pair.scopes["union"].readings
        numbers = [_number(readings[name], digits) for name, (_, digits) in shown.items()]
        pairs.add_row(pair.a, pair.b, *numbers, pair.verdict)
    console.print(pairs)
    if not roomy:
        console.print("a wider terminal shows angles and subspaces; so do pairs.csv and the report")
    for group, table in list(comparison.nulls.items())[:MOST_NULLS]:
        console.print(_nulls(group, table["union"]))
    if len(comparison.nulls) > MOST_NULLS:
        more = len(comparison.nulls) - MOST_NULLS
        console.print(f"nulls of {more} more mixtures of ranks and formats are in the report")
    _print_remarks(comparison, console)


def print_against_base(found: AgainstBase | None, console: Console) -> None:
    """Print what each run did to the base, over all modules, with its nulls below it."""
    if found is None:
        return
    title = f"against the base {found.base} ({found.fingerprint[:12]}), over all modules"
    table = _table(title, ["run"], [heading for heading, _ in AGAINST_BASE.values()])
    for run in found.runs:
        readings = run.scopes["all"]
        numbers = [_number(readings[name], digits) for name, (_, digits) in AGAINST_BASE.items()]
        table.add_row(run.name, *numbers)
        bands = run.nulls.get("all", {})
        for kind in dict.fromkeys(kind for by_kind in bands.values() for kind in by_kind):
            cells = [
                f"{bands[name][kind].low:.{digits}f} to {bands[name][kind].high:.{digits}f}"
                if kind in bands.get(name, {})
                else ""
                for name, (_, digits) in AGAINST_BASE.items()
            ]
            table.add_row(f"  null: {kind}", *cells, style="dim")
    console.print(table)
    for run in found.runs:
        for reason, modules in run.not_measured.items():
            line = (
                f"not measured in {run.name}: {len(modules)} modules ({modules[0]}, ...): {reason}"
            )
            console.print(line, soft_wrap=True, highlight=False)


def _nulls(group: str, bands: Mapping[str, Mapping[NullKind, Band]]) -> Table:
    kinds = list(bands["cosine"])
    draws = bands["cosine"][kinds[0]].draws
    title = f"nulls, {group}: where 95 % of {draws} simulated pairs of unrelated updates fall"
    table = _table(title, ["measure"], [kind.replace("_", " ") for kind in kinds])
    for name, (heading, digits) in SHOWN.items():
        ends = [bands[name][kind] for kind in kinds]
        table.add_row(heading, *(f"{e.low:.{digits}f} to {e.high:.{digits}f}" for e in ends))
    return table


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in texts:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _print_remarks(comparison: Comparison, console: Console) -> None:
    for warning in (*comparison.warnings, *(w for run in comparison.runs for w in run.warnings)):
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True, highlight=False)
    for run in comparison.runs:
        if run.not_read:
            shown = ", ".join(run.not_read[:3]) + (", ..." if len(run.not_read) > 3 else "")
            line = f"not read in {run.name}: {len(run.not_read)} tensors ({shown})"
            console.print(line, soft_wrap=True, highlight=False)
    for pair in comparison.pairs:
        if pair.only_a or pair.only_b:
            common = pair.scopes["intersection"]
            line = (
                f"{pair.a}, {pair.b}: {len(pair.only_a)} modules only in {pair.a}, "
                f"{len(pair.only_b)} only in {pair.b}: true zeros in the other; "
                f"over the {common.modules} they share, {common.energy_share:.1%} of the energy, "
                f"cosine {_number(common.readings['cosine'], 6)}"
            )
            console.print(line, soft_wrap=True, highlight=False)


def _number(reading: Reading, digits: int) -> str:
    return "undefined" if reading.value is None else f"{reading.value:.{digits}f}"
