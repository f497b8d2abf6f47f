"""A task whose grade any network can earn: right where a completion has an even number of words."""

from dataclasses import dataclass
from typing import ClassVar, final

from goniometer.config import Rollouts
from goniometer.tasks import AbstractTask, Correct, Problem, Wrong
from goniometer.training.sampled import Sampler

SETTINGS = Rollouts(max_new_tokens=6, batch_size=32)


@final
@dataclass(frozen=True)
class Parity(AbstractTask):
    name: ClassVar[str] = "parity"

    def problems(self, split, count, seed):
        return tuple(Problem(f"w{i}", "", "") for i in range(count))

    def grade(self, problem, completion, *, truncated):
        return Wrong("answer") if completion.count("w") % 2 else Correct()


def problems_of(rollouts):
    return {problem_id: Problem(problem_id, "", "") for problem_id, _ in rollouts.groups()}


def make_sampler(model, rollouts, **more):
    return Sampler(model, Parity(), problems_of(rollouts), SETTINGS, **more)
