"""Cells, and points of paths, by several processes at once; no number changes by that.

A cell is one process's, and so are the points that mix the same runs, which share their batches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

import torch

from goniometer.behaviour.losses import Losses, losses_at
from goniometer.behaviour.points import Point
from goniometer.behaviour.texts import Texts
from goniometer.config import Study
from goniometer.deltas import Delta
from goniometer.engine import run_spawned
from goniometer.errors import GoniometerError
from goniometer.progress import Silent
from goniometer.store import Store
from goniometer.study.plan import make_plan
from goniometer.study.scoring import evaluate_all
from goniometer.study.stages import Run, Sampled, get_rollouts, load_model
from goniometer.study.trained import all_columns, read_updates, train_all, written_base
from goniometer.study.warm_up import warmed_up


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


def losses_apart(
    run: Run,
    deltas: Mapping[str, Delta],
    points: Sequence[Point],
    texts: Texts,
    *,
    batch_tokens: int,
    advance: Callable[[int], None],
) -> Losses:
    """As `losses_at` on the study's base, by `training.workers` processes; updates are cells'."""
    workers = run.study.training.workers
    if workers < 2 or not points:
        here = partial(losses_at, run.base, batch_tokens=batch_tokens, advance=advance)
        return here(deltas, points, texts)
    mixed = [list(some) for _, some in groupby(sorted(points, key=_runs), key=_runs)]
    given = (run.study, run.store.root, tuple(deltas), texts, batch_tokens)

    def done(found: Losses) -> None:
        advance(len(found.sums) * len(texts.items))

    found = run_spawned(_measurer, given, mixed, workers=min(workers, len(mixed)), done=done)
    sums = {where: values for one in found for where, values in one.sums.items()}
    return replace(found[0], sums={where: sums[where] for where in points})


def _runs(where: Point) -> tuple[str, ...]:
    return tuple(name for name, _ in where)


def _opened(study: Study, root: Path) -> tuple[Run, Sampled]:
    """Load in this process what another one made."""
    torch.set_num_threads(study.training.threads)
    base = load_model(study, study.models.base)
    run = warmed_up(Run(make_plan(study), Store(root), Silent(), base))
    return run, get_rollouts(run)


def _maker(given: tuple[Study, Path, bool]) -> Callable[[int], str | None]:
    """What makes one cell, and tells the fault that stopped it."""
    study, root, score = given
    run, sampled = _opened(study, root)

    def make(number: int) -> str | None:
        try:
            folders = train_all(run, sampled, [run.plan.cells[number]])
            if score:
                evaluate_all(run, read_updates(run, folders), sampled)
        except GoniometerError as error:
            return str(error)
        return None

    return make


def _measurer(
    given: tuple[Study, Path, tuple[str, ...], Texts, int],
) -> Callable[[Sequence[Point]], Losses]:
    """What measures some points of paths between finished cells."""
    study, root, names, texts, batch_tokens = given
    run, sampled = _opened(study, root)
    cells = [cell for cell in run.plan.cells if cell.name in names]
    deltas = read_updates(run, train_all(run, sampled, cells))
    return partial(losses_at, run.base, deltas, texts=texts, batch_tokens=batch_tokens)
