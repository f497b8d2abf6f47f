"""The spine of a study, written once: each stage in order, skipped when its key exists.

tasks -> rollouts -> objectives -> training -> deltas -> geometry -> statistics -> claims -> report
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from goniometer.comparison.compare import compare_deltas
from goniometer.comparison.folder import write
from goniometer.config import Study
from goniometer.progress import Shown
from goniometer.store import Store
from goniometer.study.matching import match_all
from goniometer.study.outcome import Done, assemble, cell_results
from goniometer.study.plan import Plan
from goniometer.study.preflight import check_rollouts, preflight
from goniometer.study.scoring import evaluate_all, states_of
from goniometer.study.stages import Run, Sampled, get_rollouts, load_model
from goniometer.study.together import measure_together
from goniometer.study.trained import read_updates, train_all
from goniometer.study.warm_up import warmed_up
from goniometer.study.workers import make_apart


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
        _check(plan, sampled)
        if until == "rollouts":
            return out
        make_apart(run, sampled, score=until != "cells")
        folders = train_all(run, sampled)
        if until == "cells":
            return out
        updates = read_updates(run, folders)
        evaluated = evaluate_all(run, updates, sampled)
        states = states_of(folders, evaluated)
        matched = match_all(run, updates, evaluated, sampled, states)
        if until == "evaluation":
            return out
        return report(run, Done(sampled, folders, updates, evaluated, matched))


def _check(plan: Plan, sampled: Sampled) -> None:
    """Require that every cell has something to learn from its rollouts."""
    check_rollouts(plan, sampled.train, "rollouts")
    for share, rows in sampled.by_share.items():
        cells = tuple(replace(c, wrong_share=None) for c in plan.cells if c.wrong_share == share)
        check_rollouts(
            replace(plan, cells=cells), rows, f"rollouts at {share:.0%} wrong rows (grid)"
        )


def report(run: Run, done: Done) -> Path:
    """Measure the cells' updates, put all results together and write the report folder."""
    cells = {cell.name: cell_results(cell, done) for cell in run.plan.cells}
    stopped = [name for name, cell in cells.items() if cell.state != "trained"]
    geometry = run.study.geometry
    modules = len({module for delta in done.updates.values() for module in delta})
    with run.bars.task("geometry", modules) as advance:
        compared, readings = compare_deltas(
            done.updates,
            k=geometry.k,
            draws=geometry.draws,
            seed=run.study.seed,
            replicates=run.plan.replicates.without(stopped),
            detailed=[cell.name for cell in run.plan.cells if cell.role != "grid"],
            advance=advance,
        )
    together = measure_together(run, done.updates, done.evaluated, done.sampled, cells, compared.k)
    results = assemble(run.plan, compared, replace(done, together=together))
    with run.bars.task("report", None):
        folder = run.store.root / "report"
        return write(results, readings, folder, figures=["svg"])
