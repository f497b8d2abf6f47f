"""What a study's grid holds: which runs repeat an arm, and in which one factor they differ."""

import math
from collections.abc import Callable
from typing import Literal

from goniometer.report.index import Index
from goniometer.results import Cell

Factor = Literal["seed", "learning rate", "wrong share"]
SWEPT: tuple[Factor, ...] = ("learning rate", "wrong share")


def factor(index: Index, cell: Cell) -> Factor | None:
    """The one thing in which a run of the grid differs from its arm; None for all other runs."""
    arm = index.cell_of.get(cell.arm)
    if cell.role != "grid" or arm is None:
        return None
    if cell.seed != arm.seed:
        return "seed"
    return "learning rate" if cell.wrong_share == arm.wrong_share else "wrong share"


def setting(index: Index, cell: Cell, of: Factor) -> float:
    """Where a run stands on a factor; without a share of wrong rows of its own, at that sampled."""
    if of == "seed":
        return cell.seed
    if of == "learning rate":
        return cell.learning_rate
    study = index.results.study
    sampled = study.rollouts.wrong_kept if study else 0.0
    return sampled if cell.wrong_share is None else cell.wrong_share


def family(index: Index, arm: str, of: Factor) -> tuple[Cell, ...]:
    """An arm and its runs that differ from it in this factor, in the factor's order."""
    found = [
        cell
        for cell in index.cells
        if cell.arm == arm and (cell.name == arm or factor(index, cell) == of)
    ]
    return tuple(sorted(found, key=lambda cell: setting(index, cell, of)))


def families(index: Index, of: Factor) -> dict[str, tuple[Cell, ...]]:
    """Arms that the grid moves along this factor, in the study's order."""
    found = {arm: family(index, arm, of) for arm in index.arms}
    return {arm: cells for arm, cells in found.items() if len(cells) > 1}


def beside(index: Index, cell: Cell, arm: str, of: Factor) -> Cell | None:
    """Another arm's run at this run's setting of a factor."""
    here = setting(index, cell, of)
    return next(
        (
            other
            for other in family(index, arm, of)
            if math.isclose(setting(index, other, of), here, rel_tol=1e-9, abs_tol=1e-12)
        ),
        None,
    )


def one_thing_apart(index: Index) -> Callable[[str, str], bool]:
    """Whether two runs differ in one thing only: in a factor, or in the objective."""

    def place(name: str) -> tuple[str, Factor | None, float]:
        cell = index.cell_of[name]
        of = factor(index, cell)
        return cell.arm, of, setting(index, cell, of) if of else 0.0

    places = {name: place(name) for name in index.cell_of}

    def apart(a: str, b: str) -> bool:
        if not {a, b} <= places.keys() or index.repeats & {a, b}:
            return False
        (arm_a, of_a, at_a), (arm_b, of_b, at_b) = places[a], places[b]
        if arm_a == arm_b:
            return of_a == of_b or None in (of_a, of_b)
        return (of_a, at_a) == (of_b, at_b)

    return apart
