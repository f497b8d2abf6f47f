"""Agreement of two runs on the same problems, against statsmodels and by hand."""

import random

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from goniometer.behaviour.agreement import agreement, agreements
from goniometer.behaviour.evaluate import Scores
from goniometer.tasks import TASKS

TASK = TASKS["arithmetic"]()


def scores(found: dict[str, tuple[str, str]]) -> Scores:
    """Grades and completions by problem."""
    grades, texts = zip(*found.values(), strict=True)
    return Scores(tuple(found), grades, texts, (False,) * len(found))


def drawn(seed: int, right: float) -> dict[str, tuple[str, str]]:
    noise = random.Random(seed)
    found = {}
    for i in range(300):
        grade = "correct" if noise.random() < right else "wrong:answer"
        found[f"p{i}"] = (grade, f"so #### {noise.randrange(3)}")
    return found


@pytest.mark.parametrize("shares", [(0.3, 0.8), (0.5, 0.5), (0.95, 0.9)])
def test_kappa_is_that_of_statsmodels(shares: tuple[float, float]):
    one, other = (drawn(seed, share) for seed, share in enumerate(shares))
    found = agreement("a", "b", scores(one), scores(other), TASK)
    table = np.zeros((2, 2))
    for problem in one:
        table[tuple(int(of[problem][0] == "correct") for of in (one, other))] += 1
    assert found.n == 300
    assert found.same_outcome == pytest.approx(np.trace(table) / 300)
    assert found.kappa.value == pytest.approx(cohens_kappa(table).kappa, abs=1e-12)
    same = sum(one[p][1] == other[p][1] for p in one) / 300
    assert found.same_answer == pytest.approx(same)


def test_ungraded_problems_and_problems_of_one_run_are_left_out():
    one = {"p": ("correct", "#### 1"), "q": ("ungraded:x", "#### 2"), "r": ("correct", "#### 3")}
    other = {
        "r": ("wrong:answer", "#### 4"),
        "q": ("correct", "#### 2"),
        "p": ("correct", "#### 1.0"),
    }
    found = agreement("a", "b", scores(one), scores(other | {"s": ("correct", "")}), TASK)
    assert (found.n, found.same_outcome, found.same_answer) == (2, 0.5, 0.5)


def test_no_answer_is_not_an_answer_in_common():
    silent = {"p": ("wrong:no_answer", "well"), "q": ("correct", "#### 2")}
    (found,) = agreements({"a": scores(silent), "b": scores(silent)}, TASK)
    assert (found.same_outcome, found.same_answer) == (1.0, 0.5)
    code = TASKS["code"]
    (found,) = agreements({"a": scores(silent), "b": scores(silent)}, code.__new__(code))
    assert found.same_answer is None


def test_where_chance_alone_agrees_there_is_no_kappa():
    right = {f"p{i}": ("correct", "#### 1") for i in range(3)}
    found = agreement("a", "b", scores(right), scores(right), TASK)
    assert found.same_outcome == 1.0
    assert found.kappa.undefined == "both are right, or both wrong, on all problems"
    nobody = dict.fromkeys(right, ("ungraded:x", ""))
    found = agreement("a", "b", scores(right), scores(nobody), TASK)
    assert (found.n, found.same_answer) == (0, None)
    assert found.kappa.undefined == "no problem was graded for both"
