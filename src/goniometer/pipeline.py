"""The spine of a study, written once: each stage in order, skipped when its key exists.

tasks -> rollouts -> objectives -> training -> deltas -> geometry -> statistics -> claims -> report
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from goniometer import comparison, deltas
from goniometer.behaviour.evaluate import ordered_pairs
from goniometer.cells import CellPlan
from goniometer.checks import DIVERGED, check_study
from goniometer.claims import judge
from goniometer.config import Study
from goniometer.engine import run_local
from goniometer.plan import Plan
from goniometer.preflight import check_rollouts, preflight
from goniometer.progress import Shown
from goniometer.results import Accuracy, Cell, Comparison, Results, StudyResults
from goniometer.stages import (
    BASE,
    VERSIONED,
    Evaluated,
    Run,
    Sampled,
    evaluate_all,
    get_rollouts,
    load_model,
    reference_columns,
    train_one,
)
from goniometer.statistics import accuracy, compare_all
from goniometer.store import Store
from goniometer.training.cell import read_record
from goniometer.warm_up import warmed_up


def run_study(
    study: Study,
    out: Path,
    *,
    bars: Shown,
    until: str = "report",
    warn: Callable[[str], None] = lambda _: None,
) -> Path:
    """Run a study up to a stage: `rollouts`, `cells`, `evaluation` or `report`.

    `warn` is called with each thing that can work and is unusual, before any work.

    Returns:
        The path of report.html, or of the run folder for an earlier stage.

    Raises:
        GoniometerError: every fault that `preflight` finds, at once; weights that cannot be
            loaded, a folder that is in use, rollouts that an arm cannot train on.
    """
    checked = preflight(study, out)
    plan = checked.plan
    for line in checked.warnings:
        warn(line)
    torch.set_num_threads(study.training.threads)
    # Before the folder: weights that cannot be read leave none.
    base = load_model(study, study.models.base)
    with Store(out).locked():
        run = warmed_up(Run(plan, Store(out), bars, base))
        sampled = get_rollouts(run)
        check_rollouts(plan, sampled.train, "rollouts")
        if until == "rollouts":
            return out
        columns = reference_columns(run, sampled)
        adapters = dict(
            zip(
                [cell.name for cell in plan.cells],
                run_local(lambda cell: train_one(run, cell, sampled, columns), plan.cells),
                strict=True,
            )
        )
        if until == "cells":
            return out
        evaluated = evaluate_all(run, adapters, sampled)
        if until == "evaluation":
            return out
        return report(run, adapters, sampled, evaluated)


def report(
    run: Run, adapters: Mapping[str, Path], sampled: Sampled, evaluated: Mapping[str, Evaluated]
) -> Path:
    """Measure the cells' updates, put all results together and write the report folder."""
    updates = {}
    for name, folder in adapters.items():
        delta = deltas.read(folder)
        # The path of this machine is no part of the results.
        source = dataclasses.replace(delta.provenance, source=f"cells/{folder.name}")
        updates[name] = dataclasses.replace(delta, provenance=source)
    geometry = run.study.geometry
    modules = len(next(iter(updates.values())))
    with run.bars.task("geometry", modules) as advance:
        compared, readings = comparison.compare_deltas(
            updates,
            k=geometry.k,
            draws=geometry.draws,
            seed=run.study.seed,
            replicates=run.plan.replicates,
            advance=advance,
        )
    results = assemble(run.plan, compared, adapters, sampled, evaluated)
    with run.bars.task("report", None):
        folder = run.store.root / "report"
        return comparison.write(results, readings, folder, figures=["svg"])


def assemble(
    plan: Plan,
    compared: Comparison,
    adapters: Mapping[str, Path],
    sampled: Sampled,
    evaluated: Mapping[str, Evaluated],
) -> Results:
    """Bring the parts of a study together: scores, pairs, checks and claims."""
    study = plan.study
    cells = tuple(
        cell_results(cell, adapters[cell.name], sampled, evaluated) for cell in plan.cells
    )
    grades = {
        name: dict(zip(found.scores.problem_ids, found.scores.grades, strict=True))
        for name, found in evaluated.items()
    }
    family = [BASE, *(cell.name for cell in plan.cells if cell.role == "arm")]
    accuracies = tuple(accuracy_of(name, evaluated) for name in evaluated)
    results = Results(
        title=study.name,
        versions=comparison.versions(VERSIONED),
        comparison=compared,
        study=StudyResults(
            config=study.model_dump(mode="json"),
            fingerprint=study.fingerprint,
            rollouts=sampled.report,
            cells=cells,
            accuracies=accuracies,
            paired=compare_all({name: grades[name] for name in family}, study.evaluation.margin),
            checks=check_study(sampled.report, cells, accuracies),
        ),
    )
    judged = results.study.model_copy(update={"claims": judge(results)}) if results.study else None
    return results.model_copy(update={"study": judged})


def accuracy_of(name: str, evaluated: Mapping[str, Evaluated]) -> Accuracy:
    """Score one run; what it changed is counted against the base's completions."""
    scores, base = evaluated[name].scores, evaluated[BASE].scores

    def by_problem(texts: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(scores.problem_ids, texts, strict=True))

    if name == BASE:
        return accuracy(name, by_problem(scores.grades))
    return accuracy(
        name,
        by_problem(scores.grades),
        by_problem(scores.completions),
        by_problem(base.completions),
    )


def cell_results(
    cell: CellPlan, folder: Path, sampled: Sampled, evaluated: Mapping[str, Evaluated]
) -> Cell:
    """Say how one cell's training went, and what it did to held-out rollouts."""
    record = read_record(folder)
    run, base = evaluated[cell.name].held_out, evaluated[BASE].held_out
    finite = math.isfinite(run.nll_wrong) and math.isfinite(run.nll_right)
    diverged = not finite or run.nll_wrong > base.nll_wrong + DIVERGED
    return Cell(
        name=cell.name,
        arm=cell.arm,
        objective=cell.objective_name,
        options=dict(cell.options),
        role=cell.role,
        learning_rate=cell.learning_rate,
        init_seed=cell.init,
        order_seed=cell.order,
        state="diverged" if record.state == "trained" and diverged else record.state,
        unit=cell.objective.unit,
        steps=record.steps,
        losses=record.losses,
        gradient_norms=record.gradient_norms,
        clipped=record.clipped,
        nll_right=run.nll_right if finite else None,
        nll_wrong=run.nll_wrong if finite else None,
        nll_right_base=base.nll_right,
        nll_wrong_base=base.nll_wrong,
        ordered_pairs=ordered_pairs(run, base, sampled.held_out) if finite else None,
    )
