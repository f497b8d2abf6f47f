"""What the updates of a study do in the model, as stages: paths, similarity, what inputs give.

Of the arms and one repeat of the first, the two-seed floor, not of all cells: a grid of 44 cells
has a thousand pairs. KL and answers are those that the study measured before.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from goniometer.behaviour import survey_file
from goniometer.behaviour.activations import Activations
from goniometer.behaviour.divergence import Text
from goniometer.behaviour.points import Paths
from goniometer.behaviour.survey import Greedy, Survey
from goniometer.behaviour.texts import ReferenceTexts, Texts, bare_answers
from goniometer.behaviour.together import (
    Measured,
    nulls_shown,
    similarity_shown,
    survey_shown,
)
from goniometer.config import Evaluation
from goniometer.deltas import Delta
from goniometer.results import Cell, InputNulls, Similarity
from goniometer.seeds import derive
from goniometer.study.preflight.leakage import asked_in, fixed_count, prompts_of
from goniometer.study.scoring import Evaluated
from goniometer.study.stages import Run, Sampled
from goniometer.study.workers import losses_apart
from goniometer.tasks import Problem, Split

SPLIT: Split = "validation"  # never the test


@final
@dataclass(frozen=True)
class Fixed:
    """Texts of a study that nothing was trained on, the same for all its runs."""

    reference: ReferenceTexts
    problems: tuple[Problem, ...]

    def first(self, count: int) -> ReferenceTexts:
        """Those of the first problems."""
        texts = self.reference.texts
        kept = set(list(dict.fromkeys(texts.items))[:count])
        rows = [i for i, item in enumerate(texts.items) if item in kept]
        chosen = Texts(
            tuple(texts.items[i] for i in rows),
            tuple(texts.prompts[i] for i in rows),
            tuple(texts.completions[i] for i in rows),
        )
        return ReferenceTexts(self.reference.kind, chosen)


def measure_together(
    run: Run,
    updates: Mapping[str, Delta],
    evaluated: Mapping[str, Evaluated],
    sampled: Sampled,
    cells: Mapping[str, Cell],
    k: int,
) -> Measured | None:
    """Measure the runs of `Plan.together`, or find what was; those that diverged are left out.

    Args:
        run: the study.
        updates: by cell.
        evaluated: answers and KL, by cell.
        sampled: rollouts, for texts where the task has no solutions.
        cells: how each cell's training went.
        k: size of the comparison's top-k subspaces.
    """
    study = run.study
    if study.paths is None and study.similarity is None:
        return None
    names, ceiling = run.plan.together
    kept = [name for name in names if cells[name].state == "trained"]
    notes = tuple(
        f"{name} is {cells[name].state}: left out of paths and similarity"
        for name in names
        if name not in kept
    )
    if not kept:
        return Measured(study.models.base, "none: no run was trained", notes=notes)
    deltas = {name: updates[name] for name in kept}
    fixed = fixed_texts(run, sampled)
    paths = _paths(run, deltas, fixed)
    two_seeds = ceiling if ceiling is not None and set(ceiling) <= set(kept) else None
    similar = _similarity(run, deltas, fixed, two_seeds, k)
    return Measured(
        base=study.models.base + (", warmed up" if study.models.warm_up else ""),
        data=_told(fixed, run),
        paths=paths,
        similarity=similar,
        divergence={
            name: found for name in kept if (found := evaluated[name].divergence) is not None
        },
        scores={name: evaluated[name].scores for name in kept},
        notes=notes,
    )


def fixed_texts(run: Run, sampled: Sampled) -> Fixed:
    """Take solutions of validation problems; right held-out rollouts where the task has none.

    A problem that is trained on, as one of a file of rollouts may be, is none; nor is one whose
    solution is longer than the base's context.
    """
    study = run.study
    asked = run.plan.task.problems(SPLIT, fixed_count(study), derive(study.seed, "fixed texts"))
    found = asked_in(prompts_of(sampled.train), asked, run.base)
    trained = {problem.id for _, problem in found}
    context = run.base.context or math.inf

    def serves(problem: Problem) -> bool:
        prompt = run.base.encode_prompt(problem.question)
        length = len(prompt) + len(run.base.encode_completion(problem.solution))
        return problem.id not in trained and length <= context

    problems = tuple(filter(serves, asked))
    if any(problem.solution for problem in problems):
        return Fixed(ReferenceTexts.of_problems(run.base, problems), problems)
    return Fixed(ReferenceTexts.of_rollouts(sampled.held_out), problems)


def _told(fixed: Fixed, run: Run) -> str:
    problems = len(set(fixed.reference.texts.items))
    # Of them losses take the first `paths.problems`: `Connectivity.items`.
    return f"{fixed.reference.kind} of {problems} {SPLIT} problems of {run.plan.task.name}"


def _common(run: Run, deltas: Mapping[str, Delta], texts: Texts) -> dict[str, Any]:
    return {
        "base": run.base.fingerprint,
        "deltas": [[name, delta.fingerprint] for name, delta in deltas.items()],
        "texts": [texts.items, texts.prompts, texts.completions],
    }


def _paths(run: Run, deltas: Mapping[str, Delta], fixed: Fixed) -> Survey | None:
    asked, study = run.study.paths, run.study
    if asked is None:
        return None
    texts = fixed.first(asked.problems)
    settings = Paths(asked.positions, draws=asked.draws, seed=derive(study.seed, "items of paths"))
    bare = bare_answers(run.base, fixed.problems[: asked.problems]) if asked.bare_answer else None
    greedy = None
    if asked.accuracy is not None:
        evaluation = Evaluation(
            problems=asked.accuracy,
            max_new_tokens=study.evaluation.max_new_tokens,
            batch_size=study.evaluation.batch_size,
        )
        seed = derive(study.seed, "accuracy along paths")
        problems = run.plan.task.problems(SPLIT, asked.accuracy, seed)
        greedy = Greedy(run.plan.task, problems, evaluation)

    def make(folder: Path) -> None:
        found = survey_shown(
            run.base, deltas, texts, settings, run.bars, bare=bare, greedy=greedy,
            measured=partial(losses_apart, run),
        )  # fmt: skip
        survey_file.save(found, folder / "survey.json")

    inputs = _common(run, deltas, texts.texts) | {
        "positions": settings.positions,
        "bare": None if bare is None else [bare.items, bare.prompts, bare.completions],
        "greedy": None
        if greedy is None
        else [
            run.plan.task.fingerprint,
            [problem.id for problem in greedy.problems],
            greedy.settings.model_dump(mode="json", exclude={"margin"}),
        ],
    }
    folder = run.ensure("paths", "arms", inputs, make)
    return survey_file.read(folder / "survey.json", texts, settings)


def _similarity(
    run: Run,
    deltas: Mapping[str, Delta],
    fixed: Fixed,
    ceiling: tuple[str, str] | None,
    k: int,
) -> Similarity | None:
    asked = run.study.similarity
    if asked is None:
        return None
    texts = fixed.first(asked.prompts).texts
    both: tuple[Text, ...] = tuple(zip(texts.prompts, texts.completions, strict=True))
    seed = derive(run.study.seed, "similarity")

    def make(folder: Path) -> None:
        found = similarity_shown(
            run.base, deltas, both, Activations(tokens=asked.tokens, seed=seed), run.bars,
            ceiling=ceiling,
        )  # fmt: skip
        (folder / "similarity.json").write_text(found.model_dump_json(indent=1) + "\n")

    inputs = _common(run, deltas, texts) | {"tokens": asked.tokens, "seed": seed}
    folder = run.ensure("similarity", "arms", inputs | {"ceiling": ceiling}, make)
    found = Similarity.model_validate_json((folder / "similarity.json").read_text())
    if not asked.inputs:
        return found

    def make_nulls(folder: Path) -> None:
        every = Activations("every token", asked.tokens, seed=seed)
        nulls = nulls_shown(run.base, deltas, both, every, run.bars, k=k)
        text = "null" if nulls is None else nulls.model_dump_json(indent=1)
        (folder / "nulls.json").write_text(text + "\n")

    folder = run.ensure("inputs", "arms", inputs | {"k": k}, make_nulls)
    text = (folder / "nulls.json").read_text()
    nulls = None if text == "null\n" else InputNulls.model_validate_json(text)
    return found.model_copy(update={"input_nulls": nulls})
