"""What a run can do: greedy answers graded, and how likely it finds held-out rollouts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goniometer.behaviour.placed import Placed
from goniometer.config import Evaluation
from goniometer.errors import GoniometerError
from goniometer.model import completion_logprobs, generate
from goniometer.rollouts import RolloutSet
from goniometer.tasks import (
    AbstractTask,
    Correct,
    Problem,
    Ungraded,
    grade_all,
    grade_from_text,
    grade_to_text,
)

_SCHEMA = pa.schema(
    {
        "problem_ids": pa.string(),
        "grades": pa.string(),
        "completions": pa.string(),
        "truncated": pa.bool_(),
    }
)


@final
@dataclass(frozen=True)
class Scores:
    """One greedy completion a problem, with its grade as text, in the order of the problems."""

    problem_ids: tuple[str, ...]
    grades: tuple[str, ...]
    completions: tuple[str, ...]
    truncated: tuple[bool, ...]

    def outcomes(self) -> tuple[bool | None, ...]:
        """Right, wrong, or None where the grader failed: such a pair is dropped, not wrong."""
        grades = map(grade_from_text, self.grades)
        return tuple(
            None if isinstance(grade, Ungraded) else isinstance(grade, Correct) for grade in grades
        )

    @property
    def share(self) -> float | None:
        """Share of right answers among those that could be graded; None without one."""
        graded = [right for right in self.outcomes() if right is not None]
        return sum(graded) / len(graded) if graded else None

    def save(self, path: Path) -> None:
        """Write Parquet, one row a problem."""
        columns = {field.name: list(getattr(self, field.name)) for field in fields(self)}
        pq.write_table(pa.table(columns, schema=_SCHEMA), path)

    @classmethod
    def read(cls, path: Path) -> "Scores":
        """Read what `save` wrote.

        Raises:
            GoniometerError: no such file, or not scores.
        """
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise GoniometerError(f"not a file of scores: {error}", file=path) from None
        if not table.schema.equals(_SCHEMA):
            raise GoniometerError(
                "not a file of scores",
                file=path,
                found=f"columns {', '.join(table.schema.names)}",
                expected=", ".join(_SCHEMA.names),
            )
        return cls(**{name: tuple(table[name].to_pylist()) for name in _SCHEMA.names})


def evaluate(
    placed: Placed,
    task: AbstractTask,
    problems: Sequence[Problem],
    settings: Evaluation,
    advance: Callable[[int], None],
) -> Scores:
    """Answer the problems greedily and grade the answers; `advance` counts problems."""
    with placed.running() as model:
        completions = generate(
            model,
            [model.encode_prompt(problem.question) for problem in problems],
            max_new_tokens=settings.max_new_tokens,
            temperature=0.0,
            seed=0,  # nothing is drawn
            batch_size=settings.batch_size,
            advance=advance,
        )
        texts = [model.decode(completion.tokens) for completion in completions]
    truncated = tuple(completion.truncated for completion in completions)
    grades = grade_all(task, zip(problems, texts, truncated, strict=True))
    return Scores(
        problem_ids=tuple(problem.id for problem in problems),
        grades=tuple(map(grade_to_text, grades)),
        completions=tuple(texts),
        truncated=truncated,
    )


@final
@dataclass(frozen=True)
class HeldOut:
    """How likely a run finds held-out rollouts.

    `nll_right` and `nll_wrong` are in nats a token: the sum over the tokens of all such rows by
    the number of these tokens. `logprobs` are summed by row, in nats. A run that diverged has NaN.
    """

    nll_right: float
    nll_wrong: float
    logprobs: tuple[float, ...]


def held_out(
    placed: Placed, rollouts: RolloutSet, *, batch_size: int, advance: Callable[[int], None]
) -> HeldOut:
    """Score every row of the rollouts by the model; `advance` counts rows.

    Raises:
        GoniometerError: there are no right or no wrong rows.
    """
    with placed.running() as model:
        tokens = completion_logprobs(
            model,
            [row.prompt_tokens for row in rollouts.rows],
            [row.completion_tokens for row in rollouts.rows],
            batch_size=batch_size,
            advance=advance,
        )
    right = [values for values, row in zip(tokens, rollouts.rows, strict=True) if row.correct]
    wrong = [values for values, row in zip(tokens, rollouts.rows, strict=True) if row.wrong]
    if not right or not wrong:
        raise GoniometerError(
            "held-out rollouts have only one side", found=f"{len(right)} right, {len(wrong)} wrong"
        )
    return HeldOut(_per_token(right), _per_token(wrong), tuple(map(sum, tokens)))


def _per_token(rows: Sequence[Sequence[float]]) -> float:
    return -sum(map(sum, rows)) / sum(map(len, rows))


def ordered_pairs(run: HeldOut, base: HeldOut, rollouts: RolloutSet) -> float:
    """Share of pairs of one prompt in which the run came to prefer the right to the wrong row.

    A pair counts where its implicit reward margin (DPO, arXiv 2305.18290, section 5; without
    beta, which has no effect on the sign) is above 0, and half where it is 0: log pi/pi_ref of
    the right row minus that of the wrong one, log-probs summed over tokens. The mean is over
    prompts of the share of their pairs, so that prompts weigh alike. NaN where a log-prob is.

    Raises:
        GoniometerError: no prompt has both right and wrong rows.
    """
    reward = np.subtract(run.logprobs, base.logprobs)
    shares = []
    for _, indices in rollouts.groups():
        right = reward[[i for i in indices if rollouts.rows[i].correct]]
        wrong = reward[[i for i in indices if rollouts.rows[i].wrong]]
        if len(right) and len(wrong):
            margins = right[:, None] - wrong[None, :]
            shares.append((1 + np.sign(margins)).mean() / 2)
    if not shares:
        raise GoniometerError("no held-out prompt has both right and wrong rows")
    return float(np.mean(shares))
