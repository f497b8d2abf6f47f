"""`goniometer study` and the verbs that stop before its end; `study --plan` writes nothing."""

from pathlib import Path

from goniometer.config import Study
from goniometer.console.terminal import stdout
from goniometer.progress import bars


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


def planned(settings: Study, out: Path, *, measured: bool) -> None:
    """Print what a study is made of and what it will take; nothing is written or downloaded.

    Raises:
        GoniometerError: everything that is wrong with it, at once; what is only not here is said.
    """
    from goniometer.console.plan import print_plan
    from goniometer.study.estimate.measure import measured_speed
    from goniometer.study.preflight import examine

    found = examine(settings, out, fetch=False)
    found.faults.raise_any()
    with bars() as shown:
        speed = (
            measured_speed(found.plan, shown) if measured and found.base and found.task else None
        )
    print_plan(found, speed, stdout())
