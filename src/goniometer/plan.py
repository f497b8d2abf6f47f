"""From a study to its cells: everything that can be wrong is found here, before any work."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from goniometer.comparison import Replicates
from goniometer.config import Study
from goniometer.errors import Faults, GoniometerError
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
    repeats: str | None = None  # the arm that a floor's run repeats


@final
@dataclass(frozen=True)
class Plan:
    """A checked study: its task and its cells, arms first."""

    study: Study
    task: AbstractTask
    cells: tuple[CellPlan, ...]

    @property
    def replicates(self) -> Replicates | None:
        """Which cells repeat an arm in one seed only."""
        floors = self.study.floors
        if floors is None:
            return None

        def repeats(arm: str, *, same_init: bool) -> tuple[str, ...]:
            mine = [cell for cell in self.cells if arm in (cell.name, cell.repeats)]
            return tuple(c.name for c in mine if (c.init if same_init else c.order) == 0)

        return Replicates(
            same_init=tuple(repeats(arm, same_init=True) for arm in floors.arms),
            other_init=(repeats(floors.arms[0], same_init=False),),
            init_of={cell.name: cell.init for cell in self.cells},
            order_of={cell.name: cell.order for cell in self.cells},
        )


def make_plan(study: Study) -> Plan:
    """Check the study's tables and lay out its cells.

    Raises:
        GoniometerError: all faults at once: an unknown task or objective, options that an
            objective does not have, fewer prompts than a step takes.
    """
    faults = Faults()
    with faults.collected():
        _check_task(study)
    with faults.collected():
        _check_prompts(study)
    arms = []
    for number, arm in enumerate(study.arms):
        with faults.collected():
            arms.append(
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
            )
    faults.raise_any()
    return Plan(study, TASKS[study.task.name](), (*arms, *_floors(study, arms)))


def _check_task(study: Study) -> None:
    if study.task.name not in TASKS:
        raise GoniometerError(
            "unknown task", key="task.name", found=repr(study.task.name), expected=", ".join(TASKS)
        )


def _check_prompts(study: Study) -> None:
    if study.rollouts.prompts < study.training.prompts_per_step:
        raise GoniometerError(
            "fewer prompts than one step takes",
            key="rollouts.prompts",
            found=study.rollouts.prompts,
            expected=f"at least training.prompts_per_step = {study.training.prompts_per_step}",
        )


def _floors(study: Study, arms: list[CellPlan]) -> list[CellPlan]:
    if study.floors is None:
        return []
    floors = []
    for number, name in enumerate(study.floors.arms):
        arm = next(arm for arm in arms if arm.name == name)
        floors += [
            dataclasses.replace(
                arm, name=f"{name} order {order + 1}", role="floor", order=order, repeats=name
            )
            for order in range(1, study.floors.orders)
        ]
        floors += [
            dataclasses.replace(
                arm, name=f"{name} init {init + 1}", role="floor", init=init, repeats=name
            )
            for init in range(1, study.floors.inits if number == 0 else 1)
        ]
    for floor in floors:
        if any(floor.name == arm.name for arm in arms):
            raise GoniometerError(
                "an arm has the name of a floor", key="arms", found=repr(floor.name)
            )
    return floors
