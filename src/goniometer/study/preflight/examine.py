"""All checks of a study in their order; what one fault hides is not asked for, the rest is."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

from torch import nn

from goniometer import tasks
from goniometer.config import Server, Study, Task
from goniometer.errors import AbsentError, Faults, GoniometerError
from goniometer.model import LanguageModel, is_here, network_of, skeleton
from goniometer.model.reference import find
from goniometer.rollouts import RolloutSet
from goniometer.rollouts.sample import require_same_tokens
from goniometer.study.estimate.lengths import (
    Lengths,
    lengths_of_rows,
    lengths_of_task,
    longest_allowed,
)
from goniometer.study.estimate.memory import disk_of
from goniometer.study.estimate.size import Size, size_of
from goniometer.study.plan import Plan, make_plan
from goniometer.study.preflight.contexts import check_contexts, check_rows
from goniometer.study.preflight.disk import check_disk, check_writable
from goniometer.study.preflight.models import (
    check_bare_answers,
    check_device,
    check_problems,
    check_subspaces,
    check_teacher,
    check_weights,
)
from goniometer.study.preflight.ranges import unusual
from goniometer.study.preflight.rollouts import check_file, check_without_logprobs
from goniometer.tasks import AbstractTask
from goniometer.teachers import reference_of


@final
@dataclass
class Examined:
    """What was found of a study while it was checked.

    Attributes:
        study: its settings.
        faults: what is wrong with it.
        absent: models and files that are not on this machine.
        task: what it asks, where its files are here.
        made: its plan, where one can be made.
        base: the base without weights, where it is here.
        network: the base's, or that of `models.base_config` where the base is not here.
        rows: those of `rollouts.file`, where nothing is wrong with them.
    """

    study: Study
    faults: Faults = field(default_factory=Faults)
    absent: Faults = field(default_factory=Faults)
    task: AbstractTask | None = None
    made: Plan | None = None
    base: LanguageModel | None = None
    network: nn.Module | None = None
    rows: RolloutSet | None = None

    @property
    def plan(self) -> Plan:
        """The plan; ask where `faults` are none."""
        if self.made is None:
            raise ValueError("the study has faults")
        return self.made

    @property
    def size(self) -> Size | None:
        """Counts of the base's weights, where its shape is known."""
        return None if self.network is None else size_of(self.network)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What can work and is unusual."""
        return (*self.plan.notes, *unusual(self.plan, self.size))

    @property
    def lengths(self) -> Lengths:
        """Lengths of the study's texts, as well as they can be known."""
        file = self.study.rollouts.file
        if file is not None and self.rows is not None:
            return lengths_of_rows(self.rows, Path(file).name)
        known = file is None and not self.faults.found
        if known and self.base is not None and self.task is not None:
            return lengths_of_task(self.base, self.task, self.study)
        return longest_allowed(self.study)


def examine(study: Study, out: Path, *, fetch: bool) -> Examined:
    """Check a study.

    Args:
        study: its settings.
        out: the folder that it would be run in; it is not made.
        fetch: whether the config and tokenizer of a model of the Hub may be downloaded, or it is
            absent where it is not cached.
    """
    found = Examined(study)
    with found.faults.collected():
        check_writable(out)
    with found.absent.collected():
        check_device(study)
    found.task, found.made = _task_and_plan(study, found)
    found.base = _header(found, study.models.base, fetch)
    if found.base is not None:
        found.network = found.base.network
    elif study.models.base_config is not None:
        with found.faults.collected():
            where = f"{study.name}: models.base_config"
            found.network = network_of(study.models.base_config, where)
    if found.task is not None:
        with found.faults.collected():
            check_problems(study, found.task)
    if found.network is not None:
        with found.faults.collected():
            check_weights(study, found.network)
    with found.faults.collected():
        check_subspaces(study, found.network)
    if found.base is not None:
        _check_texts(found, found.base, fetch)
    _check_file(found)
    if found.made is not None and found.size is not None:
        with found.faults.collected():
            check_disk(disk_of(found.made, found.size, found.lengths), out)
    return found


def _task_and_plan(study: Study, found: Examined) -> tuple[AbstractTask | None, Plan | None]:
    """Make both; cells can also be laid out where only the files of the task are not here."""
    try:
        task = tasks.build(study.task.name, study.task.options, study.name)
    except AbsentError as error:
        found.absent.found.append(error)
        with found.faults.collected():
            plan = make_plan(study.model_copy(update={"task": Task()}))
            return None, replace(plan, study=study)
        return None, None
    except GoniometerError:
        task = None  # said by the plan
    with found.faults.collected():
        return task, make_plan(study)
    return task, None


def _header(found: Examined, reference: str, fetch: bool) -> LanguageModel | None:
    here = False
    with found.absent.collected():
        if not fetch and not is_here(reference):
            raise GoniometerError("not on this machine; a plan downloads nothing", file=reference)
        find(reference, weights=False)
        here = True
    with found.faults.collected():
        return skeleton(reference) if here else None
    return None


def _check_texts(found: Examined, base: LanguageModel, fetch: bool) -> None:
    study, teacher = found.study, None
    if study.rollouts.file is None:
        teacher = _check_teacher(found, base, fetch)
    if found.task is not None:
        with found.faults.collected():
            check_contexts(study, found.task, base, teacher)
        with found.faults.collected():
            check_bare_answers(study, found.task, base)


def _check_teacher(found: Examined, base: LanguageModel, fetch: bool) -> LanguageModel | None:
    """Check the teacher; return it without weights where it is another model and is here."""
    models = found.study.models
    with found.absent.collected():
        check_teacher(models)
    if found.made is not None and isinstance(models.teacher, Server):
        with found.faults.collected():
            check_without_logprobs(found.made, models.teacher)
    reference = reference_of(models.teacher)
    teacher = None
    if reference not in (None, models.base):
        teacher = _header(found, reference, fetch)
    with found.faults.collected():
        if teacher is not None:
            require_same_tokens(base, teacher)
    return teacher


def _check_file(found: Examined) -> None:
    file = found.study.rollouts.file
    if file is None:
        return
    if not Path(file).is_file():
        with found.absent.collected():
            raise GoniometerError("no such file of rollouts", file=file, key="rollouts.file")
    elif found.made is not None and found.base is not None:
        with found.faults.collected():
            found.rows, notes = check_file(found.made, found.base)
            found.made = replace(found.made, notes=(*found.made.notes, *notes))
            check_rows(found.made, found.rows, found.base)
