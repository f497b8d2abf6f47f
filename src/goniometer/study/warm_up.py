"""The stage before all others that makes the base of a study: SFT on written-out solutions, merged.

A model that solves none or all of a task's problems has no mixture of right and wrong rollouts to
learn from. A few dozen steps on the task's own solutions make one that has.
"""

import dataclasses
from pathlib import Path

import torch

from goniometer import deltas
from goniometer.config import Adapter, Training, WarmUp
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.objectives.sft import SFT
from goniometer.rollouts import Rollout, RolloutSet
from goniometer.seeds import derive
from goniometer.study.stages import Run, load_model
from goniometer.tasks import AbstractTask, Correct
from goniometer.training.cell import CellInputs, read_record, train_cell

_ADAPTER = "adapter"


def warmed_up(run: Run) -> Run:
    """Return the run with its base warmed up, or as it is where the study has no warm-up.

    The stage's folder is a whole model, as transformers reads it; in `adapter/` is the update that
    was merged into it, with the record of its training.

    Raises:
        GoniometerError: a loss that is not finite; too few solutions; as `train_cell`.
    """
    settings = run.study.models.warm_up
    if settings is None:
        return run
    solutions = written_solutions(run.base, run.plan.task, settings, run.study.seed)
    inputs = CellInputs(
        base=run.base,
        rollouts=solutions,
        columns={},
        objective=SFT(),
        adapter=Adapter(rank=settings.rank, alpha=2 * settings.rank),
        training=_training(settings, run.study.training),
        learning_rate=settings.learning_rate,
        init_seed=derive(run.study.seed, "warm-up", "init"),
        order_seed=derive(run.study.seed, "warm-up", "order"),
    )

    def make(folder: Path) -> None:
        with run.bars.task("warm up the base", settings.steps) as advance:
            train_cell(inputs, folder / _ADAPTER, lambda step, loss: advance(1))
        if read_record(folder / _ADAPTER).state != "trained":
            raise GoniometerError(
                "the warm-up's loss is not finite",
                key="models.warm_up.learning_rate",
                found=settings.learning_rate,
                fix="lower it",
            )
        _merge(run.base, folder / _ADAPTER)
        run.base.save(folder)

    key = {
        "base": run.base.fingerprint,
        "solutions": solutions.fingerprint,
        "objective": repr(inputs.objective),
        "adapter": inputs.adapter.model_dump(mode="json"),
        "training": inputs.training.model_dump(mode="json"),
        "seeds": [inputs.init_seed, inputs.order_seed],
    }
    folder = run.ensure("warm-up", "base", key, make)
    return dataclasses.replace(run, base=load_model(run.study, str(folder)))


def written_solutions(
    base: LanguageModel, task: AbstractTask, settings: WarmUp, seed: int
) -> RolloutSet:
    """Write the task's own solutions as rollouts of the base's tokens, one a problem.

    They are of the `pretrain` split, which no other stage asks for. Nothing sampled them, so their
    log-probs are zeros.

    Raises:
        GoniometerError: the task has fewer problems.
    """
    problems = task.problems("pretrain", settings.prompts, derive(seed, "warm-up"))
    if len(problems) < settings.prompts:
        raise GoniometerError(
            "too few problems to warm up on",
            key="models.warm_up.prompts",
            found=f"{len(problems)} in the pretrain split of {task.name}",
            expected=f"{settings.prompts}",
        )
    rows = []
    for problem in problems:
        completion = base.encode_completion(problem.solution)
        rows.append(
            Rollout(
                problem_id=problem.id,
                prompt_tokens=base.encode_prompt(problem.question),
                completion_tokens=completion,
                text=problem.solution,
                logprobs=(0.0,) * len(completion),
                grade=Correct(),
                truncated=False,
            )
        )
    return RolloutSet(tuple(rows))


def _training(settings: WarmUp, common: Training) -> Training:
    return Training(
        steps=settings.steps,
        prompts_per_step=settings.prompts_per_step,
        learning_rate=settings.learning_rate,
        precision=common.precision,
        threads=common.threads,
    )


def _merge(base: LanguageModel, adapter: Path) -> None:
    """Add the adapter's update to the weights, in float64 before they are rounded."""
    with torch.no_grad():
        for name, update in deltas.read(adapter).items():
            weight = base.network.get_parameter(f"{name}.weight")
            weight.copy_(weight.double() + update.dense().to(weight.device))
