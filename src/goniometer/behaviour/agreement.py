"""Whether two runs say the same on the same problems, beyond what their accuracies give."""

from collections.abc import Mapping
from itertools import combinations

from goniometer.behaviour.evaluate import Scores
from goniometer.results import Agreement, Reading
from goniometer.tasks import AbstractTask


def agreements(scores: Mapping[str, Scores], task: AbstractTask) -> tuple[Agreement, ...]:
    """Compare all pairs of runs; see `agreement`."""
    return tuple(agreement(a, b, scores[a], scores[b], task) for a, b in combinations(scores, 2))


def agreement(a: str, b: str, of_a: Scores, of_b: Scores, task: AbstractTask) -> Agreement:
    """Count equal outcomes and equal final answers over the problems that both have graded.

    Equal answers are two that there are: where neither run comes to an answer, they do not agree
    on one. An answer is as the task reads it, `AbstractTask.answer_of`.

    Args:
        a: name of one run.
        b: name of the other.
        of_a: its scores, of any problems.
        of_b: the other's.
        task: reads answers; one without answers has no share of equal ones.
    """
    other = dict(
        zip(of_b.problem_ids, zip(of_b.outcomes(), of_b.completions, strict=True), strict=True)
    )
    pairs = [
        ((mine, said), other[problem])
        for problem, mine, said in zip(
            of_a.problem_ids, of_a.outcomes(), of_a.completions, strict=True
        )
        if problem in other
    ]
    both = [
        (bool(x), bool(y), task.answer_of(said), task.answer_of(told))
        for (x, said), (y, told) in pairs
        if x is not None and y is not None
    ]
    answered = any(one is not None or two is not None for *_, one, two in both)
    n = len(both)
    return Agreement(
        a=a,
        b=b,
        n=n,
        same_outcome=sum(x == y for x, y, *_ in both) / n if n else 0.0,
        same_answer=(
            sum(one is not None and one == two for *_, one, two in both) / n if answered else None
        ),
        kappa=_kappa([(x, y) for x, y, *_ in both]),
    )


def _kappa(outcomes: list[tuple[bool, bool]]) -> Reading:
    """Cohen's kappa (p_o - p_e) / (1 - p_e) (Educ Psychol Meas 20, 1960)."""
    n = len(outcomes)
    if not n:
        return Reading(undefined="no problem was graded for both")
    observed = sum(x == y for x, y in outcomes) / n
    first, second = sum(x for x, _ in outcomes) / n, sum(y for _, y in outcomes) / n
    expected = first * second + (1 - first) * (1 - second)
    if expected == 1:
        return Reading(undefined="both are right, or both wrong, on all problems")
    return Reading(value=(observed - expected) / (1 - expected))
