"""The cells of a study as stages: columns beside their rollouts, training, updates read back."""

import dataclasses
import hashlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from goniometer import deltas
from goniometer.deltas import Delta
from goniometer.engine import run_local
from goniometer.errors import GoniometerError
from goniometer.objectives import Need
from goniometer.rollouts import RolloutSet
from goniometer.seeds import derive
from goniometer.study.cells import CellPlan
from goniometer.study.stages import Run, Sampled
from goniometer.training.cell import CellInputs, OnPolicy, train_cell
from goniometer.training.columns import Columns, precompute, read_columns, write_columns


def reference_columns(run: Run, rollouts: RolloutSet) -> Columns:
    """Score rollouts that cells train on, once for all of them, by what some objective needs.

    One stage a need, so that studies of other objectives share what they have in common.
    """
    precision, behaviour = run.study.training.precision, run.study.rollouts.behaviour
    offline = [cell.objective for cell in run.plan.cells if not cell.objective.on_policy]
    columns: Columns = {}
    for need in sorted({need for objective in offline for need in objective.needs}):

        def make(folder: Path, need: Need = need) -> None:
            with run.bars.task(f"{need} log-probs", len(rollouts.rows)) as advance:
                found = precompute(
                    run.base, rollouts, [need], behaviour=behaviour,
                    precision=precision, advance=advance,
                )  # fmt: skip
            write_columns(found, folder)

        inputs = {
            "base": run.base.fingerprint, "rollouts": rollouts.fingerprint,
            "need": need, "precision": precision,
        }  # fmt: skip
        if need == "behaviour" and behaviour == "base":
            inputs["of"] = behaviour
        columns = {**columns, **read_columns(run.ensure("columns", need, inputs, make), [need])}
    return columns


def all_columns(run: Run, sampled: Sampled) -> dict[float | None, Columns]:
    """Score the rollouts of each share of wrong rows that some cell trains on."""
    shares = {cell.wrong_share: sampled.of(cell) for cell in run.plan.cells}
    return {share: reference_columns(run, rows) for share, rows in shares.items()}


def train_all(
    run: Run, sampled: Sampled, cells: Sequence[CellPlan] | None = None
) -> dict[str, Path]:
    """Train each cell, or some, or find what it trained: its folder by name."""
    cells = run.plan.cells if cells is None else cells
    columns = all_columns(run, sampled)
    on_policy = any(cell.objective.on_policy for cell in run.plan.cells)
    given = _on_policy(run, sampled) if on_policy else None

    def train(cell: CellPlan) -> Path:
        mine = given if cell.objective.on_policy else None
        return train_one(run, cell, sampled.of(cell), columns[cell.wrong_share], mine)

    return dict(zip([cell.name for cell in cells], run_local(train, cells), strict=True))


def train_one(
    run: Run, cell: CellPlan, rollouts: RolloutSet, columns: Columns, on_policy: OnPolicy | None
) -> Path:
    """Train one cell, or find what it trained."""
    study = run.study
    inputs = CellInputs(
        base=run.base,
        rollouts=rollouts,
        columns=columns,
        objective=cell.objective,
        adapter=study.adapter,
        training=study.training,
        learning_rate=cell.learning_rate,
        init_seed=derive(study.seed, "init", cell.init),
        order_seed=derive(study.seed, "order", cell.order),
        regime=cell.regime,
        on_policy=on_policy,
    )

    def make(folder: Path) -> None:
        number = run.plan.cells.index(cell) + 1
        title = f"train · {cell.name} ({number} of {len(run.plan.cells)})"
        with run.bars.task(title, study.training.updates) as advance:
            train_cell(inputs, folder, lambda step, loss: advance(1))

    sampling = [run.plan.task.fingerprint, study.rollouts.sampling]
    key = {
        "base": run.base.fingerprint,
        "rollouts": rollouts.fingerprint,
        "objective": objective_key(cell),
        "regime": cell.regime,
        "adapter": study.adapter.model_dump(mode="json") if cell.regime == "lora" else None,
        "training": study.training.model_dump(mode="json", exclude={"learning_rate", "workers"}),
        "learning_rate": cell.learning_rate,
        "seeds": [inputs.init_seed if cell.regime == "lora" else None, inputs.order_seed],
        "on policy": sampling if cell.objective.on_policy else None,
    }
    return run.ensure("cells", cell.name, key, make)


def objective_key(cell: CellPlan) -> list[str]:
    """What a cell's objective is: its name and options, and of one out of tree its code too.

    Our own change with the version; code of somebody's own changes between two runs of a study.

    Raises:
        GoniometerError: the source of one out of tree cannot be read.
    """
    known = [cell.objective_name, repr(cell.objective)]
    if ":" not in cell.objective_name:
        return known
    module = inspect.getmodule(type(cell.objective))
    try:
        source = inspect.getsource(module)  # type: ignore[arg-type] # None raises too
    except (OSError, TypeError):
        raise GoniometerError(
            f"the source of {cell.objective_name} cannot be read, and its cells are found by it",
            key="arms", fix="let it be of a module in a .py file",
        ) from None  # fmt: skip
    return [*known, hashlib.sha256(source.encode()).hexdigest()]


def _on_policy(run: Run, sampled: Sampled) -> OnPolicy:
    """What grades new completions: the problems that the rollouts were sampled of.

    Raises:
        GoniometerError: rollouts of a file, of problems that the task does not give.
    """
    seed = derive(run.study.seed, "rollouts")
    problems = run.plan.task.problems("train", sampled.report.prompts_sampled, seed)
    by_id = {problem.id: problem for problem in problems}
    unknown = [problem_id for problem_id, _ in sampled.train.groups() if problem_id not in by_id]
    if unknown:
        raise GoniometerError(
            f"{len(unknown)} prompts are no training problems of {run.plan.task.name}, and an "
            "on-policy arm has new completions graded",
            key="rollouts.file",
            found=repr(unknown[0]),
            fix="leave that arm out, or let the rollouts be sampled",
        )
    return OnPolicy(run.plan.task, by_id, run.study.rollouts)


def read_updates(run: Run, folders: Mapping[str, Path]) -> dict[str, Delta]:
    """Read what some cells trained; whole weights against the base, which is written for that."""
    updates = {}
    for cell in run.plan.cells:
        if cell.name not in folders:
            continue
        folder, companions = folders[cell.name], deltas.Companions()
        if cell.regime != "lora":
            companions = deltas.Companions(base=deltas.BaseModel(written_base(run)))
        delta = deltas.read(folder, companions)
        # The path of this machine is no part of the results.
        changed: dict[str, Any] = {"source": f"cells/{folder.name}"}
        if cell.regime == "attention":  # that the other weights are not there is the regime
            changed["warnings"] = ()
        updates[cell.name] = dataclasses.replace(
            delta, provenance=dataclasses.replace(delta.provenance, **changed)
        )
    return updates


def written_base(run: Run) -> Path:
    """Write the base, or find it: what whole weights are read against."""

    def make(folder: Path) -> None:
        run.base.save(folder)

    return run.ensure("base", "base", {"base": run.base.fingerprint}, make)
