"""The stages of a study: functions of frozen values, made once and found again by their keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import torch

from goniometer.comparison.folder import VERSIONED as COMPARED
from goniometer.comparison.folder import versions
from goniometer.config import Study
from goniometer.model import LanguageModel, load
from goniometer.progress import Shown
from goniometer.results import RolloutReport
from goniometer.rollouts import RolloutSet, sources
from goniometer.rollouts.given import divide, read_given
from goniometer.rollouts.sample import report, require_same_tokens, sample_pool, thin
from goniometer.seeds import derive
from goniometer.store import Store
from goniometer.study.cells import CellPlan
from goniometer.study.plan import Plan
from goniometer.tasks import Split
from goniometer.teachers import Kept, Teacher, journal, open_teacher
from goniometer.teachers.base import key_of

VERSIONED = (*COMPARED, "transformers", "peft", "accelerate")


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

    @property
    def common(self) -> dict[str, Any]:
        """What all numbers hang on."""
        return {
            "versions": versions(VERSIONED),
            "threads": self.study.training.threads,
            "device": next(self.base.network.parameters()).device.type,
        }

    def ensure(
        self, stage: str, label: str, inputs: Mapping[str, Any], make: Callable[[Path], None]
    ) -> Path:
        """Make a stage, or find it: on top of its inputs its key holds what all numbers hang on."""

        def tell(study: str) -> None:
            with self.bars.task(f"{stage} · {label}: taken from {study}", None):
                pass

        return self.store.ensure(stage, label, {**inputs, **self.common}, make, tell)


@final
@dataclass(frozen=True)
class Sampled:
    """The rollouts of a study; `by_share` are those of its training prompts by share of wrong."""

    train: RolloutSet
    held_out: RolloutSet
    report: RolloutReport
    by_share: Mapping[float, RolloutSet]

    def of(self, cell: CellPlan) -> RolloutSet:
        """Rows that a cell trains on."""
        return self.train if cell.wrong_share is None else self.by_share[cell.wrong_share]


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
        vocabulary, rows = len(run.base.tokenizer), read_given(settings, run.base)
        pool, train, held_out, told = divide(rows, settings, study.seed, vocabulary)
        return Sampled(train, held_out, told, _by_share(run, pool))

    teacher = open_teacher(study.models, run.base, partial(load_model, study))
    answers = _answers(run, teacher)

    def make(folder: Path) -> None:
        if teacher.language is not None:
            require_same_tokens(run.base, teacher.language)
        with journal(answers) as kept:
            drawn, pool = _sample(run, teacher, kept, "train", settings.prompts)
            _, held_out = _sample(run, teacher, kept, "validation", settings.held_out_prompts)
        seed = derive(study.seed, "rollouts")
        train = thin(pool, "train", settings, seed)
        sources.save(pool, folder / "pool.parquet")
        sources.save(train, folder / "train.parquet")
        sources.save(thin(held_out, "validation", settings, seed), folder / "held_out.parquet")
        told = report(drawn, train)
        (folder / "report.json").write_text(told.model_dump_json(indent=1) + "\n")

    inputs = {
        "seed": study.seed,
        "task": run.plan.task.fingerprint,
        "teacher": teacher.fingerprint,
        "settings": settings.sampling,
    }
    folder = run.ensure("rollouts", study.task.name, inputs, make)
    if teacher.redrawn:  # the rollouts hold what is worth keeping of them
        answers.unlink(missing_ok=True)
    return Sampled(
        sources.read(folder / "train.parquet"),
        sources.read(folder / "held_out.parquet"),
        RolloutReport.model_validate_json((folder / "report.json").read_text()),
        _by_share(run, sources.read(folder / "pool.parquet")),
    )


def _answers(run: Run, teacher: Teacher) -> Path:
    """Where the answers of a teacher are kept while they come, and for good where they cost."""
    hangs_on = run.common if teacher.redrawn else {}
    key = key_of(teacher=teacher.fingerprint, **hangs_on)
    return run.store.root / "rollouts" / f"answers-{key}.jsonl"


def _by_share(run: Run, pool: RolloutSet) -> dict[float, RolloutSet]:
    shares = {c.wrong_share for c in run.plan.cells if c.wrong_share is not None}
    rows, seed = run.study.rollouts.rows_per_prompt, derive(run.study.seed, "rollouts")
    return {share: pool.with_wrong_share(share, rows, f"{seed}/train") for share in shares}


def _sample(
    run: Run, teacher: Teacher, kept: Kept, split: Split, prompts: int
) -> tuple[RolloutSet, RolloutSet]:
    settings = run.study.rollouts
    with run.bars.task(f"rollouts · {split}", prompts * settings.samples) as advance:
        return sample_pool(
            teacher,
            run.plan.task,
            split,
            settings=settings,
            prompts=prompts,
            seed=derive(run.study.seed, "rollouts"),
            kept=kept,
            advance=advance,
        )
