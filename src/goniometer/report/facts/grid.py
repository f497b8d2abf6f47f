"""What a study's grid holds: which runs repeat an arm, and in which one factor they differ."""

from collections.abc import Callable
from typing import Literal

from goniometer.report.facts.index import Index
from goniometer.results import Cell

Factor = Literal["seed", "learning rate", "wrong share"]
SWEPT: tuple[Factor, ...] = ("learning rate", "wrong share")


def slug(of: str) -> str:
    """How a factor's figure, charts and table are called."""
    return f"sweep-{of.replace(' ', '-')}"


def factor(index: Index, cell: Cell) -> Factor | None:
    """The one thing in which a run of the grid differs from its arm; None for all other runs."""
    arm = index.cell_of.get(cell.arm)
    if cell.role != "grid" or arm is None:
        return None
    if cell.seed != arm.seed:
        return "seed"
    return "learning rate" if cell.wrong_share == arm.wrong_share else "wrong share"


def setting(index: Index, cell: Cell, of: Factor) -> float:
    """What was asked of a run; without a share of wrong rows of its own, the one sampled."""
    if of == "seed":
        return cell.seed
    if of == "learning rate":
        return cell.learning_rate
    study = index.results.study
    sampled = study.rollouts.wrong_kept if study else 0.0
    return sampled if cell.wrong_share is None else cell.wrong_share


def place(index: Index, cell: Cell, of: Factor) -> float:
    """Where a run stands on a factor: of wrong rows the share that it was given, as achieved."""
    if of == "wrong share" and cell.wrong_kept is not None:
        return cell.wrong_kept
    return setting(index, cell, of)


def several_seeds(index: Index) -> bool:
    """Whether arms were trained with several seeds: tests and verdicts are of the first."""
    study = index.results.study
    asked = (study.config.get("grid") or {}).get("seeds", 1) if study else 1
    return bool(asked > 1) or any(cell.seed for cell in index.cells)


def family(index: Index, arm: str, of: Factor) -> tuple[Cell, ...]:
    """An arm and the runs that differ from it in this factor only, in the factor's order.

    Of learning rates another arm may be one of them: a study trains no run twice.
    """
    arms = {arm}
    if of == "learning rate":
        arms |= {name for name in index.arms if _recipe(index, name) == _recipe(index, arm)}
    found = [
        cell
        for cell in index.cells
        if cell.arm in arms and (cell.name in arms or factor(index, cell) == of)
    ]
    return tuple(sorted(found, key=lambda cell: place(index, cell, of)))


def families(index: Index, of: Factor) -> dict[str, tuple[Cell, ...]]:
    """Arms that the grid moves along this factor, in the study's order, each run once."""
    found: dict[str, tuple[Cell, ...]] = {}
    for arm in index.arms:
        cells = family(index, arm, of) if arm in index.cell_of else ()
        if index.grid & {cell.name for cell in cells} and cells not in found.values():
            found[arm] = cells
    return found


def _recipe(index: Index, arm: str) -> object:
    """What two arms of one sweep have in common: all but the learning rate."""
    cell = index.cell_of[arm]
    return cell.objective, cell.options, cell.regime, cell.wrong_share


def beside(index: Index, cell: Cell, arm: str, of: Factor) -> Cell | None:
    """Another arm's run at this run's setting of a factor."""

    def here(one: Cell) -> object:
        # A share that was asked for is not the one that was sampled, though they be equal.
        return one.wrong_share if of == "wrong share" else setting(index, one, of)

    return next((one for one in family(index, arm, of) if here(one) == here(cell)), None)


def one_thing_apart(index: Index) -> Callable[[str, str], bool]:
    """Whether two runs differ in one thing only: in a factor, or in the objective."""

    def at(name: str) -> tuple[str, Factor | None, float]:
        cell = index.cell_of[name]
        of = factor(index, cell)
        return cell.arm, of, setting(index, cell, of) if of else 0.0

    places = {name: at(name) for name in index.cell_of}

    def apart(a: str, b: str) -> bool:
        if not {a, b} <= places.keys() or index.repeats & {a, b}:
            return False
        (arm_a, of_a, at_a), (arm_b, of_b, at_b) = places[a], places[b]
        if arm_a == arm_b:
            return of_a == of_b or None in (of_a, of_b)
        return (of_a, at_a) == (of_b, at_b)

    return apart
