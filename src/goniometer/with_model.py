"""What `compare --base MODEL --data ROLLOUTS` does beyond weights: one base, one set of texts.

The base is loaded once; all points, activations and KL of all runs are taken on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from goniometer import tasks
from goniometer.behaviour.points import USUAL, Paths
from goniometer.behaviour.survey import Greedy
from goniometer.behaviour.texts import ReferenceTexts
from goniometer.behaviour.together import Data, behaviour_of, measure
from goniometer.config import Divergence, Evaluation, Rollouts
from goniometer.deltas import Delta
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, load, require_fit
from goniometer.progress import Shown
from goniometer.results import BASE, Behaviour, Comparison
from goniometer.rollouts import Rollout, RolloutSet
from goniometer.rollouts.given import read_given
from goniometer.seeds import derive
from goniometer.tasks import AbstractTask

FOR_LOSSES, FOR_ACTIVATIONS, FOR_KL = 64, 128, 64  # prompts of the data
PROBLEMS = 200  # of a task, answered at ends, midpoints and sums
LEAST = 64  # tokens that an answer may have, or as many as the longest right rollout
COMPARED = 50  # rows whose text is compared with what the tokens say


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
    reference: str,
    data: str,
    deltas: Mapping[str, Delta],
    *,
    task: tuple[str, Mapping[str, Any]] | None,
    name: str,
    seed: int,
    positions: int | None = None,
) -> WithModel:
    """Load the base, read the texts, and require that all fit, before anything is measured.

    Args:
        reference: the base, as `load` reads it.
        data: rollouts, as `goniometer rollouts` reads them.
        deltas: updates by run.
        task: a name and its options, for answers.
        name: what to call the base.
        seed: of which problems of the task are asked.
        positions: points of a path, 11 if absent.

    Raises:
        GoniometerError: a base that the updates do not fit, rollouts that it does not read as they
            were written, none that is right, a task without test problems.
    """
    if BASE in deltas:
        raise GoniometerError("a run has the name of the base", key=BASE, fix="rename it")
    asked = None if task is None else tasks.build(*task, "--task")
    _require_file(data)
    base = load(reference, device="auto")
    for run, delta in deltas.items():
        require_fit(base.network, run, delta)
    rollouts = read_given(Rollouts(file=data), base)
    require_same_tokenizer(rollouts, base, data)
    right = _one_a_prompt(rollouts, data)
    longest = max(len(row.completion_tokens) for row in right)
    activations = right[:FOR_ACTIVATIONS]
    return WithModel(
        base,
        name,
        Data(
            about=_told(len(right), data),
            reference=ReferenceTexts.of_rollouts(RolloutSet(right[:FOR_LOSSES])),
            texts=tuple((row.prompt_tokens, row.completion_tokens) for row in activations),
            kl=Divergence(prompts=FOR_KL, max_new_tokens=longest),
            greedy=None if asked is None else _greedy(asked, longest, seed),
        ),
        asked,
        USUAL.positions if positions is None else positions,
    )


def require_same_tokenizer(rollouts: RolloutSet, base: LanguageModel, where: str) -> None:
    """Require that the base's tokenizer is the one that the rollouts were encoded by.

    Every token id must be in the vocabulary. Of some rows, spread evenly, the tokens must say what
    the text says, or the text must encode to the tokens: white space may be lost in one direction.

    Raises:
        GoniometerError: the first id or row that is otherwise.
    """
    vocabulary = len(base.tokenizer)
    fix = "name the base that the rollouts were sampled from or encoded for"
    for row in rollouts.rows:
        largest = max(*row.prompt_tokens, *row.completion_tokens)
        if largest >= vocabulary:
            raise GoniometerError(
                f"a token id that {base.name} does not have", file=where, key=row.problem_id,
                found=largest, expected=f"below {vocabulary}", fix=fix,
            )  # fmt: skip
    step = max(1, len(rollouts.rows) // COMPARED)
    for row in rollouts.rows[::step]:
        if row.text and not _says(row, base):
            raise GoniometerError(
                f"tokens that say something else to {base.name}: its tokenizer is another",
                file=where, key=row.problem_id, found=repr(base.decode(row.completion_tokens)[:40]),
                expected=repr(row.text[:40]), fix=fix,
            )  # fmt: skip


def _says(row: Rollout, base: LanguageModel) -> bool:
    if "".join(base.decode(row.completion_tokens).split()) == "".join(row.text.split()):
        return True
    encoded = base.encode_completion(row.text)
    return row.completion_tokens in (encoded, encoded[:-1])


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


def _greedy(task: AbstractTask, longest: int, seed: int) -> Greedy:
    problems = task.problems("test", PROBLEMS, derive(seed, "problems of compare"))
    if not problems:
        raise GoniometerError(f"{task.name} has no test problems", key="--task")
    settings = Evaluation(problems=len(problems), max_new_tokens=max(LEAST, longest), batch_size=64)
    return Greedy(task, problems, settings, everywhere=False)
