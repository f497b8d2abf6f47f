"""What `compare --base MODEL --data ROLLOUTS` does beyond weights: one base, one set of texts.

The base is loaded once; all points, activations and KL of all runs are taken on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from goniometer.behaviour.activations import Activations
from goniometer.behaviour.divergence import Text
from goniometer.behaviour.points import USUAL, Paths
from goniometer.behaviour.survey import Greedy
from goniometer.behaviour.texts import ReferenceTexts, bare_answers
from goniometer.behaviour.together import Data, behaviour_of, measure
from goniometer.behaviour.tokens import choose_tokens
from goniometer.comparison.options import Options
from goniometer.config import Divergence, Evaluation, Rollouts
from goniometer.deltas import Delta
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, load, require_fit
from goniometer.progress import Shown
from goniometer.results import BASE, Behaviour, Comparison
from goniometer.rollouts import Rollout, RolloutSet
from goniometer.rollouts.given import read_given
from goniometer.rollouts.same_tokenizer import require_same_tokenizer, require_same_vocabulary
from goniometer.seeds import derive
from goniometer.tasks import AbstractTask, build

FOR_LOSSES, FOR_ACTIVATIONS, FOR_KL = 64, 128, 64  # prompts of the data
PROBLEMS = 200  # of a task, answered at ends, midpoints and sums, or everywhere
LEAST = 64  # tokens that an answer may have, or as many as the longest right rollout


@final
@dataclass(frozen=True)
class WithModel:
    """A base that is loaded, with texts and updates that fit it."""

    base: LanguageModel
    name: str
    data: Data
    task: AbstractTask | None
    positions: int = USUAL.positions

    def measured(
        self, deltas: Mapping[str, Delta], comparison: Comparison, bars: Shown, seed: int
    ) -> Behaviour:
        """Measure all that the model says of the runs of a comparison."""
        paths = Paths(self.positions, seed=seed)
        found = measure(self.base, deltas, self.data, bars, paths, k=comparison.k)
        read = behaviour_of(found, comparison.pairs, self.task)
        return read.model_copy(update={"base": self.name})


def with_model(
    reference: str, data: str, deltas: Mapping[str, Delta], options: Options
) -> WithModel:
    """Load the base, read the texts, and require that all fit, before anything is measured.

    Args:
        reference: the base, as `load` reads it.
        data: rollouts, as `goniometer rollouts` reads them.
        deltas: updates by run.
        options: the task and what is asked of it, points of a path, precision, device, seed.

    Raises:
        GoniometerError: a base that the updates do not fit or whose tokenizer is not a run's,
            rollouts that it does not read as they were written or that are longer than its
            context, none that is right, too few tokens, a task without test problems.
    """
    if BASE in deltas:
        raise GoniometerError("a run has the name of the base", key=BASE, fix="rename it")
    task = None if options.task is None else build(options.task, options.task_options, "--task")
    _require_file(data)
    dtype = options.dtype or "float32"
    base = load(reference, device=options.device or "auto", dtype=getattr(torch, dtype))
    for run, delta in deltas.items():
        require_fit(base.network, run, delta)
        require_same_vocabulary(run, Path(delta.provenance.source), base)
    rollouts = read_given(Rollouts(file=data), base)
    require_same_tokenizer(rollouts, base, data)
    right = _one_a_prompt(rollouts, data)
    texts = _texts(right[:FOR_ACTIVATIONS], base)
    longest = max(len(row.completion_tokens) for row in right)
    prompts = tuple(dict.fromkeys(prompt for prompt, _ in texts))[:FOR_KL]
    kl = _room(base, prompts, longest, data)
    greedy = None if task is None else _greedy(task, longest, options, base)
    bare = None
    if greedy is not None and options.bare_answer:
        bare = bare_answers(base, greedy.problems[:FOR_LOSSES])
        bare.require_fit(base)
    return WithModel(
        base,
        options.base_name,
        Data(
            about=_told(len(right), data)
            + (f"; KL of {kl} tokens at most, where the context ends" if kl < longest else "")
            + (f"; the base in {dtype}" if dtype != "float32" else ""),
            reference=ReferenceTexts.of_rollouts(RolloutSet(right[:FOR_LOSSES])),
            texts=texts,
            kl=Divergence(prompts=FOR_KL, max_new_tokens=kl),
            greedy=greedy,
            bare=bare,
        ),
        task,
        options.positions or USUAL.positions,
    )


def _texts(rows: tuple[Rollout, ...], base: LanguageModel) -> tuple[Text, ...]:
    """Texts of the rows, once the base has room for them and they have enough tokens."""
    ReferenceTexts.of_rollouts(RolloutSet(rows)).texts.require_fit(base)
    texts = tuple((row.prompt_tokens, row.completion_tokens) for row in rows)
    settings = Activations()
    choose_tokens(base, texts, settings.positions, settings.tokens)
    return texts


def _room(base: LanguageModel, prompts: Sequence[Sequence[int]], most: int, where: str) -> int:
    """How many tokens may be written after any of the prompts: at most so many, one at least."""
    if base.context is None:
        return most
    longest = max(map(len, prompts))
    if longest >= base.context:
        raise GoniometerError(
            f"a prompt leaves {base.name} no room for an answer", file=where,
            found=f"{longest} tokens", expected=f"below {base.context}",
        )  # fmt: skip
    return min(most, base.context - longest)


def _require_file(data: str) -> None:
    if not Path(data).is_file():
        raise GoniometerError(
            "no such file of rollouts", file=data, key="--data",
            fix="write one by `goniometer rollouts`",
        )  # fmt: skip


def _one_a_prompt(rollouts: RolloutSet, where: str) -> tuple[Rollout, ...]:
    """The first right row of each prompt."""
    groups = [[rollouts.rows[i] for i in indices] for _, indices in rollouts.groups()]
    right = tuple(
        next(row for row in rows if row.correct)
        for rows in groups
        if any(row.correct for row in rows)
    )
    if not right:
        wrong = sum(row.wrong for row in rollouts.rows)
        total = len(rollouts.rows)
        raise GoniometerError(
            "no rollout is right, and losses are taken of right ones", file=where, key="--data",
            found=f"{total} rows: {wrong} wrong, {total - wrong} ungraded",
            fix="have them graded by `goniometer rollouts --task`",
        )  # fmt: skip
    return right


def _told(prompts: int, data: str) -> str:
    used = f"first {FOR_LOSSES} for losses, {FOR_ACTIVATIONS} for activations"
    few = f"one right rollout of each of {prompts} prompts of {Path(data).name}"
    few += f" ({used})" if prompts > FOR_LOSSES else ""
    return f"{few}; whether runs were trained on them is not known here"


def _greedy(task: AbstractTask, longest: int, options: Options, base: LanguageModel) -> Greedy:
    problems = task.problems("test", PROBLEMS, derive(options.seed, "problems of compare"))
    if not problems:
        raise GoniometerError(f"{task.name} has no test problems", key="--task")
    prompts = [base.encode_prompt(problem.question) for problem in problems]
    new = _room(base, prompts, max(LEAST, longest), f"--task {task.name}")
    settings = Evaluation(problems=len(problems), max_new_tokens=new, batch_size=64)
    return Greedy(task, problems, settings, everywhere=options.accuracy is not None)
