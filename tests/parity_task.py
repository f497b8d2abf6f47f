"""A task that any network can learn: right where the first word of a completion is even."""

from dataclasses import dataclass
from typing import ClassVar, final

from goniometer.config import Rollouts
from goniometer.tasks import AbstractTask, Correct, Problem, Wrong
from goniometer.training.sampled import Sampler

EVEN = {str(number) for number in range(0, 100, 2)}
SETTINGS = Rollouts(max_new_tokens=6, batch_size=32)


@final
@dataclass(frozen=True)
class Parity(AbstractTask):
    name: ClassVar[str] = "parity"

    def problems(self, split, count, seed):
        return tuple(Problem(f"w{i}", "", "") for i in range(count))

    def grade(self, problem, completion, *, truncated):
        words = completion.replace("w", " ").split()
        return Correct() if words and words[0] in EVEN else Wrong("answer")


def problems_of(rollouts):
    return {problem_id: Problem(problem_id, "", "") for problem_id, _ in rollouts.groups()}


def make_sampler(model, rollouts, **more):
    return Sampler(model, Parity(), problems_of(rollouts), SETTINGS, **more)
