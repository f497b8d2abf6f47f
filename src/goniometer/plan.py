"""From a study to its cells: everything that can be wrong is found here, before any work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from goniometer.comparison import Replicates
from goniometer.config import Study
from goniometer.errors import GoniometerError
from goniometer.objectives import AbstractObjective, build
from goniometer.tasks import TASKS, AbstractTask


@final
@dataclass(frozen=True)
class CellPlan:
    """One training run to be made: an objective, and what tells it from the other runs."""

    name: str
    role: Literal["arm", "floor"]
    objective_name: str
    options: Mapping[str, Any]
    objective: AbstractObjective
    learning_rate: float
    init: int  # number of the initialisation, 0 for the common one
    order: int  # number of the data order, 0 for the common one


@final
@dataclass(frozen=True)
class Plan:
    """A checked study: its task and its cells, arms first."""

    study: Study
    task: AbstractTask
    cells: tuple[CellPlan, ...]

    @property
    def replicates(self) -> Replicates | None:
        """Which cells repeat the floor's arm in one seed only."""
        floors = self.study.floors
        if floors is None:
            return None
        same = [c for c in self.cells if c.name == floors.arm or c.role == "floor"]
        return Replicates(
            same_init=tuple(c.name for c in same if c.init == 0),
            other_init=tuple(c.name for c in same if c.order == 0),
            init_of={c.name: c.init for c in self.cells},
        )


def make_plan(study: Study) -> Plan:
    """Check the study's tables and lay out its cells.

    Raises:
        GoniometerError: an unknown task or objective, options that an objective does not have,
            fewer prompts than a step takes.
    """
    if study.task.name not in TASKS:
        raise GoniometerError(
            "unknown task", key="task.name", found=repr(study.task.name), expected=", ".join(TASKS)
        )
    if study.rollouts.prompts < study.training.prompts_per_step:
        raise GoniometerError(
            "fewer prompts than one step takes",
            key="rollouts.prompts",
            found=study.rollouts.prompts,
            expected=f"at least training.prompts_per_step = {study.training.prompts_per_step}",
        )
    arms = [
        CellPlan(
            name=arm.name,
            role="arm",
            objective_name=arm.objective,
            options=arm.options,
            objective=build(arm.objective, arm.options, f"{study.name}: arms.{number}"),
            learning_rate=arm.learning_rate or study.training.learning_rate,
            init=0,
            order=0,
        )
        for number, arm in enumerate(study.arms)
    ]
    return Plan(study, TASKS[study.task.name](), (*arms, *_floors(study, arms)))


def _floors(study: Study, arms: list[CellPlan]) -> list[CellPlan]:
    if study.floors is None:
        return []
    arm = next(arm for arm in arms if arm.name == study.floors.arm)
    seeds = [(0, order) for order in range(1, study.floors.orders)]
    seeds += [(init, 0) for init in range(1, study.floors.inits)]
    floors = []
    for init, order in seeds:
        name = f"{arm.name} order {order + 1}" if order else f"{arm.name} init {init + 1}"
        if any(name == other.name for other in arms):
            raise GoniometerError("an arm has the name of a floor", key="arms", found=repr(name))
        floors.append(
            CellPlan(
                name, "floor", arm.objective_name, arm.options, arm.objective, arm.learning_rate,
                init, order,
            )
        )  # fmt: skip
    return floors
