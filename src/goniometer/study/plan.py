"""From a study to its cells: everything that can be wrong is found here, before any work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from goniometer import tasks
from goniometer.comparison.replicates import Replicates
from goniometer.config import Study
from goniometer.errors import Faults, GoniometerError
from goniometer.objectives import build
from goniometer.study.cells import CellPlan, check_distinct, floor_cells, grid_cells
from goniometer.tasks import AbstractTask


@final
@dataclass(frozen=True)
class Plan:
    """A checked study: its task and its cells (arms, floors, grid), and what was left out."""

    study: Study
    task: AbstractTask
    cells: tuple[CellPlan, ...]
    notes: tuple[str, ...] = ()

    @property
    def replicates(self) -> Replicates:
        """Which cells repeat an arm, in one seed (for the floors) or in both."""
        floors = self.study.floors

        def repeats(arm: str, *, same_init: bool) -> tuple[str, ...]:
            mine = [cell for cell in self.cells if cell.arm == arm and cell.role != "grid"]
            return tuple(c.name for c in mine if (c.init if same_init else c.order) == 0)

        return Replicates(
            same_init=tuple(repeats(arm, same_init=True) for arm in floors.arms) if floors else (),
            other_init=(repeats(floors.arms[0], same_init=False),) if floors else (),
            init_of={cell.name: cell.init for cell in self.cells},
            order_of={cell.name: cell.order for cell in self.cells},
            recipe_of={cell.name: self.recipe(cell) for cell in self.cells},
            seed_of={cell.name: cell.seed for cell in self.cells},
            kind_of={cell.name: (cell.regime, cell.wrong_share) for cell in self.cells},
        )

    def recipe(self, cell: CellPlan) -> str:
        """Name what a cell shares with its repeats: its arm, unless another factor was moved."""
        arm = next(one for one in self.cells if one.name == cell.arm)
        moved = (cell.learning_rate, cell.wrong_share) != (arm.learning_rate, arm.wrong_share)
        return cell.name if moved else cell.arm

    @property
    def together(self) -> tuple[tuple[str, ...], tuple[str, str] | None]:
        """Runs whose updates are placed in the model together: the arms and a repeat of the first.

        Also that pair, the two-seed floor: the repeat has another init where there is one, so that
        the two share nothing but their recipe; else another data order. Not all cells: a grid of
        44 of them has a thousand pairs.
        """
        first, *_ = arms = [cell.name for cell in self.cells if cell.role == "arm"]
        repeats = [
            cell
            for cell in self.cells
            if cell.arm == first and cell.role != "arm" and self.recipe(cell) == first
        ]
        if not repeats:
            return tuple(arms), None
        # Of inits, that of a floor, which shares the arm's data order.
        chosen = min(repeats, key=lambda cell: (cell.init == 0, cell.role != "floor"))
        return (*arms, chosen.name), (first, chosen.name)

    def seeds(self, arm: str) -> tuple[str, ...]:
        """Names of an arm's runs by seed of the grid, the arm itself first."""
        mine = [c for c in self.cells if c.arm == arm and self.recipe(c) == arm]
        return tuple(c.name for c in mine if c.role != "floor")


def make_plan(study: Study) -> Plan:
    """Check the study's tables and lay out its cells.

    Raises:
        GoniometerError: all faults at once: an unknown task or objective, options that it does
            not have, files of a task that cannot be read, fewer prompts than a step takes.
    """
    faults = Faults()
    with faults.collected():
        task = tasks.build(study.task.name, study.task.options, study.name)
    with faults.collected():
        _check_prompts(study)
    arms = []
    for number, arm in enumerate(study.arms):
        with faults.collected():
            arms.append(
                CellPlan(
                    name=arm.name,
                    arm=arm.name,
                    role="arm",
                    objective_name=arm.objective,
                    options=arm.options,
                    objective=build(arm.objective, arm.options, f"{study.name}: arms.{number}"),
                    learning_rate=arm.learning_rate or study.training.learning_rate,
                    regime=arm.regime,
                )
            )
    with faults.collected():
        check_distinct(arms)
    faults.raise_any()
    floors = floor_cells(study.floors, arms)
    with faults.collected():
        grid, notes = grid_cells(study.grid, arms, (*arms, *floors), study.rollouts.rows_per_prompt)
        _require_unique(cells := (*arms, *floors, *grid))
    faults.raise_any()
    return Plan(study, task, cells, tuple(notes))


def _check_prompts(study: Study) -> None:
    if study.rollouts.prompts < study.training.prompts_per_step:
        raise GoniometerError(
            "fewer prompts than one step takes",
            key="rollouts.prompts",
            found=study.rollouts.prompts,
            expected=f"at least training.prompts_per_step = {study.training.prompts_per_step}",
        )


def _require_unique(cells: Sequence[CellPlan]) -> None:
    names = [cell.name for cell in cells]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise GoniometerError(
            "an arm has the name of another run that is planned",
            key="arms",
            found=repr(name),
            fix="call the arm otherwise",
        )
