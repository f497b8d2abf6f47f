"""Memory and disk that a study takes, in bytes, by formulas; each part says what it counts."""

from dataclasses import dataclass
from math import ceil
from typing import final

from goniometer.behaviour.points import Paths as Positions
from goniometer.behaviour.points import points_of
from goniometer.model.head import CHUNK
from goniometer.study.cells import CellPlan
from goniometer.study.estimate.lengths import Lengths
from goniometer.study.estimate.size import Size
from goniometer.study.estimate.work import columns_of, matched_of, rows_of_prompt
from goniometer.study.plan import Plan

FLOAT, HALF = 4, 2  # bytes of an element
TOKEN_ON_DISK = 8  # bytes a token of a rollout: its id and its log-prob, compressed
COLUMN_ON_DISK = 26  # bytes a token of a completion: a log-prob as JSON
SCORE_ON_DISK = 4  # bytes a token of a completion that was scored: its text, compressed
LOSS_ON_DISK = 20  # bytes of a text's loss at a point of a path: a number as JSON
ANSWER_ON_DISK = 5  # bytes a token of an answer along a path: its text, as JSON
READING_ON_DISK = 4_000  # bytes of a pair's readings at one module, in tables and report


@final
@dataclass(frozen=True)
class Memory:
    """Bytes at the peak of a training step of one cell.

    Attributes:
        weights: of the network, in its dtype.
        moving: adapter, or a float32 copy of the weights that move; of all, if narrower.
        gradients: of what moves, float32.
        optimiser: AdamW's two moments of what moves, float32 (arXiv 1711.05101).
        last_good: a copy of what moves, kept for a step that is not finite.
        activations: what autograd keeps for the longest micro-batch, `Size.kept` elements a
            token; None where the config does not say.
        logits: chunks of positions by vocabulary: logits, their softmax and its gradient.
    """

    weights: int
    moving: int
    gradients: int
    optimiser: int
    last_good: int
    activations: int | None
    logits: int

    @property
    def total(self) -> int:
        """All parts; without activations where they are not known."""
        parts = (self.weights, self.moving, self.gradients, self.optimiser, self.last_good)
        return sum(parts) + (self.activations or 0) + self.logits


def memory_of(cell: CellPlan, plan: Plan, size: Size, lengths: Lengths) -> Memory:
    """Count the peak of one training step, from above: every row as long as the longest."""
    study = plan.study
    narrow = study.models.dtype == "bfloat16"
    moving = size.trainable(cell.regime, study.adapter)
    copied = size.parameters if narrow and cell.regime != "lora" else moving
    rows = ceil(rows_of_prompt(cell, plan) * study.training.prompts_per_step)
    tokens = ceil(rows / study.training.micro_batches) * lengths.longest
    element = FLOAT if study.training.precision == "no" and not narrow else HALF
    kept = None if size.kept is None else size.kept[cell.regime] * tokens * element
    return Memory(
        weights=size.parameters * (HALF if narrow else FLOAT),
        moving=copied * FLOAT,
        gradients=moving * FLOAT,
        optimiser=2 * moving * FLOAT,
        last_good=moving * FLOAT,
        activations=kept,
        logits=3 * min(CHUNK, tokens * size.vocabulary) * FLOAT,
    )


@final
@dataclass(frozen=True)
class Disk:
    """Bytes that a study leaves in its run folder."""

    cells: int
    base: int
    rollouts: int
    scores: int
    paths: int
    report: int

    @property
    def total(self) -> int:
        """All parts."""
        parts = (self.cells, self.base, self.rollouts, self.scores, self.paths, self.report)
        return sum(parts)


def disk_of(plan: Plan, size: Size, lengths: Lengths) -> Disk:
    """Count files: cells in float32, the base, rollouts, scores, losses along paths, readings.

    The base is written where it is warmed up, and where whole weights are read against it.
    Rollouts and scores are counted by token, with the longest completions allowed. Of the prompts
    trained on, all samples are kept beside the rows that are.
    """
    study, runs = plan.study, len(plan.cells) + 1 + matched_of(plan)
    rollouts = study.rollouts
    longest = round(lengths.prompt) + rollouts.max_new_tokens
    rows = (rollouts.prompts + rollouts.held_out_prompts) * rollouts.rows_per_prompt
    rows += rollouts.prompts * rollouts.samples
    columns = sum(times * texts for times, texts in columns_of(plan).values())
    columns *= rollouts.max_new_tokens
    whole = size.parameters * (HALF if study.models.dtype == "bfloat16" else FLOAT)
    copies = sum((study.models.warm_up is not None, any(c.regime != "lora" for c in plan.cells)))
    readings = len(plan.cells) * (len(plan.cells) - 1) // 2 * len(size.linear)
    return Disk(
        cells=sum(size.trainable(cell.regime, study.adapter) for cell in plan.cells) * FLOAT,
        base=whole * copies,
        rollouts=(0 if rollouts.file else rows * longest * TOKEN_ON_DISK)
        + columns * COLUMN_ON_DISK,
        scores=runs * study.evaluation.problems * study.evaluation.max_new_tokens * SCORE_ON_DISK,
        paths=_paths(plan),
        report=readings * READING_ON_DISK,
    )


def _paths(plan: Plan) -> int:
    paths = plan.study.paths
    if paths is None:
        return 0
    runs, _ = plan.together
    losses = paths.problems * (1 + paths.bare_answer) * LOSS_ON_DISK
    answers = (paths.accuracy or 0) * plan.study.evaluation.max_new_tokens * ANSWER_ON_DISK
    return len(points_of(runs, Positions(paths.positions))) * (losses + answers)
