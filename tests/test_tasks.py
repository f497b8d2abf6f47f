"""What is asked: splits, ids, and the grader that is both reward and score."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goniometer import tasks
from goniometer.errors import GoniometerError
from goniometer.tasks import (
    TASKS,
    AbstractTask,
    Correct,
    Problem,
    Ungraded,
    Wrong,
    grade_from_text,
    grade_or_ungraded,
    grade_to_text,
)
from goniometer.tasks.answers import final_answer
from goniometer.tasks.arithmetic import Arithmetic, split_of
from tests.problems import SPLITS, every_task

ARITHMETIC = TASKS["arithmetic"]()
STEP = re.compile(r"(\d+) ([-+*]) (\d+) = (\d+)")


def arithmetic_of(problem):
    """The start and the steps of a problem, from its solution."""
    steps = [match.groups() for match in STEP.finditer(problem.solution)]
    return int(steps[0][0]), tuple((op, int(n)) for _, op, n, _ in steps)


def test_every_file_of_tasks_is_in_the_table():
    files = {path.stem for path in Path(tasks.__file__).parent.glob("*.py")}
    helpers = {"base", "answers", "files", "hub", "numbers", "rows"}
    helpers |= {"expressions", "expressions_here", "expressions_apart"}
    assert files - {"__init__"} - helpers == set(TASKS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return every_task(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(params=TASKS)
def task(request, made):
    if request.param not in made:
        pytest.skip("no bubblewrap here")
    return made[request.param]


def test_a_longer_list_extends_a_shorter_and_nothing_stands_twice(task):
    for split in SPLITS:
        problems = task.problems(split, 60, seed=3)
        assert task.problems(split, 25, seed=3) == problems[:25]
        assert len({p.id for p in problems}) == 60
        assert task.problems(split, 60, seed=4) != problems


def test_reference_solutions_are_graded_correct_and_no_split_shares_a_problem(task):
    ids = [{p.id for p in task.problems(split, 200, seed=0)} for split in SPLITS]
    assert len(set.union(*ids)) == 800
    for problem in task.problems("test", 10 if task.name == "code" else 50, seed=0):
        assert task.grade(problem, problem.solution, truncated=False) == Correct()


def test_the_same_sum_in_other_words_is_never_in_two_splits():
    contents = {
        split: {arithmetic_of(p) for seed in (0, 1) for p in ARITHMETIC.problems(split, 600, seed)}
        for split in SPLITS
    }
    for split, content in contents.items():
        assert {split_of(start, steps) for start, steps in content} == {split}
    assert sum(map(len, contents.values())) == len(set.union(*contents.values()))


def test_the_solution_computes_what_the_question_says():
    for problem in ARITHMETIC.problems("train", 300, seed=1):
        start, steps = arithmetic_of(problem)
        assert [int(n) for n in re.findall(r"\d+", problem.question)] == [
            start,
            *(n for _, n in steps),
        ]
        value = start
        for left, op, n, result in STEP.findall(problem.solution):
            assert int(left) == value
            value = {"+": value + int(n), "-": value - int(n), "*": value * int(n)}[op]
            assert int(result) == value
            assert 1 <= value <= 199
        assert problem.answer == str(value)


def test_prose_is_the_same_problems_without_the_spaces_before_full_stops():
    words, prose = (
        Arithmetic(spacing=s).problems("train", 300, seed=1) for s in ("words", "prose")
    )
    assert [(p.answer, p.solution) for p in prose] == [(p.answer, p.solution) for p in words]
    for written, spaced in zip(prose, words, strict=True):
        assert re.fullmatch(r"(\w+( \w+)*[.?] ?)+", written.question)
        assert written.question.replace(".", " .").replace("?", " ?") == spaced.question


def test_smaller_problems_keep_their_bounds_and_reach_them():
    problems = Arithmetic(largest=60, most_steps=2).problems("train", 600, seed=1)
    numbers = [int(n) for p in problems for n in re.findall(r"\d+", p.question + p.solution)]
    assert (min(numbers), max(numbers)) == (1, 60)
    assert {len(arithmetic_of(p)[1]) for p in problems} == {1, 2}


@pytest.mark.parametrize("options", [{"largest": 19}, {"largest": 200}, {"most_steps": 0}])
def test_bounds_that_no_problem_can_have_are_named(options):
    (key,) = options
    with pytest.raises(GoniometerError, match=f"study: task.{key}: Input should be"):
        tasks.build("arithmetic", options, "study")


def test_a_problem_is_named_by_its_question_alone():
    problem = Problem("How many ?", "3", "#### 3")
    assert replace(problem, answer="4", solution="").id == problem.id
    assert replace(problem, question="How many?").id != problem.id


# The grader

PROBLEM = Problem("2 + 40 ?", "42", "2 + 40 = 42\n#### 42")
INTEGERS = st.integers(-(10**9), 10**9)


@given(n=INTEGERS, before=st.text(), after=st.sampled_from(["", "\n", " apples", ".", " ."]))
def test_the_number_after_the_last_marker_is_read_in_every_spelling(n, before, after):
    sign, digits = "-" * (n < 0), str(abs(n))
    for spelt in (f"{n}", f"{n:,}", f"{sign}00{digits}"):
        assert final_answer(f"{before}#### 7\n####  {spelt}{after}") == str(n)


@given(st.text())
def test_text_without_a_marker_has_no_answer(text):
    text = text.replace("#", "")
    assert final_answer(text) is None
    assert ARITHMETIC.grade(PROBLEM, text, truncated=False) == Wrong("no_answer")


@given(st.text(alphabet="#0123456789-, \nab.") | st.text())
def test_the_grade_is_correct_exactly_where_the_answer_is_the_gold_one(text):
    grade = ARITHMETIC.grade(PROBLEM, text, truncated=False)
    assert (grade == Correct()) == (final_answer(text) == "42")
    assert isinstance(grade, Correct | Wrong)


@given(st.text() | st.just(PROBLEM.solution))
def test_a_truncated_completion_is_wrong_whatever_it_says(text):
    assert ARITHMETIC.grade(PROBLEM, text, truncated=True) == Wrong("truncated")


@given(n=INTEGERS)
def test_another_number_is_wrong(n):
    expected = Correct() if n == 42 else Wrong("answer")
    assert ARITHMETIC.grade(PROBLEM, f"#### {n}", truncated=False) == expected


@given(st.text())
def test_grades_go_to_text_and_back(reason):
    wrong = [Wrong("answer"), Wrong("no_answer"), Wrong("truncated")]
    for grade in (Correct(), *wrong, Ungraded(reason)):
        assert grade_from_text(grade_to_text(grade)) == grade


@pytest.mark.parametrize("text", ["", "right", "correct:really", "wrong", "wrong:", "wrong:bad"])
def test_other_texts_are_no_grades(text):
    with pytest.raises(ValueError, match="not a grade"):
        grade_from_text(text)


class Crashing(AbstractTask):
    name = "crashing"

    def problems(self, split, count, seed):
        return (PROBLEM,)

    def grade(self, problem, completion, *, truncated):
        raise RecursionError("parser gave up")


def test_a_grader_that_fails_is_not_a_wrong_answer():
    grade = grade_or_ungraded(Crashing(), PROBLEM, "#### 42", truncated=False)
    assert grade == Ungraded("RecursionError: parser gave up")
    assert grade_or_ungraded(ARITHMETIC, PROBLEM, "#### 42", truncated=False) == Correct()


@pytest.mark.parametrize(
    ("text", "answer"),
    [("#### 12.5", "12.5"), ("#### 12.0", "12"), ("#### 1,200.50", "1200.5"), ("#### -0", "0")],
)
def test_a_fraction_is_not_its_whole_part(text: str, answer: str):
    assert final_answer(text) == answer
