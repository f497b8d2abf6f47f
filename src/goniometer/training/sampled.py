"""On-policy batches: at each step, completions that the network has just sampled."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

from torch import nn

from goniometer.config import Rollouts
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, completion_logprobs, generate
from goniometer.objectives.base import AbstractObjective, Need
from goniometer.rollouts.data import Rollout, RolloutSet
from goniometer.seeds import derive
from goniometer.tasks import AbstractTask, Problem, grade_all
from goniometer.training.batches import Batches


@final
@dataclass(frozen=True)
class Sampler:
    """How completions are sampled and graded while a network trains.

    Attributes:
        model: whose network is the one that trains, in place.
        task: grades.
        problems: by the id that the rollouts have; all of theirs.
        settings: temperature, length and batch size; rows a prompt, where the objective has no
            `group_size`.
        as_base: a context in which the network is the base again, for the reference's log-probs.
    """

    model: LanguageModel
    task: AbstractTask
    problems: Mapping[str, Problem]
    settings: Rollouts
    as_base: Callable[[], AbstractContextManager[object]] = nullcontext


@final
@dataclass(frozen=True)
class FreshBatches:
    """A source that samples a group of completions of each prompt of the step, and grades them.

    Draws derive from the order seed and the step, so that runs of one order differ by what they
    have learnt alone. The log-probs at sampling (`behaviour`, temperature included) are scored
    again by the network that sampled, as those of all rollouts are.

    Raises:
        GoniometerError: on creation, where a prompt's problem is not known, or the objective needs
            what cannot be had on-policy.
    """

    objective: AbstractObjective
    rollouts: RolloutSet
    sampler: Sampler
    pad_token: int
    order_seed: int

    def __post_init__(self) -> None:
        """Refuse what would fail at some step."""
        unknown = [id for id, _ in self._prompts if id not in self.sampler.problems]
        if unknown:
            raise GoniometerError(
                f"{len(unknown)} prompts have no problem to grade new completions by",
                key="rollouts", found=f"problem {unknown[0]!r}",
                fix="an on-policy objective takes rollouts of the study's own task",
            )  # fmt: skip
        for need in self.objective.needs - {"behaviour", "reference"}:
            raise GoniometerError(f"{self.objective.name}: no {need} log-probs on-policy")

    @cached_property
    def _prompts(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return tuple(
            (problem_id, self.rollouts.rows[indices[0]].prompt_tokens)
            for problem_id, indices in self.rollouts.groups()
        )

    def at(
        self, network: nn.Module, step: int, prompts: Sequence[int]
    ) -> tuple[Batches, Sequence[int]]:
        """Sample for these prompts; see `Source`.

        Raises:
            FloatingPointError: the network gives NaN, of which nothing can be drawn.
        """
        drawn = self._draw([self._prompts[prompt] for prompt in prompts], step)
        columns: dict[Need, Sequence[Sequence[float]]] = {"behaviour": drawn.require_logprobs()}
        if "reference" in self.objective.needs:
            with self.sampler.as_base():
                columns["reference"] = self._score(drawn.rows, temperature=1.0)
        examples = self.objective.select(drawn)
        return Batches(drawn, examples, columns, self.pad_token), range(len(prompts))

    def _draw(self, prompts: Sequence[tuple[str, tuple[int, ...]]], step: int) -> RolloutSet:
        model, settings = self.sampler.model, self.sampler.settings
        group = int(getattr(self.objective, "group_size", settings.rows_per_prompt))
        asked = [prompt for prompt in prompts for _ in range(group)]
        completions = generate(
            model,
            [tokens for _, tokens in asked],
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            seed=derive(self.order_seed, "on-policy", step),
            batch_size=settings.batch_size,
            advance=lambda rows: None,
            finite=True,
        )
        texts = [model.decode(completion.tokens) for completion in completions]
        problems = [self.sampler.problems[problem_id] for problem_id, _ in asked]
        cuts = [completion.truncated for completion in completions]
        grades = grade_all(self.sampler.task, zip(problems, texts, cuts, strict=True))
        rows = [
            Rollout(problem_id, tokens, completion.tokens, text, (), grade, completion.truncated)
            for (problem_id, tokens), completion, text, grade in zip(
                asked, completions, texts, grades, strict=True
            )
        ]
        logprobs = self._score(rows, settings.temperature)
        return RolloutSet(
            tuple(replace(row, logprobs=lp) for row, lp in zip(rows, logprobs, strict=True))
        )

    def _score(self, rows: Sequence[Rollout], temperature: float) -> list[tuple[float, ...]]:
        return completion_logprobs(
            self.sampler.model,
            [row.prompt_tokens for row in rows],
            [row.completion_tokens for row in rows],
            batch_size=self.sampler.settings.batch_size,
            advance=lambda count: None,
            temperature=temperature,
        )
