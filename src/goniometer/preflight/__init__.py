"""Whether a study can work, asked before any of its work, with all faults at once.

A check is a small function that raises GoniometerError; it needs headers only: settings, configs,
tokenizers, prompts, rows of a file. To add one, write it beside its like and call it below.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from goniometer import tasks
from goniometer.config import Study
from goniometer.errors import Faults
from goniometer.estimate.lengths import lengths_of_rows, lengths_of_task, longest_allowed
from goniometer.estimate.memory import disk_of
from goniometer.estimate.size import size_of
from goniometer.model import LanguageModel, skeleton
from goniometer.plan import Plan, make_plan
from goniometer.preflight.disk import check_disk, check_writable
from goniometer.preflight.models import check_adapter, check_contexts
from goniometer.preflight.ranges import unusual
from goniometer.preflight.rollouts import check_file, check_rollouts
from goniometer.rollouts.sample import require_same_tokens

__all__ = ["Checked", "check_rollouts", "preflight"]


@final
@dataclass(frozen=True)
class Checked:
    """A study that can work as far as can be seen, and what is unusual about it."""

    plan: Plan
    warnings: tuple[str, ...]


def preflight(study: Study, out: Path) -> Checked:
    """Check a study without any work: nothing is written, no weights are read.

    Raises:
        GoniometerError: every fault that was found, one line each.
    """
    faults = Faults()
    plan: Plan | None = None
    base: LanguageModel | None = None
    with faults.collected():
        check_writable(out)
    with faults.collected():
        plan = make_plan(study)
    with faults.collected():
        base = skeleton(study.models.base)
    if base is not None:
        _check_base(study, base, faults)
    if base is not None and plan is not None:
        _check_together(plan, base, out, faults)
    faults.raise_any()
    assert plan is not None and base is not None  # noqa: S101, PT018 - else a fault was raised
    return Checked(plan, (*plan.notes, *unusual(plan, size_of(base.network))))


def _check_base(study: Study, base: LanguageModel, faults: Faults) -> None:
    """Check what needs no plan, so that it is said beside a plan's own faults."""
    if study.rollouts.file is None and study.models.teacher not in ("base", study.models.base):
        with faults.collected():
            require_same_tokens(base, skeleton(study.models.teacher))
    with faults.collected():
        check_adapter(study, base)
    with faults.collected():
        task = tasks.build(study.task.name, study.task.options, study.name)
        check_contexts(study, task, base)


def _check_together(plan: Plan, base: LanguageModel, out: Path, faults: Faults) -> None:
    study, lengths = plan.study, longest_allowed(plan.study)
    with faults.collected():
        if study.rollouts.file is None:
            lengths = lengths_of_task(base, plan.task, study)
        else:
            lengths = lengths_of_rows(check_file(plan, base), study.rollouts.file)
    with faults.collected():
        check_disk(disk_of(plan, size_of(base.network), lengths), out)
