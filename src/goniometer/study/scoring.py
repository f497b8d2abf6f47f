"""What the runs of a study do, as stages: scores, held-out likelihood, KL from the base."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from goniometer.behaviour.divergence import Divergences, Text, base_texts, forward_kl
from goniometer.behaviour.evaluate import HeldOut, Scores, evaluate, held_out
from goniometer.behaviour.placed import Placed
from goniometer.deltas import Delta
from goniometer.results import Accuracy
from goniometer.seeds import derive
from goniometer.statistics import accuracy
from goniometer.study.stages import BASE, Run, Sampled


@final
@dataclass(frozen=True)
class Evaluated:
    """What one run does: greedy scores on the test, likelihood of held-out rollouts, KL.

    The base's KL from itself is not measured.
    """

    scores: Scores
    held_out: HeldOut
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


def evaluate_one(run: Run, name: str, placed: Placed, sampled: Sampled) -> Evaluated:
    """Evaluate one run, or find its scores."""
    settings = run.study.evaluation

    def make(folder: Path) -> None:
        seed = derive(run.study.seed, "test")
        problems = run.plan.task.problems("test", settings.problems, seed)
        with run.bars.task(f"evaluate · {name}", settings.problems) as advance:
            evaluate(placed, run.plan.task, problems, settings, advance).save(
                folder / "scores.parquet"
            )
        with run.bars.task(f"held-out · {name}", len(sampled.held_out.rows)) as advance:
            likelihood = held_out(
                placed, sampled.held_out, batch_size=settings.batch_size, advance=advance
            )
        text = json.dumps(dataclasses.asdict(likelihood), sort_keys=True)
        (folder / "held_out.json").write_text(text + "\n")

    inputs = {
        **key_of(placed),
        "task": run.plan.task.fingerprint,
        "seed": run.study.seed,
        "settings": settings.model_dump(mode="json", exclude={"margin"}),
        "held out": sampled.held_out.fingerprint,
    }
    folder = run.ensure("evaluation", name, inputs, make)
    tree = json.loads((folder / "held_out.json").read_text())
    likelihood = HeldOut(tree["nll_right"], tree["nll_wrong"], tuple(tree["logprobs"]))
    return Evaluated(Scores.read(folder / "scores.parquet"), likelihood)


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


def score(name: str, scores: Scores, base: Scores | None) -> Accuracy:
    """Score one run; what it changed is counted against the base's completions, if given."""
    if base is None:
        return accuracy(name, graded(scores))
    return accuracy(
        name,
        graded(scores),
        dict(zip(scores.problem_ids, scores.completions, strict=True)),
        dict(zip(base.problem_ids, base.completions, strict=True)),
    )


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
