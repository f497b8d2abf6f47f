"""Whether the study's texts fit the models' contexts: prompts as its stages ask for them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from goniometer.config import Study, WarmUp
from goniometer.errors import Faults, GoniometerError
from goniometer.model import LanguageModel
from goniometer.rollouts import RolloutSet
from goniometer.rollouts.sample import BOUND
from goniometer.seeds import derive
from goniometer.study.plan import Plan
from goniometer.study.preflight.models import ASKED
from goniometer.tasks import AbstractTask, Split


@final
@dataclass(frozen=True)
class _Use:
    """Problems that some stage has a model answer.

    Attributes:
        split: where they are taken from.
        count: how many at most.
        seed: what the stage derives theirs from, besides the study's.
        new: tokens that are written after a prompt.
        section: of the study, that says so.
    """

    split: Split
    count: int
    seed: str
    new: int
    section: str


def check_contexts(
    study: Study, task: AbstractTask, base: LanguageModel, teacher: LanguageModel | None = None
) -> None:
    """Require that prompts and the tokens written after them fit the model's context.

    Args:
        study: its settings.
        task: asks.
        base: answers, and trains on what the teacher wrote.
        teacher: writes the rollouts, where it is another model and is here.

    Raises:
        GoniometerError: by use, with the longest of the prompts that were encoded.
    """
    faults = Faults()
    for use in _uses(study):
        reader = teacher if teacher is not None and use.seed == "rollouts" else base
        tightest = min((base, reader), key=_room)
        context = tightest.context
        if context is None:
            continue
        problems = task.problems(use.split, min(use.count, ASKED), derive(study.seed, use.seed))
        longest = max((len(reader.encode_prompt(p.question)) for p in problems), default=0)
        with faults.collected():
            _require_fit(longest, use.new, context, use.split, use.section, tightest.name)
    if study.models.warm_up is not None:
        with faults.collected():
            _require_solutions(study, study.models.warm_up, task, base)
    faults.raise_any()


def _uses(study: Study) -> Iterator[_Use]:
    """Yield what is answered; the seeds are those of the stages."""
    rollouts, evaluation, divergence = study.rollouts, study.evaluation, study.divergence
    if rollouts.file is None:
        # As many may be asked until enough are mixed.
        train, held = BOUND * rollouts.prompts, BOUND * rollouts.held_out_prompts
        yield _Use("train", train, "rollouts", rollouts.max_new_tokens, "rollouts")
        yield _Use("validation", held, "rollouts", rollouts.max_new_tokens, "rollouts")
    yield _Use("test", evaluation.problems, "test", evaluation.max_new_tokens, "evaluation")
    new = divergence.max_new_tokens
    yield _Use("validation", divergence.prompts, "divergence", new, "divergence")
    if study.paths is not None and study.paths.accuracy is not None:
        asked, new = study.paths.accuracy, evaluation.max_new_tokens
        yield _Use("validation", asked, "accuracy along paths", new, "evaluation")


def check_rows(plan: Plan, rollouts: RolloutSet, base: LanguageModel) -> None:
    """Require that what arms make of the rows of a file fits the base's context.

    The rows themselves were checked. An arm that samples for itself writes new completions after
    their prompts; one that needs mismatched log-probs has prompts with others' completions.

    Args:
        plan: the cells.
        rollouts: all rows of the file.
        base: is trained.

    Raises:
        GoniometerError: by kind, with the longest texts.
    """
    context, settings, faults = base.context, plan.study.rollouts, Faults()
    rows = rollouts.mixed().first_prompts(settings.prompts).rows
    if context is None or not rows:
        return
    prompt = max(len(row.prompt_tokens) for row in rows)
    completion = max(len(row.completion_tokens) for row in rows)
    if any(cell.objective.on_policy for cell in plan.cells):
        with faults.collected():
            new = settings.max_new_tokens
            _require_fit(prompt, new, context, "train", "rollouts", base.name)
    arms = {cell.arm: None for cell in plan.cells if "mismatched" in cell.objective.needs}
    if arms and prompt + completion > context:
        faults.found.append(
            GoniometerError(
                f"{', '.join(arms)}: the longest prompt with the longest completion of another "
                f"does not fit the context of {base.name}",
                file=settings.file,
                found=f"{prompt} + {completion} tokens",
                expected=f"at most {context}",
                fix="drop the arm, or the longest rows",
            )
        )
    faults.raise_any()


def _room(model: LanguageModel) -> float:
    return model.context or math.inf


def _require_solutions(
    study: Study, settings: WarmUp, task: AbstractTask, base: LanguageModel
) -> None:
    """Require that a base that is warmed up can read the solutions whole."""
    seed, context = derive(study.seed, "warm-up"), base.context
    problems = task.problems("pretrain", min(settings.prompts, ASKED), seed)
    lengths = [
        len(base.encode_prompt(problem.question)) + len(base.encode_completion(problem.solution))
        for problem in problems
    ]
    longest = max(lengths, default=0)
    if context is not None and longest > context:
        raise GoniometerError(
            f"the longest pretrain prompt and its solution do not fit the context of {base.name}",
            key="models.warm_up",
            found=f"{longest} tokens",
            expected=f"at most {context}",
        )


def _require_fit(longest: int, new: int, context: int, split: str, section: str, name: str) -> None:
    if longest >= context:
        raise GoniometerError(
            f"a {split} prompt is longer than the context of {name}",
            key="task",
            found=f"{longest} tokens",
            expected=f"below {context}",
        )
    if longest + new > context:
        raise GoniometerError(
            f"the longest {split} prompt and its completion do not fit the context of {name}",
            key=f"{section}.max_new_tokens",
            found=f"{longest} + {new} tokens",
            expected=f"at most {context}",
            fix=f"lower it to {context - longest}",
        )
