"""The stages of a study: functions of frozen values, made once and found again by their keys."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from goniometer import comparison, deltas
from goniometer.behaviour.evaluate import HeldOut, Scores, evaluate, held_out
from goniometer.behaviour.placed import Placed
from goniometer.config import Study
from goniometer.deltas import Delta
from goniometer.model import LanguageModel, load
from goniometer.plan import CellPlan, Plan
from goniometer.progress import Shown
from goniometer.results import RolloutReport
from goniometer.rollouts import RolloutSet, sources
from goniometer.rollouts.given import divide
from goniometer.rollouts.sample import require_same_tokens, sample
from goniometer.seeds import derive
from goniometer.store import Store
from goniometer.tasks import Split
from goniometer.training.cell import CellInputs, train_cell
from goniometer.training.columns import Columns, precompute, read_columns, write_columns

BASE = "base"
VERSIONED = (*comparison.VERSIONED, "transformers", "peft", "accelerate")


@final
@dataclass(frozen=True)
class Run:
    """A study that runs: its plan, its folder and its models."""

    plan: Plan
    store: Store
    bars: Shown
    base: LanguageModel

    @property
    def study(self) -> Study:
        """The study's settings."""
        return self.plan.study

    def ensure(
        self, stage: str, label: str, inputs: Mapping[str, Any], make: Callable[[Path], None]
    ) -> Path:
        """Make a stage, or find it: on top of its inputs its key holds what all numbers hang on."""
        common = {
            "versions": comparison.versions(VERSIONED),
            "threads": self.study.training.threads,
            "device": next(self.base.network.parameters()).device.type,
        }
        return self.store.ensure(stage, label, {**inputs, **common}, make)


@final
@dataclass(frozen=True)
class Sampled:
    """The rollouts of a study."""

    train: RolloutSet
    held_out: RolloutSet
    report: RolloutReport


@final
@dataclass(frozen=True)
class Evaluated:
    """What one run does: greedy scores on the test, likelihood of held-out rollouts."""

    scores: Scores
    held_out: HeldOut


def load_model(study: Study, reference: str) -> LanguageModel:
    """Load a model on the study's device, in its precision.

    Raises:
        GoniometerError: as `load`.
    """
    settings = study.models
    return load(reference, device=settings.device, dtype=getattr(torch, settings.dtype))


def get_rollouts(run: Run) -> Sampled:
    """Sample the teacher on training and validation prompts, or read the study's file."""
    settings, study = run.study.rollouts, run.study
    if settings.file is not None:
        vocabulary = len(run.base.tokenizer)
        return Sampled(*divide(Path(settings.file), settings, study.seed, vocabulary))

    named = study.models.teacher
    teacher = run.base if named == BASE else load_model(study, named)

    def make(folder: Path) -> None:
        require_same_tokens(run.base, teacher)
        train, report = _sample(run, teacher, "train", settings.prompts)
        held_out, _ = _sample(run, teacher, "validation", settings.held_out_prompts)
        sources.save(train, folder / "train.parquet")
        sources.save(held_out, folder / "held_out.parquet")
        (folder / "report.json").write_text(report.model_dump_json(indent=1) + "\n")

    inputs = {
        "seed": study.seed,
        "task": run.plan.task.fingerprint,
        "teacher": teacher.fingerprint,
        "settings": settings.model_dump(mode="json"),
    }
    folder = run.ensure("rollouts", study.task.name, inputs, make)
    return Sampled(
        sources.read(folder / "train.parquet"),
        sources.read(folder / "held_out.parquet"),
        RolloutReport.model_validate_json((folder / "report.json").read_text()),
    )


def _sample(
    run: Run, teacher: LanguageModel, split: Split, prompts: int
) -> tuple[RolloutSet, RolloutReport]:
    settings = run.study.rollouts
    with run.bars.task(f"rollouts · {split}", prompts * settings.samples) as advance:
        return sample(
            teacher,
            run.plan.task,
            split,
            settings=settings,
            prompts=prompts,
            seed=derive(run.study.seed, "rollouts"),
            advance=advance,
        )


def reference_columns(run: Run, sampled: Sampled) -> Columns:
    """Score the training rollouts once, for all cells, by what some objective needs."""
    needs = sorted({need for cell in run.plan.cells for need in cell.objective.needs})
    precision = run.study.training.precision

    def make(folder: Path) -> None:
        with run.bars.task("reference log-probs", len(sampled.train.rows)) as advance:
            columns = precompute(
                run.base, sampled.train, needs, precision=precision, advance=advance
            )
        write_columns(columns, folder)

    inputs = {
        "base": run.base.fingerprint, "rollouts": sampled.train.fingerprint,
        "needs": needs, "precision": precision,
    }  # fmt: skip
    return read_columns(run.ensure("columns", "train", inputs, make), needs)


def train_one(run: Run, cell: CellPlan, sampled: Sampled, columns: Columns) -> Path:
    """Train one cell, or find its adapter."""
    study = run.study
    inputs = CellInputs(
        base=run.base,
        rollouts=sampled.train,
        columns=columns,
        objective=cell.objective,
        adapter=study.adapter,
        training=study.training,
        learning_rate=cell.learning_rate,
        init_seed=derive(study.seed, "init", cell.init),
        order_seed=derive(study.seed, "order", cell.order),
    )

    def make(folder: Path) -> None:
        number = run.plan.cells.index(cell) + 1
        title = f"train · {cell.name} ({number} of {len(run.plan.cells)})"
        with run.bars.task(title, study.training.updates) as advance:
            train_cell(inputs, folder, lambda step, loss: advance(1))

    key = {
        "base": run.base.fingerprint,
        "rollouts": sampled.train.fingerprint,
        "objective": [cell.objective_name, repr(cell.objective)],
        "adapter": study.adapter.model_dump(mode="json"),
        "training": study.training.model_dump(mode="json", exclude={"learning_rate"}),
        "learning_rate": cell.learning_rate,
        "seeds": [inputs.init_seed, inputs.order_seed],
    }
    return run.ensure("cells", cell.name, key, make)


def evaluate_all(run: Run, adapters: Mapping[str, Path], sampled: Sampled) -> dict[str, Evaluated]:
    """Evaluate the base, then each cell, on the same problems and held-out rollouts."""
    found = {BASE: evaluate_one(run, BASE, None, sampled)}
    for name, folder in adapters.items():
        found[name] = evaluate_one(run, name, deltas.read(folder), sampled)
    return found


def evaluate_one(run: Run, name: str, delta: Delta | None, sampled: Sampled) -> Evaluated:
    """Evaluate one run, or find its scores."""
    settings = run.study.evaluation
    placed = Placed(run.base, delta)

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
        "base": run.base.fingerprint,
        "delta": None if delta is None else delta.fingerprint,
        "task": run.plan.task.fingerprint,
        "seed": run.study.seed,
        "settings": settings.model_dump(mode="json", exclude={"margin"}),
        "held out": sampled.held_out.fingerprint,
    }
    folder = run.ensure("evaluation", name, inputs, make)
    tree = json.loads((folder / "held_out.json").read_text())
    likelihood = HeldOut(tree["nll_right"], tree["nll_wrong"], tuple(tree["logprobs"]))
    return Evaluated(Scores.read(folder / "scores.parquet"), likelihood)
