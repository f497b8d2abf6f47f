"""Made-up rollouts and batches for the tests of objectives and training."""

import random
from collections.abc import Sequence

import torch

from goniometer.objectives import AbstractObjective, Batch, Examples
from goniometer.rollouts.data import Rollout, RolloutSet
from goniometer.tasks import Correct, Grade, Ungraded, Wrong

GRADES: dict[str, Grade] = {"+": Correct(), "-": Wrong("answer"), "?": Ungraded("crash")}
# Every kind of group: even, lopsided, all right, all wrong, with and without ungraded rows.
GROUPS = ("+-+-", "+---", "+++-", "++", "---", "-?+", "??", "?-+-+-+")
RIGHT, WRONG, CUT = Correct(), Wrong("answer"), Wrong("truncated")


def graded(problem_id: str, tokens: tuple[int, ...], grade: Grade) -> Rollout:
    logprobs = (-1.0,) * len(tokens)
    return Rollout(problem_id, (5,), tokens, "", logprobs, grade, truncated=grade == CUT)


def make_rollouts(groups: Sequence[str], seed: int = 0) -> RolloutSet:
    """One prompt a group; each sign is a row: + right, - wrong, ? ungraded."""
    rng = random.Random(seed)
    rows = []
    for number, group in enumerate(groups):
        prompt = tuple(rng.randrange(2, 20) for _ in range(rng.randint(2, 6)))
        for sign in group:
            completion = (*(rng.randrange(2, 20) for _ in range(rng.randint(1, 7))), 1)
            logprobs = tuple(-rng.expovariate(1) for _ in completion)
            grade = GRADES[sign]
            rows.append(Rollout(f"p{number}", prompt, completion, "", logprobs, grade, False))
    return RolloutSet(tuple(rows))


def make_table(rollouts: RolloutSet, seed: int) -> list[list[float]]:
    """Log-probs of every completion token, by row, as some model may have given them."""
    rng = random.Random(seed)
    return [[-rng.expovariate(1.5) for _ in row.completion_tokens] for row in rollouts.rows]


def make_near(table: list[list[float]], seed: int) -> list[list[float]]:
    """Log-probs that differ from the given ones by less than any clip."""
    rng = random.Random(seed)
    return [[logp + rng.uniform(-0.1, 0.1) for logp in row] for row in table]


def make_batch(
    objective: AbstractObjective,
    rollouts: RolloutSet,
    *,
    examples: Examples | None = None,
    width: int = 10,
    filler: float = 0.0,
) -> Batch:
    """All (or the given) examples as one float64 batch; `filler` is what stands in the padding.

    Every prompt has the same mismatched log-ratio, so that no part of the batch differs in it.
    """
    examples = examples or objective.select(rollouts)
    tables = {"logprobs": make_table(rollouts, seed=1)}
    if "reference" in objective.needs:
        tables["reference"] = make_table(rollouts, seed=2)
    if "behaviour" in objective.needs:
        tables["behaviour"] = make_near(tables["logprobs"], seed=3)
    shape = (len(examples.row), width)
    columns = {name: torch.full(shape, filler, dtype=torch.float64) for name in tables}
    mask = torch.zeros(shape, dtype=torch.bool)
    for position, row in enumerate(examples.row.tolist()):
        length = len(rollouts.rows[row].completion_tokens)
        mask[position, :length] = True
        for name, table in tables.items():
            columns[name][position, :length] = torch.tensor(table[row], dtype=torch.float64)
    columns["logprobs"].requires_grad_()
    if "mismatched" in objective.needs:
        prompts = {rollouts.rows[row].problem_id for row in examples.row.tolist()}
        columns["mismatched"] = torch.full((len(prompts),), 0.3, dtype=torch.float64)
    return Batch(mask=mask, coefficient=examples.coefficient, pair=examples.pair, **columns)


def gradient(objective: AbstractObjective, batch: Batch) -> torch.Tensor:
    """Gradient of the summed loss by token."""
    (result,) = torch.autograd.grad(objective.loss(batch).total, batch.logprobs)
    return result
