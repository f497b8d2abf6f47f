"""Cells trained by several processes at once. Each cell is one process's, so no number changes."""

from pathlib import Path

import torch

from goniometer.config import Study
from goniometer.engine import run_spawned
from goniometer.errors import GoniometerError
from goniometer.progress import Silent
from goniometer.store import Store
from goniometer.study.plan import make_plan
from goniometer.study.stages import Run, Sampled, get_rollouts, load_model
from goniometer.study.trained import all_columns, train_all
from goniometer.study.warm_up import warmed_up

Part = tuple[Study, Path, int, int]  # the run folder, which part of the cells, of how many


def train_apart(run: Run, sampled: Sampled) -> None:
    """Train the cells in `training.workers` processes; they lie in the run folder then.

    What all of them need is made here first: two processes never write one stage.

    Raises:
        GoniometerError: what stopped the first process that was stopped.
    """
    workers = min(run.study.training.workers, len(run.plan.cells))
    if workers < 2:
        return
    all_columns(run, sampled)
    parts = [(run.study, run.store.root, part, workers) for part in range(workers)]
    with run.bars.task(f"train · {len(run.plan.cells)} cells by {workers} processes", None):
        said = run_spawned(_train_part, parts)
    for fault in filter(None, said):
        raise GoniometerError(fault)


def _train_part(part: Part) -> str | None:
    """Train every so manieth cell; return the fault that stopped it, if one did."""
    study, root, number, parts = part
    torch.set_num_threads(study.training.threads)
    try:
        base = load_model(study, study.models.base)
        run = warmed_up(Run(make_plan(study), Store(root), Silent(), base))
        train_all(run, get_rollouts(run), run.plan.cells[number::parts])
    except GoniometerError as error:
        return str(error)
    return None
