"""Cells by several processes at once. Each cell is one process's, so no number changes."""

from collections.abc import Callable
from pathlib import Path

import torch

from goniometer.config import Study
from goniometer.engine import run_spawned
from goniometer.errors import GoniometerError
from goniometer.progress import Silent
from goniometer.store import Store
from goniometer.study.plan import make_plan
from goniometer.study.scoring import evaluate_all
from goniometer.study.stages import Run, Sampled, get_rollouts, load_model
from goniometer.study.trained import all_columns, read_updates, train_all, written_base
from goniometer.study.warm_up import warmed_up

Given = tuple[Study, Path, bool]  # the run folder, whether cells are scored too


def make_apart(run: Run, sampled: Sampled, *, score: bool) -> None:
    """Train the cells in `training.workers` processes, and score each; all of it is found then.

    What all of them need is made here first: two processes never write one stage.

    Raises:
        GoniometerError: what stopped the first cell that was stopped.
    """
    cells = run.plan.cells
    workers = min(run.study.training.workers, len(cells))
    if workers < 2:
        return
    all_columns(run, sampled)
    if score:
        evaluate_all(run, {}, sampled)
        if any(cell.regime != "lora" for cell in cells):
            written_base(run)
    title = f"{'train and score' if score else 'train'} · {len(cells)} cells by {workers} processes"
    with run.bars.task(title, len(cells)) as advance:

        def done(fault: str | None) -> None:
            if fault is not None:
                raise GoniometerError(fault)
            advance(1)

        given = (run.study, run.store.root, score)
        run_spawned(_maker, given, range(len(cells)), workers=workers, done=done)


def _maker(given: Given) -> Callable[[int], str | None]:
    """Load what cells need; what is returned makes one, and tells the fault that stopped it."""
    study, root, score = given
    torch.set_num_threads(study.training.threads)
    base = load_model(study, study.models.base)
    run = warmed_up(Run(make_plan(study), Store(root), Silent(), base))
    sampled = get_rollouts(run)

    def make(number: int) -> str | None:
        try:
            folders = train_all(run, sampled, [run.plan.cells[number]])
            if score:
                evaluate_all(run, read_updates(run, folders), sampled)
        except GoniometerError as error:
            return str(error)
        return None

    return make
