"""`goniometer compare` in the terminal: progress on stderr, tables on stdout, gates at the end."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from goniometer.console.against_base import print_against_base
from goniometer.console.behaviour import print_behaviour
from goniometer.console.comparison import print_comparison
from goniometer.console.terminal import stdout
from goniometer.console.trajectories import print_trajectories
from goniometer.errors import GoniometerError
from goniometer.progress import bars

if TYPE_CHECKING:
    from goniometer.comparison.options import Options
    from goniometer.gates import Gate
    from goniometer.report import FigureFormat


def compared(
    runs: Sequence[str],
    out: Path,
    options: "Options",
    fail_on: Sequence[str],
    figures: "Sequence[FigureFormat]" = (),
) -> bool:
    """Run `compare`, write its folder, print its tables; return whether no gate tripped."""
    from goniometer import gates
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
