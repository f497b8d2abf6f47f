"""What a study does: rows, tokens and floating-point operations of each of its stages."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, final

from goniometer.behaviour.points import Paths as Positions
from goniometer.behaviour.points import points_of
from goniometer.config import Adapter
from goniometer.rollouts import Rollout, RolloutSet
from goniometer.study.cells import CellPlan
from goniometer.study.estimate.lengths import Lengths
from goniometer.study.estimate.size import Size
from goniometer.study.plan import Plan
from goniometer.tasks import Correct, Wrong

Kind = Literal["train", "score", "generate"]
MIXED = 0.5  # share of prompts with right and wrong rows both, assumed: known after sampling only
PROBED = 20  # prompts on which an objective is asked for the rows that it takes


@final
@dataclass(frozen=True)
class Stage:
    """Part of a study.

    Attributes:
        name: what it does; training is by objective and regime.
        kind: what bounds its speed: steps, scores without gradient, or tokens one by one.
        runs: how often it is done.
        rows: texts, in all runs.
        tokens: prompt and completion together; only those written where it generates.
        flops: floating-point operations; `Size.training_flops` derives them.
        shared: whether the processes of `training.workers` share it.
    """

    name: str
    kind: Kind
    runs: int
    rows: int
    tokens: int
    flops: float
    shared: bool = False


def rows_of_prompt(cell: CellPlan, plan: Plan) -> float:
    """Rows that a cell trains on of each prompt, asked of its objective itself.

    The rows asked with are half wrong, or as many as the cell says; an objective that samples
    for itself brings its own number.
    """
    if cell.objective.on_policy:
        return float(getattr(cell.objective, "group_size", plan.study.rollouts.rows_per_prompt))
    kept = plan.study.rollouts.rows_per_prompt
    share = 0.5 if cell.wrong_share is None else cell.wrong_share
    rows = []
    for number in range(PROBED * kept):
        # Spread evenly, so that each prompt has its part of the wrong rows.
        wrong = int((number + 1) * share) > int(number * share)
        grade = Wrong("answer") if wrong else Correct()
        rows.append(Rollout(f"{number // kept}", (0,), (number,), "", (0.0,), grade, False))
    return len(cell.objective.select(RolloutSet(tuple(rows))).row) / PROBED


def columns_of(plan: Plan) -> dict[str, tuple[int, int]]:
    """Constant columns that are made before training, by need: how often, and of how many texts.

    Once for the rows as sampled and once for each share of wrong rows, as their rows are others.
    """
    rollouts = plan.study.rollouts
    needs = {n for c in plan.cells if not c.objective.on_policy for n in c.objective.needs}
    shares = len({cell.wrong_share for cell in plan.cells})
    rows = {"mismatched": 1}
    return {
        need: (shares, rollouts.prompts * rows.get(need, rollouts.rows_per_prompt))
        for need in sorted(needs)
    }


def work_of(plan: Plan, size: Size, lengths: Lengths) -> tuple[Stage, ...]:
    """List the stages of a study with all that they take, in their order."""
    study, runs = plan.study, len(plan.cells) + 1 + matched_of(plan)
    rollouts, text = study.rollouts, lengths.prompt + lengths.completion
    forward = 2.0 * (size.body + size.head)

    def stage(name: str, kind: Kind, times: int, rows: float, tokens: float) -> Stage:
        total = round(times * rows)
        lead = total * lengths.prompt if kind == "generate" else 0.0  # the prompts are read, too
        return Stage(
            name, kind, times, total, round(total * tokens), forward * (total * tokens + lead)
        )

    found = _warm_up(plan, size, lengths)
    if rollouts.file is None:
        asked = (rollouts.prompts + rollouts.held_out_prompts) / MIXED * rollouts.samples
        found.append(stage("sample rollouts", "generate", 1, asked, lengths.completion))
    for need, (times, rows) in columns_of(plan).items():
        if need != "behaviour" or rollouts.behaviour == "base":  # else the rows bring them
            found.append(stage(f"{need} log-probs", "score", times, rows, text))
    found += _sampled(plan, stage, lengths)
    found += _training(plan, size, lengths)
    evaluation, held = study.evaluation, rollouts.held_out_prompts * rollouts.rows_per_prompt
    written = min(lengths.completion, evaluation.max_new_tokens)
    kl = study.divergence
    shared = (
        stage("evaluate, greedy", "generate", runs, evaluation.problems, written),
        stage("held-out likelihood", "score", runs, held, text),
        stage("KL from the base", "score", runs, kl.prompts, lengths.prompt + kl.max_new_tokens),
    )
    return (
        *found,
        stage("completions of the base", "generate", 1, kl.prompts, kl.max_new_tokens),
        *(replace(one, shared=True) for one in shared),
        *_together(plan, stage, lengths),
    )


def _sampled(
    plan: Plan, stage: Callable[[str, Kind, int, float, float], Stage], lengths: Lengths
) -> list[Stage]:
    """What cells sample for themselves while they train."""
    cells = [cell for cell in plan.cells if cell.objective.on_policy]
    steps = plan.study.training.updates * plan.study.training.prompts_per_step
    rows = sum(steps * rows_of_prompt(cell, plan) for cell in cells)
    if not cells:
        return []
    one = stage("sample while training", "generate", 1, rows, lengths.completion)
    return [replace(one, runs=len(cells), shared=True)]


def _together(
    plan: Plan, stage: Callable[[str, Kind, int, float, float], Stage], lengths: Lengths
) -> list[Stage]:
    """What the arms and one repeat do together: all points of their paths, their activations."""
    paths, similarity, found = plan.study.paths, plan.study.similarity, []
    runs, _ = plan.together
    text = lengths.prompt + lengths.completion
    if paths is not None:
        points = len(points_of(runs, Positions(paths.positions)))
        losses = [stage("losses along paths", "score", points, paths.problems, text)]
        if paths.bare_answer:
            losses.append(stage("bare answers", "score", points, paths.problems, lengths.prompt))
        found += [replace(one, shared=True) for one in losses]
        if paths.accuracy is not None:
            written = min(lengths.completion, plan.study.evaluation.max_new_tokens)
            found.append(stage("answers along paths", "generate", points, paths.accuracy, written))
    if similarity is not None:
        times = len(runs) + 1 + similarity.inputs
        found.append(stage("activations", "score", times, similarity.prompts, text))
    return found


def _warm_up(plan: Plan, size: Size, lengths: Lengths) -> list[Stage]:
    settings = plan.study.models.warm_up
    if settings is None:
        return []
    rows = settings.steps * settings.prompts_per_step
    adapted = replace(plan.cells[0], regime="lora")
    body, head = size.training_flops(adapted, Adapter(rank=settings.rank))
    text = lengths.prompt + lengths.completion
    flops = rows * (text * body + lengths.completion * head)
    return [Stage("warm up the base", "train", 1, rows, round(rows * text), flops)]


def _training(plan: Plan, size: Size, lengths: Lengths) -> list[Stage]:
    training, found = plan.study.training, []

    def kind_of(cell: CellPlan) -> tuple[str, str]:
        return cell.objective_name, cell.regime

    for (name, regime), group in groupby(sorted(plan.cells, key=kind_of), key=kind_of):
        cells = list(group)
        rows = tokens = 0
        flops = 0.0
        for cell in cells:
            mine = training.updates * training.prompts_per_step * rows_of_prompt(cell, plan)
            body, head = size.training_flops(cell, plan.study.adapter)
            text = lengths.prompt + lengths.completion
            rows += round(mine)
            tokens += round(mine * text)
            flops += mine * (text * body + lengths.completion * head)
            if cell.objective.on_policy:
                # Fresh rows are scored by what sampled them, and by the base where it is asked.
                times = 1 + ("reference" in cell.objective.needs)
                flops += times * mine * text * 2.0 * (size.body + size.head)
        title = f"train {name}" + ("" if regime == "lora" else f", {regime} weights")
        found.append(Stage(title, "train", len(cells), rows, tokens, flops, shared=True))
    return found


def matched_of(plan: Plan) -> int:
    """Count the rescaled updates that are evaluated, too."""
    match = plan.study.match
    return sum(arm != match.to for arm in match.arms) * len(match.by) if match else 0
