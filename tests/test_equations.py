"""Equations of a solution: what is read, what holds, and which rows RFT keeps by them."""

import dataclasses
import operator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goniometer.objectives.rft import RFT
from goniometer.rollouts.equations import equations, value
from goniometer.tasks.arithmetic import Arithmetic
from tests.rollouts_factory import make_rollouts

OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def joined(left, sign, right):
    """Text and value of an operation; no value where there is a division by zero in it."""
    text = f"({left[0]} {sign} {right[0]})"
    try:
        return text, OPERATIONS[sign](left[1], right[1])
    except (ZeroDivisionError, TypeError):
        return text, None


TREES = st.recursive(
    st.integers(0, 99).map(lambda number: (str(number), Fraction(number))),
    lambda side: st.builds(joined, side, st.sampled_from("+-*/"), side),
    max_leaves=6,
)


@given(TREES)
def test_values_are_those_of_exact_fractions(tree):
    expression, expected = tree
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2 + 3 * 4", 14),
        ("20 - 5 - 3", 12),
        ("24 / 4 / 2", 3),
        ("-3 + 5", 2),
        ("2 - -3", 5),
        ("2 * (1.5 + .5)", 4),
        ("0.1 + 0.2", Fraction(3, 10)),
        ("1 / 0", None),
        ("2 ** 3", None),
        ("1 2", None),
        ("1. 5", None),
        ("1.2.3", None),
        ("(1 + 2", None),
        ("1 + 2)", None),
        ("3 +", None),
        ("", None),
        ("x", None),
        ("__import__('os')", None),
        ("9" * 10_000, None),
        ("(" * 60 + "1" + ")" * 60, None),
        ("(" * 50 + "1" + ")" * 50, 1),
    ],
)
def test_value_of(expression, expected):
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 + 5 = 17\n17 * 2 = 34\n#### 34", [("12+5=17", True), ("17*2=34", True)]),
        ("12 + 5 = 18", [("12+5=18", False)]),
        ("He has 48/2 = <<48/2=24>>24 left.", [("48/2=24", True)]),
        ("<<48/2=25>> then 1 + 1 = 2", [("48/2=25", False)]),
        ("<<x=5>>", [("x=5", False)]),
        ("<<5>>", [("5", False)]),
        ("<<10/3=3.33>>", [("10/3=3.33", True)]),
        ("<<10/3=3.34>>", [("10/3=3.34", False)]),
        ("<<10/3=3>>", [("10/3=3", False)]),
        ("<<3*4=6*2=12>>", [("3*4=6*2=12", True)]),
        ("<<3*4=6*3=12>>", [("3*4=6*3=12", False)]),
        ("She has $1,000 + $24 = $1,024.", [("1000+24=1024", True)]),
        ("- 3 + 4 = 7", [("3+4=7", True)]),
        ("1. 3 \u00d7 4 = 12", [("3*4=12", True)]),
        ("total = 3 + 4 = 7", [("3+4=7", True)]),
        ("-3 + 4 = 1", [("-3+4=1", True)]),
        ("x = 5, so 7 = 7 and 2020-2021", []),
        ("nothing here", []),
        ("", []),
    ],
)
def test_equations_of(text, expected):
    assert [(found.text, found.holds) for found in equations(text)] == expected


def test_every_solution_of_the_embedded_task_holds_step_by_step():
    for problem in Arithmetic().problems("train", 50, seed=1):
        found = equations(problem.solution)
        assert len(found) == problem.solution.count("\n")
        assert all(equation.holds for equation in found)


@given(st.text("0123456789+-*/=().<> \n$,", max_size=300))
def test_any_text_is_read_without_an_error(text):
    assert all(isinstance(found.holds, bool) for found in equations(text))


def test_rft_keeps_the_first_of_each_list_of_equations_that_hold():
    texts = [
        ("+", "2 + 2 = 4\n#### 4"),
        ("+", "Two and two:\n2 + 2 = 4 .\n#### 4"),  # the same list in other words
        ("+", "1 + 3 = 4\n#### 4"),
        ("+", "2 + 2 = 5\n1 + 3 = 4\n#### 4"),  # right by luck
        ("-", "3 + 2 = 5\n#### 5"),
        ("+", "It is 4."),  # nothing to tell it by
        ("+", "It must be 4."),
    ]
    other = [("+", "2 + 2 = 4\n#### 4")]  # the same list of another prompt
    groups = ["".join(sign for sign, _ in rows) for rows in (texts, other)]
    made = make_rollouts(groups)
    rows = tuple(
        dataclasses.replace(row, text=text)
        for row, (_, text) in zip(made.rows, texts + other, strict=True)
    )
    rollouts = type(made)(rows)
    assert RFT(deduplicate="equations").select(rollouts).row.tolist() == [0, 2, 5, 6, 7]
    assert RFT().select(rollouts).row.tolist() == [0, 1, 2, 3, 5, 6, 7]
