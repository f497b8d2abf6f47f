"""How fast this machine is at a study's work: a few steps and tokens of the real model, timed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import final

import torch

from goniometer.model import LanguageModel, generate
from goniometer.objectives.sft import SFT
from goniometer.progress import Shown
from goniometer.rollouts import Rollout, RolloutSet
from goniometer.study.cells import CellPlan
from goniometer.study.estimate.size import size_of
from goniometer.study.estimate.work import Stage
from goniometer.study.plan import Plan
from goniometer.study.stages import load_model
from goniometer.tasks import Correct, Problem
from goniometer.training.cell import CellInputs, train_cell

STEPS = 4  # the first is not counted
WRITTEN = 16  # tokens that each prompt is given


@final
@dataclass(frozen=True)
class Speed:
    """What was measured, or what a user states.

    Attributes:
        flops: floating-point operations a second of a training step.
        written: tokens a second that a batch of the study's evaluation writes.
        given: whether it was stated and not measured.
    """

    flops: float
    written: float
    given: bool = False

    def hours(self, stage: Stage) -> float:
        """Time of a stage: by tokens where it generates, else by operations.

        Scores without gradient are taken to run at the speed of steps; they do hardly slower.
        """
        seconds = stage.tokens / self.written if stage.kind == "generate" else None
        return (stage.flops / self.flops if seconds is None else seconds) / 3600

    def waited(self, stages: Sequence[Stage], workers: int) -> float:
        """Hours until all stages are done, where so many processes share what they can."""
        return sum(self.hours(one) / (workers if one.shared else 1) for one in stages)


def measured_speed(plan: Plan, bars: Shown) -> Speed:
    """Time SFT steps of the first arm's regime, and completions, as the study has them.

    Problems are the task's own; steps and batches are as large as the study's, threads as many.
    The base is loaded, and is not warmed up. Nothing is kept.
    """
    torch.set_num_threads(plan.study.training.threads)
    with bars.task("load the base", None):
        base = load_model(plan.study, plan.study.models.base)
    return Speed(_steps(plan, base, bars), _written(plan, base, bars))


def _steps(plan: Plan, base: LanguageModel, bars: Shown) -> float:
    study = plan.study
    count, rows = study.training.prompts_per_step, study.rollouts.rows_per_prompt
    rollouts = _solutions(plan, base, count, rows)
    prompt = sum(len(row.prompt_tokens) for row in rollouts.rows)
    completion = sum(len(row.completion_tokens) for row in rollouts.rows)
    cell: CellPlan = plan.cells[0]
    body, head = size_of(base.network).training_flops(cell, study.adapter)
    inputs = CellInputs(
        base=base,
        rollouts=rollouts,
        columns={},
        objective=SFT(),
        adapter=study.adapter,
        training=study.training.model_copy(update={"steps": STEPS, "stop_after": None}),
        learning_rate=cell.learning_rate,
        init_seed=0,
        order_seed=0,
        regime=cell.regime,
    )
    ends = [time.perf_counter()]
    with TemporaryDirectory() as folder, bars.task("measure steps", STEPS) as advance:

        def on_step(step: int, loss: float) -> None:
            ends.append(time.perf_counter())
            advance(1)

        train_cell(inputs, Path(folder), on_step)
    seconds = median(after - before for before, after in pairwise(ends[1:]))
    return ((prompt + completion) * body + completion * head) / seconds


def _solutions(plan: Plan, base: LanguageModel, count: int, rows: int) -> RolloutSet:
    """Write out the task's solutions as rollouts; each prompt has as many rows as in the study."""
    longest = plan.study.rollouts.max_new_tokens
    found = []
    for problem in _problems(plan, count):
        prompt = base.encode_prompt(problem.question)
        tokens = base.encode_completion(problem.solution)[:longest]
        row = Rollout(problem.id, prompt, tokens, "", (0.0,) * len(tokens), Correct(), False)
        found += [row] * rows
    return RolloutSet(tuple(found))


def _problems(plan: Plan, count: int) -> tuple[Problem, ...]:
    """Take training problems; a task that brings none, as rollouts come from a file, has a test."""
    task, seed = plan.task, plan.study.seed
    return task.problems("train", count, seed) or task.problems("test", count, seed)


def _written(plan: Plan, base: LanguageModel, bars: Shown) -> float:
    evaluation = plan.study.evaluation
    count = min(evaluation.batch_size, evaluation.problems)
    problems = _problems(plan, count)
    prompts = [base.encode_prompt(problem.question) for problem in problems]
    with bars.task("measure completions", len(prompts)) as advance:
        start = time.perf_counter()
        done = generate(
            base,
            prompts,
            max_new_tokens=WRITTEN,
            temperature=1.0,  # greedy completions of a strong base may all end at once
            seed=0,
            batch_size=evaluation.batch_size,
            advance=advance,
        )
        seconds = time.perf_counter() - start
    return sum(len(completion.tokens) for completion in done) / seconds
