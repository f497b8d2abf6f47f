"""Accuracy of one run on the test problems."""

from collections.abc import Mapping

from goniometer.errors import GoniometerError
from goniometer.results import Accuracy
from goniometer.statistics.counts import is_correct


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion (JASA 22, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def accuracy(
    run: str,
    grades: Mapping[str, str],
    completions: Mapping[str, str] | None = None,
    base_completions: Mapping[str, str] | None = None,
) -> Accuracy:
    """Score one run. Ungraded problems are counted and left out of `n`.

    Args:
        run: its name.
        grades: problem id -> `correct`, `wrong:REASON` or `ungraded:REASON`.
        completions: problem id -> what the run said; with `base_completions` it gives the share
            of completions that the fine-tuning changed.
        base_completions: problem id -> what the base said to the same problems.

    Raises:
        GoniometerError: no problem is graded, a text is no grade, or the completions are not of
            the same problems.
    """
    marks = [is_correct(text, run, problem) for problem, text in grades.items()]
    correct, ungraded = marks.count(True), marks.count(None)
    n = len(marks) - ungraded
    if n == 0:
        raise GoniometerError(
            "no problem of this run is graded", file=run, found=f"{ungraded} ungraded"
        )
    low, high = wilson_interval(correct, n)
    return Accuracy(
        run=run,
        n=n,
        correct=correct,
        truncated=sum(text == "wrong:truncated" for text in grades.values()),
        ungraded=ungraded,
        accuracy=correct / n,
        low=low,
        high=high,
        changed=_changed(run, completions, base_completions),
    )


def _changed(
    run: str, completions: Mapping[str, str] | None, base: Mapping[str, str] | None
) -> float | None:
    if completions is None or base is None:
        return None
    if not base or completions.keys() != base.keys():
        raise GoniometerError(
            "the completions are not of the base's problems",
            file=run,
            found=f"{len(completions.keys() ^ base.keys())} problems that only one has",
        )
    return sum(completions[problem] != base[problem] for problem in base) / len(base)
