"""`goniometer study` and the verbs that stop before its end; `study --plan` writes nothing."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from goniometer.config import Study
from goniometer.console.terminal import stdout
from goniometer.errors import Faults, GoniometerError
from goniometer.progress import bars
from goniometer.study_file import read_study, without_faults

if TYPE_CHECKING:
    from goniometer.study.estimate.measure import Speed

RUNS = Path("runs")


def opened(path: Path, out: Path | None, *, fetch: bool) -> tuple[Study, Path]:
    """Read a study file; where it has faults, ask what is left of it for more, and say them all.

    Args:
        path: the study file.
        out: its run folder; by its name where None.
        fetch: as in `examine`; then what is not here is a fault too.

    Returns:
        The study and its run folder.

    Raises:
        GoniometerError: the faults.
    """
    try:
        settings = read_study(path)
    except GoniometerError as error:
        faults = Faults()
        faults.found += error.faults
        rest = without_faults(path)
        if rest is not None:
            from goniometer.study.preflight import examine

            found = examine(rest.study, out or RUNS / rest.study.name, fetch=fetch)
            more = [*found.faults.found, *(found.absent.found if fetch else ())]
            faults.found += filter(rest.of_the_file, more)
        faults.raise_any()
    return settings, out or RUNS / settings.name


def studied(settings: Study, out: Path, until: str) -> None:
    """Run a study up to a stage and print what it found."""
    from goniometer.console.answer import print_study
    from goniometer.pipeline import run_study
    from goniometer.results import read_results

    def warn(line: str) -> None:
        shown.progress.console.print(
            f"warning: {line}", style="yellow", soft_wrap=True, highlight=False, markup=False
        )

    with bars() as shown:
        page = run_study(settings, out, until=until, bars=shown, warn=warn)
    if until == "report":
        print_study(read_results(page.parent / "results.json"), stdout())
    stdout().print(f"{until}: {page}", soft_wrap=True, highlight=False)


def speed_given(gigaflops: float | None, written: float | None) -> "Speed | None":
    """Take the speed of a machine as a user states it; None where none is stated.

    Raises:
        GoniometerError: one of the two without the other, or a number that is no speed.
    """
    stated = {"--flops": gigaflops, "--tokens-per-second": written}
    for name, value in stated.items():
        if value is not None and not 0 < value < math.inf:
            raise GoniometerError("no speed", key=name, found=value, expected="above 0")
    if gigaflops is None and written is None:
        return None
    from goniometer.study.estimate.measure import Speed

    if gigaflops is None or written is None:
        (absent,) = (name for name, value in stated.items() if value is None)
        raise GoniometerError("hours take both speeds", key=absent, fix=f"give {absent} too")
    return Speed(gigaflops * 1e9, written, given=True)


def planned(settings: Study, out: Path, *, measured: bool, given: "Speed | None" = None) -> None:
    """Print what a study is made of and what it will take; nothing is written or downloaded.

    Args:
        settings: of the study.
        out: its run folder.
        measured: whether this machine's speed is measured, where the model is here.
        given: the speed to reckon with instead.

    Raises:
        GoniometerError: everything that is wrong with it, at once; what is only not here is said.
    """
    from goniometer.console.plan import print_plan
    from goniometer.study.estimate.measure import measured_speed
    from goniometer.study.preflight import examine

    found = examine(settings, out, fetch=False)
    found.faults.raise_any()
    with bars() as shown:
        here = found.base is not None and found.task is not None
        speed = given
        if speed is None and measured and here:
            speed = measured_speed(found.plan, shown)
    print_plan(found, speed, stdout())
