"""What a study knows of the seeds of its runs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import final


@final
@dataclass(frozen=True)
class Replicates:
    """What a study knows of its runs' seeds: groups that repeat one arm, and each run's seeds.

    Runs of one recipe differ in nothing but seeds. Seeds of the grid are numbered from 1.
    """

    same_init: tuple[tuple[str, ...], ...]  # by arm: one init, other data orders
    other_init: tuple[tuple[str, ...], ...]  # by arm: one data order, other inits
    init_of: Mapping[str, int]
    order_of: Mapping[str, int]
    recipe_of: Mapping[str, str] = field(default_factory=dict)
    seed_of: Mapping[str, int] = field(default_factory=dict)
    # What a floor is of: the weights that move, and the rows that are trained on.
    kind_of: Mapping[str, object] = field(default_factory=dict)

    def without(self, stopped: Collection[str]) -> "Replicates":
        """Leave out runs that were not trained to their end: they repeat nothing.

        What a stopped run lacks would widen the floor that decides what is the same update.
        """
        if not stopped:
            return self
        same, other = (
            tuple(tuple(run for run in runs if run not in stopped) for runs in groups)
            for groups in (self.same_init, self.other_init)
        )
        recipes = {run: run if run in stopped else recipe for run, recipe in self.recipe_of.items()}
        return replace(
            self,
            same_init=tuple(filter(None, same)),
            other_init=tuple(filter(None, other)),
            recipe_of=recipes,
        )

    def repeat(self, a: str, b: str) -> bool:
        """Whether two runs differ in nothing but seeds."""
        return self.recipe_of.get(a, a) == self.recipe_of.get(b, b)

    def of_the_grid(self, *runs: str) -> bool:
        """Whether one of the runs has a seed of the grid."""
        return any(self.seed_of.get(run, 0) for run in runs)
