"""The cells of a study: its arms, their repeats, and a grid that moves one factor at a time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, final

from goniometer.config import Floors, Grid, Regime
from goniometer.errors import Faults, GoniometerError
from goniometer.objectives import AbstractObjective
from goniometer.rollouts import Rollout, RolloutSet
from goniometer.tasks import Correct, Wrong

# Seeds of the grid are numbered from here, where no floor's replicate is.
FIRST_SEED = 1000


@final
@dataclass(frozen=True)
class CellPlan:
    """One training run to be made: an objective, and what tells it from the other runs."""

    name: str
    arm: str  # the arm that it repeats; its own name for an arm itself
    role: Literal["arm", "floor", "grid"]
    objective_name: str
    options: Mapping[str, Any]
    objective: AbstractObjective
    learning_rate: float
    regime: Regime = "lora"
    init: int = 0  # number of the initialisation, 0 for the common one
    order: int = 0  # number of the data order, 0 for the common one
    seed: int = 0  # number of the grid's replicate, 0 for the common one
    wrong_share: float | None = None  # of the rows trained on; None as sampled

    @property
    def identity(self) -> tuple[object, ...]:
        """What a run depends on beside the study: equal ones are one run."""
        # Only an adapter has an init.
        seeds = (self.init if self.regime == "lora" else 0, self.order)
        recipe = (self.learning_rate, self.regime, self.wrong_share)
        return (self.objective_name, repr(self.objective), *recipe, *seeds)


def floor_cells(floors: Floors | None, arms: Iterable[CellPlan]) -> list[CellPlan]:
    """Repeat arms in other data orders, and the first of them in other inits."""
    if floors is None:
        return []
    by_name = {arm.name: arm for arm in arms}
    found = []
    for number, name in enumerate(floors.arms):
        floor = replace(by_name[name], role="floor")
        found += [
            replace(floor, name=f"{name} order {order + 1}", order=order)
            for order in range(1, floors.orders)
        ]
        found += [
            replace(floor, name=f"{name} init {init + 1}", init=init)
            for init in range(1, floors.inits if number == 0 and floor.regime == "lora" else 1)
        ]
    return found


def grid_cells(
    grid: Grid, arms: Iterable[CellPlan], planned: Iterable[CellPlan], rows_per_prompt: int
) -> tuple[list[CellPlan], list[str]]:
    """Move one factor at a time: seed, learning rate, share of wrong rows.

    Args:
        grid: which factors, and of which arms.
        arms: what they are moved from.
        planned: cells that there are already; the same run is not planned twice.
        rows_per_prompt: rows kept of a prompt at most, which bounds the shares that can be had.

    Returns:
        The cells, and in words what was left out because no arm was named for it.

    Raises:
        GoniometerError: an arm that was named for a share of wrong rows cannot be trained at it.
    """
    arms = tuple(arms)
    wanted = [
        replace(
            arm,
            name=f"{arm.name} seed {seed + 1}",
            role="grid",
            seed=seed,
            init=FIRST_SEED + seed,
            order=FIRST_SEED + seed,
        )
        for seed in range(1, grid.seeds)
        for arm in arms
    ]
    wanted += [
        replace(arm, name=f"{arm.name} lr {rate:g}", role="grid", learning_rate=rate)
        for rate in grid.learning_rates
        for arm in _named(arms, grid.learning_rate_arms)
    ]
    shares, notes = _wrong_shares(grid, arms, rows_per_prompt)
    seen = {cell.identity for cell in planned}
    found = []
    for cell in (*wanted, *shares):
        if cell.identity not in seen:
            seen.add(cell.identity)
            found.append(cell)
    return found, notes


def check_distinct(arms: Iterable[CellPlan]) -> None:
    """Require that no two arms are one run under two names.

    Raises:
        GoniometerError: naming the two.
    """
    seen: dict[object, str] = {}
    for arm in arms:
        other = seen.setdefault(arm.identity, arm.name)
        if other != arm.name:
            raise GoniometerError(
                f"the arms {other!r} and {arm.name!r} are one run under two names",
                key="arms",
                fix="drop one, or change an option, the learning rate or the regime",
            )


def _named(arms: tuple[CellPlan, ...], names: tuple[str, ...]) -> list[CellPlan]:
    return [arm for arm in arms if not names or arm.name in names]


def _wrong_shares(
    grid: Grid, arms: tuple[CellPlan, ...], rows_per_prompt: int
) -> tuple[list[CellPlan], list[str]]:
    found, notes, faults = [], [], Faults()
    for share in grid.wrong_shares:
        percent = f"{100 * share:g}%"
        for arm in _named(arms, grid.wrong_share_arms):
            reason = untrainable(arm.objective, share, rows_per_prompt)
            if reason is None:
                name = f"{arm.name} wrong {percent}"
                found.append(replace(arm, name=name, role="grid", wrong_share=share))
            elif grid.wrong_share_arms:
                faults.found.append(
                    GoniometerError(
                        f"{arm.name} cannot be trained at {percent} wrong rows: {reason}",
                        key="grid.wrong_share_arms",
                        found=repr(arm.name),
                        fix="drop it there, or drop that share",
                    )
                )
            else:
                notes.append(f"{arm.name} has no cell at {percent} wrong rows: {reason}")
    faults.raise_any()
    return found, notes


def untrainable(objective: AbstractObjective, share: float, rows_per_prompt: int) -> str | None:
    """Say why an objective cannot be trained at a share of wrong rows; None where it can."""
    if objective.on_policy:
        return "it samples its own completions"
    grades = [grade for grade in (Correct(), Wrong("answer")) for _ in range(rows_per_prompt)]
    pool = RolloutSet(
        tuple(
            Rollout("probe", (1,), (number,), "", (0.0,), grade, False)
            for number, grade in enumerate(grades)
        )
    )
    kept = pool.with_wrong_share(share, rows_per_prompt, "probe")
    examples = objective.select(kept)
    if not len(examples.row):
        missing = {0.0: "without wrong rows", 1.0: "without right rows"}
        return f"{objective.name} selects nothing {missing.get(kept.wrong_share, 'of such rows')}"
    if not bool(examples.coefficient.any()):
        return f"{objective.name} gives every row the weight 0 where all are alike"
    return None
