"""What the runs of a study do, as stages: scores, held-out likelihood, KL from the base."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from goniometer.behaviour.divergence import Divergences, Text, base_texts, forward_kl
from goniometer.behaviour.evaluate import HeldOut, Scores, evaluate, held_out
from goniometer.behaviour.placed import Placed
from goniometer.checks import DIVERGED
from goniometer.deltas import Delta
from goniometer.results import BASE, Accuracy
from goniometer.seeds import derive
from goniometer.statistics import accuracy
from goniometer.study.stages import Run, Sampled
from goniometer.tasks import AbstractTask, Correct, Problem, Ungraded
from goniometer.training.cell import read_record

State = Literal["trained", "diverged", "non-finite"]


@final
@dataclass(frozen=True)
class Evaluated:
    """What one run does: greedy scores on the test, likelihood of held-out rollouts, KL.

    The base's KL from itself is not measured. `disagree` counts the completions that the other
    extractor of the task decides otherwise.
    """

    scores: Scores
    held_out: HeldOut
    disagree: int | None = None
    divergence: Divergences | None = None


def evaluate_all(run: Run, updates: Mapping[str, Delta], sampled: Sampled) -> dict[str, Evaluated]:
    """Evaluate the base, then each cell, on the same problems, rollouts and texts of the base."""
    texts = get_texts(run)
    found = {BASE: evaluate_one(run, BASE, Placed(run.base), sampled)}
    for name, delta in updates.items():
        placed = Placed(run.base, delta)
        one = evaluate_one(run, name, placed, sampled)
        kl = diverge_one(run, name, placed, texts)
        found[name] = dataclasses.replace(one, divergence=kl)
    return found


def states_of(folders: Mapping[str, Path], evaluated: Mapping[str, Evaluated]) -> dict[str, State]:
    """Say of each cell how its training ended: only what is `trained` is counted as its arm's.

    Args:
        folders: of the trained cells, by name.
        evaluated: of the same cells and of the base.
    """
    base = evaluated[BASE].held_out.nll_right
    states: dict[str, State] = {}
    for name, folder in folders.items():
        found = evaluated[name].held_out
        finite = math.isfinite(found.nll_wrong) and math.isfinite(found.nll_right)
        # Wrong rows may become as unlikely as they like: some objectives are there to do that.
        diverged = not finite or found.nll_right > base + DIVERGED
        ended = read_record(folder).state
        states[name] = "diverged" if ended == "trained" and diverged else ended
    return states


def evaluate_one(run: Run, name: str, placed: Placed, sampled: Sampled) -> Evaluated:
    """Evaluate one run, or find its scores."""
    settings, task = run.study.evaluation, run.plan.task
    problems = task.problems("test", settings.problems, derive(run.study.seed, "test"))

    def make(folder: Path) -> None:
        with run.bars.task(f"evaluate · {name}", settings.problems) as advance:
            evaluate(placed, task, problems, settings, advance).save(folder / "scores.parquet")
        with run.bars.task(f"held-out · {name}", len(sampled.held_out.rows)) as advance:
            likelihood = held_out(
                placed, sampled.held_out, batch_size=settings.batch_size, advance=advance
            )
        text = json.dumps(dataclasses.asdict(likelihood), sort_keys=True)
        (folder / "held_out.json").write_text(text + "\n")

    inputs = {
        **key_of(placed),
        "task": task.fingerprint,
        "seed": run.study.seed,
        "settings": settings.model_dump(mode="json", exclude={"margin"}),
        "held out": sampled.held_out.fingerprint,
    }
    folder = run.ensure("evaluation", name, inputs, make)
    tree = json.loads((folder / "held_out.json").read_text())
    likelihood = HeldOut(tree["nll_right"], tree["nll_wrong"], tuple(tree["logprobs"]))
    scores = Scores.read(folder / "scores.parquet")
    return Evaluated(scores, likelihood, extractors_disagree(task, problems, scores))


def extractors_disagree(
    task: AbstractTask, problems: Sequence[Problem], scores: Scores
) -> int | None:
    """Count the completions that are right by one reading of the answer and not by the other.

    None where the task has one reading only, or no completion has two grades.
    """
    marks = [
        (first, isinstance(other, Correct))
        for problem, text, cut, first in zip(
            problems, scores.completions, scores.truncated, scores.outcomes(), strict=True
        )
        if first is not None
        and (other := task.grade_otherwise(problem, text, truncated=cut)) is not None
        and not isinstance(other, Ungraded)
    ]
    return sum(first != other for first, other in marks) if marks else None


def get_texts(run: Run) -> tuple[Text, ...]:
    """Let the base write what KL is measured on, or find it."""
    settings, seed = run.study.divergence, derive(run.study.seed, "divergence")
    problems = run.plan.task.problems("validation", settings.prompts, seed)
    batch_size = run.study.evaluation.batch_size

    def make(folder: Path) -> None:
        with run.bars.task("texts of the base", len(problems)) as advance:
            texts = base_texts(
                run.base, problems, settings, seed=seed, batch_size=batch_size, advance=advance
            )
        (folder / "texts.json").write_text(json.dumps(texts) + "\n")

    inputs = {
        "base": run.base.fingerprint,
        "problems": [problem.id for problem in problems],
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "batch size": batch_size,
    }
    folder = run.ensure("texts", BASE, inputs, make)
    tree = json.loads((folder / "texts.json").read_text())
    return tuple((tuple(prompt), tuple(completion)) for prompt, completion in tree)


def diverge_one(run: Run, name: str, placed: Placed, texts: tuple[Text, ...]) -> Divergences:
    """Measure the KL of one run from the base, or find it."""

    def make(folder: Path) -> None:
        with run.bars.task(f"KL · {name}", len(texts)) as advance:
            forward_kl(placed, texts, advance=advance).save(folder / "kl.json")

    folder = run.ensure("divergence", name, key_of(placed) | {"texts": texts}, make)
    return Divergences.read(folder / "kl.json")


def score(name: str, found: Evaluated, base: Scores | None) -> Accuracy:
    """Score one run; what it changed is counted against the base's completions, if given."""
    said = (
        dict(zip(of.problem_ids, of.completions, strict=True))
        for of in ((found.scores, base) if base else ())
    )
    scored = accuracy(name, graded(found.scores), *said)
    return scored.model_copy(update={"extractors_disagree": found.disagree})


def graded(scores: Scores) -> dict[str, str]:
    """Grades by problem."""
    return dict(zip(scores.problem_ids, scores.grades, strict=True))


def key_of(placed: Placed) -> dict[str, object]:
    """What all that a placed update does depends on."""
    delta = placed.delta
    return {
        "base": placed.base.fingerprint,
        "delta": delta.fingerprint if isinstance(delta, Delta) else None,
        "factor": placed.factor,
    }
