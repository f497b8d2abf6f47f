"""The code task: HumanEval's and MBPP's rows, programs in answers, grades and their reasons."""

import json
import textwrap
from pathlib import Path

import pytest

from goniometer import tasks
from goniometer.errors import AbsentError, GoniometerError
from goniometer.sandbox import Outcome, missing
from goniometer.tasks import Correct, Ungraded, Wrong, code, grade_all
from goniometer.tasks.code import program_of
from tests.problems import write_rows

needs_bubblewrap = pytest.mark.skipif(
    missing("bubblewrap") is not None, reason=str(missing("bubblewrap"))
)

START = '''import math


def area(radius: float) -> float:
    """Of a circle."""
    return math.pi * radius**2


def volume(radius: float) -> float:
    """Of a ball. """
'''
HUMAN_EVAL = {
    "task_id": "HumanEval/x",
    "prompt": START,
    "entry_point": "volume",
    "canonical_solution": "    return area(radius) * radius * 4 / 3\n",
    "test": "def check(candidate):\n    assert abs(candidate(2) - area(2) * 8 / 3) < 1e-9\n",
}
MBPP = {
    "task_id": 601,
    "text": "Write a function to find the longest chain of pairs.",
    "code": (
        "class Pair(object):\r\n\tdef __init__(self, a, b):\r\n\t\tself.a, self.b = a, b\r\n"
        "def longest(pairs):\r\n\tend, n = 0, 0\r\n"
        "\tfor pair in sorted(pairs, key=lambda pair: pair.b):\r\n"
        "\t\tif pair.a > end: end, n = pair.b, n + 1\r\n\treturn n"
    ),
    "test_setup_code": "",
    "test_list": [
        "assert longest([Pair(5, 24), Pair(15, 25), Pair(27, 40), Pair(50, 60)]) == 3",
        "assert longest([]) == 0",
    ],
    "challenge_test_list": [],
}
NODES = {  # its setup writes to an object of the program
    "prompt": "Write a function that returns the height of a tree.",
    "code": (
        "class Node:\n    def __init__(self, left=None): self.left = left\n"
        "def height(node): return 0 if node is None else 1 + height(node.left)"
    ),
    "test_imports": ["import math"],
    "test_list": ["root = Node()\nroot.left = Node()\nassert height(root) == math.ceil(1.5)"],
}


def build(folder: Path, *rows, **options):
    write_rows(folder / "test.jsonl", rows)
    write_rows(folder / "train.jsonl", [])
    files = {"file": str(folder / "train.jsonl"), "test_file": str(folder / "test.jsonl")}
    return tasks.build("code", files | options, "study.yaml")


def only(task):
    (problem,) = task.problems("test", 9, seed=0)
    return problem


def fenced(program: str) -> str:
    return f"Here it is:\n\n```python\n{program}\n```\nI hope it helps."


@needs_bubblewrap
@pytest.mark.parametrize("row", [HUMAN_EVAL, MBPP])
def test_solutions_pass_and_the_question_says_what_is_asked(row, tmp_path):
    task = build(tmp_path, row)
    problem = only(task)
    assert task.grade(problem, problem.solution, truncated=False) == Correct()
    assert task.grade(problem, problem.solution, truncated=True) == Wrong("truncated")
    asked = row.get("text") or row["prompt"].strip()
    assert asked in problem.question
    assert all(test in problem.question for test in row.get("test_list", ()))
    assert "check" not in problem.question


@needs_bubblewrap
def test_reasons(tmp_path):
    task = build(tmp_path, HUMAN_EVAL, wall_seconds=1.5)
    grades = {
        "return area(radius)": Wrong("tests"),
        "return": Wrong("tests"),
        "return radius / 0": Wrong("error"),
        "return radius +": Wrong("error"),
        "import os; os._exit(0)": Wrong("error"),
        "import time; time.sleep(60)": Wrong("timeout"),
        "return area(radius) * 4 / 3 * radius": Correct(),
    }
    answers = [fenced(f"def volume(radius):\n    {body}") for body in grades]
    graded = grade_all(task, [(only(task), answer, False) for answer in answers])
    assert graded == list(grades.values())
    assert task.grade(only(task), "It is 4/3 pi r^3.", truncated=False) == Wrong("no_answer")
    goes_on = f"    {next(reversed(grades))}\n\nprint(volume('one')) is it"
    assert task.grade(only(task), goes_on, truncated=False) == Correct()


@needs_bubblewrap
def test_tests_that_do_not_run_on_their_own_solution_are_nobodys_fault(tmp_path):
    task = build(tmp_path, NODES)
    grade = task.grade(only(task), only(task).solution, truncated=False)
    assert isinstance(grade, Ungraded)
    assert grade.reason.startswith("broken: ")


@needs_bubblewrap
def test_an_answer_that_breaks_tests_which_run_on_the_solution_is_wrong(tmp_path):
    row = {"text": "Give 3.", "code": "def f(): return 3", "tests": "assert f().real == 3"}
    task = build(tmp_path, row)
    program = "class Odd: pass\ndef f(): return Odd()"
    assert task.grade(only(task), fenced(program), truncated=False) == Wrong("tests")


def test_a_sandbox_that_fails_is_no_wrong_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(code, "missing", lambda sandbox: None)
    monkeypatch.setattr(code, "judge", lambda *args: Outcome("sandbox", "no space left"))
    task = build(tmp_path, MBPP)
    grade = task.grade(only(task), only(task).solution, truncated=False)
    assert grade == Ungraded("sandbox: no space left")


def test_no_sandbox_is_refused_by_default_and_the_choice_is_part_of_the_task(tmp_path, monkeypatch):
    monkeypatch.setattr(
        code, "missing", lambda sandbox: AbsentError("none") if sandbox == "bubblewrap" else None
    )
    with pytest.raises(AbsentError, match=r"study.yaml: task: none"):
        build(tmp_path, MBPP)
    task = build(tmp_path, MBPP, sandbox="none")
    monkeypatch.setattr(code, "missing", lambda sandbox: None)
    assert build(tmp_path, MBPP).fingerprint != task.fingerprint
    longer = build(tmp_path, MBPP, cpu_seconds=9)
    assert longer.fingerprint != build(tmp_path, MBPP).fingerprint


# What is no problem

FAULTY = [
    {key: value for key, value in MBPP.items() if key != "code"},
    {key: value for key, value in HUMAN_EVAL.items() if key != "test"},
    MBPP | {"text": "  "},
    MBPP | {"test_list": ["assert sorted([]) == []"]},
    MBPP | {"test_list": [3]},
    MBPP | {"test_list": ["assert longest("]},
    MBPP | {"code": "def longest(:"},
    MBPP | {"code": "\0"},
]


@pytest.mark.parametrize("row", FAULTY, ids=range(len(FAULTY)))
def test_a_row_that_is_no_problem_is_named(row, tmp_path):
    with pytest.raises(GoniometerError, match=r"row 2: no problem of Code.*HumanEval or MBPP"):
        build(tmp_path, MBPP, row)


@pytest.mark.parametrize(
    "options", [{"sandbox": "docker"}, {"memory": 1}, {"processes": 0}, {"seconds": 3}]
)
def test_options_that_cannot_be_are_named(options, tmp_path):
    (key,) = options
    with pytest.raises(GoniometerError, match=f"task.{key}"):
        build(tmp_path, MBPP, **options)


# The program in an answer

BODY = "def f(n):\n    return n"


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        (fenced(BODY), BODY),
        (f"```py\n{BODY}", BODY),
        (f"```\n{BODY}\n```", BODY),
        (f"1. So:\n{textwrap.indent(fenced(BODY), '   ')}", BODY),
        (f"{fenced('def f(n): pass')}\nBetter:\n{fenced(BODY)}\n{fenced('print(f(3))')}", BODY),
        (f"{fenced(BODY)}\n```bash\nf = 3\n```", BODY),
        (BODY, BODY),
        ("```python\nf = abs\n```", "f = abs"),
        ("```python\nasync def f(n): 0\n```", "async def f(n): 0"),
        ("```python\nclass A:\n    def f(self): 0\n```", None),
        ("```python\nfg = 3\n```", None),
        ("f(3) is 9", None),
        ("", None),
    ],
)
def test_the_last_block_that_defines_the_function_is_the_program(answer, program):
    found = program_of(answer, "f")
    assert found == program if found is None else found.strip() == program


def test_an_answer_that_goes_on_after_the_start_is_cut_where_the_function_ends():
    start = "def f(n):\n    '''Twice.'''\n"
    body = "   \n    m = n\n\n    return 2 * m\n"
    for answer in (body, f"{body}\nassert f(2) == 5", f"```python\n{body}```"):
        space: dict = {}
        exec(program_of(answer, "f", start), space)  # noqa: S102 (written here)
        assert space["f"](4) == 8
        assert program_of(answer, "f") is None


def test_rows_are_read_as_json_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setattr(code, "missing", lambda sandbox: None)
    key = json.loads(only(build(tmp_path, MBPP)).answer)
    assert key["tests"]["names"] == ["longest", "Pair"]
    assert "\r" not in only(build(tmp_path, MBPP)).solution
