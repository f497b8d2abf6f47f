"""The results of a study, put together from what its stages gave."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import final

from goniometer.behaviour.evaluate import ordered_pairs
from goniometer.behaviour.together import Measured, behaviour_of
from goniometer.checks import check_study
from goniometer.claims import judge
from goniometer.comparison.folder import versions
from goniometer.deltas import Delta
from goniometer.results import (
    BASE,
    Cell,
    Comparison,
    CrossSeed,
    Matched,
    Reading,
    Results,
    SeedDifference,
    StudyResults,
)
from goniometer.rollouts import Rollout
from goniometer.statistics import compare_all, seed_differences, seed_scores
from goniometer.statistics.cross_seed import cross_seed
from goniometer.study.cells import CellPlan
from goniometer.study.plan import Plan
from goniometer.study.scoring import Evaluated, graded, score, states_of
from goniometer.study.stages import VERSIONED, Sampled
from goniometer.training.cell import read_record


@final
@dataclass(frozen=True)
class Done:
    """What the stages gave, by the cells' names; the base is among the evaluated."""

    sampled: Sampled
    folders: Mapping[str, Path]
    updates: Mapping[str, Delta]
    evaluated: Mapping[str, Evaluated]
    matched: tuple[Matched, ...]
    together: Measured | None = None


def assemble(plan: Plan, compared: Comparison, done: Done) -> Results:
    """Bring the parts of a study together: scores, pairs, seeds, checks and claims."""
    study, evaluated = plan.study, done.evaluated
    cells = tuple(cell_results(cell, done) for cell in plan.cells)
    grades = {name: graded(found.scores) for name, found in evaluated.items()}
    trained = {cell.name for cell in cells if cell.state == "trained"}
    arms = [cell.name for cell in plan.cells if cell.role == "arm"]
    family = [BASE, *(arm for arm in arms if arm in trained)]
    base = evaluated[BASE].scores
    seeds = {arm.name: plan.seeds(arm.name) for arm in study.arms} if study.grid.seeds > 1 else {}
    accuracies = tuple(
        score(name, found, None if name == BASE else base) for name, found in evaluated.items()
    )
    together = done.together
    left_out = together.notes if together else ()
    # What the plan left out is said where a reader looks for what is amiss.
    notes = (*plan.notes, *_not_counted(cells), *left_out)
    warned = compared.model_copy(update={"warnings": (*notes, *compared.warnings)})
    told = StudyResults(
        config=study.model_dump(mode="json"),
        fingerprint=study.fingerprint,
        rollouts=done.sampled.report,
        cells=cells,
        accuracies=accuracies,
        paired=compare_all({name: grades[name] for name in family}, study.evaluation.margin),
        checks=check_study(done.sampled.report, cells, accuracies),
        cross_seed=across_seeds(plan, compared, trained),
        matched=done.matched,
        seed_scores=seed_scores(_trained(seeds, trained), grades),
        seed_differences=differences_by_seed(seeds, grades, trained),
    )
    results = Results(
        title=study.name,
        versions=versions(VERSIONED),
        comparison=warned,
        behaviour=behaviour_of(together, compared.pairs, plan.task) if together else None,
        study=told,
    )
    return results.model_copy(update={"study": told.model_copy(update={"claims": judge(results)})})


def _not_counted(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Name the cells that stand for nothing but themselves, in a line; none where all trained."""
    ended = [
        f"{cell.name} ({cell.state}, {cell.steps} steps)"
        for cell in cells
        if cell.state != "trained"
    ]
    if not ended:
        return ()
    return (
        f"{', '.join(ended)}: left out of floors, of what is said over seeds, of paired tests and "
        "of matched sizes",
    )


def _trained(
    seeds: Mapping[str, Sequence[str]], trained: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Runs of each arm that were trained to their end; no arm without one."""
    kept = {arm: tuple(run for run in runs if run in trained) for arm, runs in seeds.items()}
    return {arm: runs for arm, runs in kept.items() if runs}


def differences_by_seed(
    seeds: Mapping[str, Sequence[str]],
    grades: Mapping[str, Mapping[str, str]],
    trained: Collection[str],
) -> tuple[SeedDifference, ...]:
    """Compare the scores of each pair of arms at the seeds at which both were trained.

    Pairs that have the same seeds are resampled together, as all are where nothing went wrong.

    Args:
        seeds: runs of each arm, seed for seed.
        grades: by run and problem.
        trained: runs that were trained to their end.
    """
    together: dict[tuple[int, ...], list[tuple[str, str]]] = {}
    for a, b in combinations(seeds, 2):
        both = enumerate(zip(seeds[a], seeds[b], strict=True))
        common = tuple(place for place, runs in both if set(runs) <= {*trained})
        if common:
            together.setdefault(common, []).append((a, b))
    found: dict[tuple[str, str], SeedDifference] = {}
    for common, pairs in together.items():
        arms = [arm for arm in seeds if any(arm in pair for pair in pairs)]
        runs = {arm: [seeds[arm][place] for place in common] for arm in arms}
        found |= {(row.a, row.b): row for row in seed_differences(runs, grades)}
    return tuple(found[pair] for pair in combinations(seeds, 2) if pair in found)


def across_seeds(
    plan: Plan, compared: Comparison, trained: Collection[str]
) -> tuple[CrossSeed, ...]:
    """Correct the cosine of each pair of arms by their repeats at other seeds of the grid.

    Seeds at which one of the two was not trained to its end are no seeds of the pair.
    """
    if plan.study.grid.seeds < 2:
        return ()
    cosines = {
        (pair.a, pair.b): pair.scopes["union"].readings["cosine"].value for pair in compared.pairs
    }
    found = []
    for a, b in combinations([arm.name for arm in plan.study.arms], 2):
        both = zip(plan.seeds(a), plan.seeds(b), strict=True)
        kept = [runs for runs in both if set(runs) <= {*trained}]
        found.append(cross_seed(a, b, [one for one, _ in kept], [one for _, one in kept], cosines))
    return tuple(found)


def cell_results(cell: CellPlan, done: Done) -> Cell:
    """Say how one cell's training went, and what it did to held-out rollouts."""
    record = read_record(done.folders[cell.name])
    (state,) = states_of({cell.name: done.folders[cell.name]}, done.evaluated).values()
    found, base = done.evaluated[cell.name], done.evaluated[BASE].held_out
    run, kl = found.held_out, found.divergence
    finite = math.isfinite(run.nll_wrong) and math.isfinite(run.nll_right)
    rows = _rows(cell, done.sampled)
    return Cell(
        name=cell.name,
        arm=cell.arm,
        objective=cell.objective_name,
        options=dict(cell.options),
        role=cell.role,
        regime=cell.regime,
        seed=cell.seed,
        wrong_share=cell.wrong_share,
        wrong_kept=None if cell.objective.on_policy else done.sampled.of(cell).wrong_share,
        rows=None if rows is None else len(rows),
        tokens=None if rows is None else sum(len(row.completion_tokens) for row in rows),
        learning_rate=cell.learning_rate,
        init_seed=cell.init,
        order_seed=cell.order,
        state=state,
        unit=cell.objective.unit,
        steps=record.steps,
        losses=record.losses,
        gradient_norms=record.gradient_norms,
        clipped=record.clipped,
        nll_right=run.nll_right if finite else None,
        nll_wrong=run.nll_wrong if finite else None,
        nll_right_base=base.nll_right,
        nll_wrong_base=base.nll_wrong,
        ordered_pairs=ordered_pairs(run, base, done.sampled.held_out) if finite else None,
        coefficients=record.coefficients,
        kl=Reading(undefined="not measured") if kl is None else kl.mean,
        kl_error=None if kl is None else kl.error,
    )


def _rows(cell: CellPlan, sampled: Sampled) -> list[Rollout] | None:
    """The rows that carry loss, each once; None for a cell that samples its own."""
    if cell.objective.on_policy:
        return None
    rollouts = sampled.of(cell)
    return [rollouts.rows[i] for i in sorted({*cell.objective.select(rollouts).row.tolist()})]
