"""Expressions graded by math-verify: its own verdicts, and what it must never decide alone."""

import os
from concurrent.futures import ThreadPoolExecutor

import math_verify
import pytest
from hypothesis import given
from hypothesis import strategies as st
from math_verify.errors import TimeoutException

from goniometer import tasks
from goniometer.errors import GoniometerError
from goniometer.tasks import Correct, Grade, Ungraded, Wrong, expressions, expressions_apart
from goniometer.tasks.expressions import grade_expression

SAME = [
    (r"\frac{1}{2}", "The answer is 0.5."),
    ("$x^2+1$", r"\boxed{1+x^2}"),
    (r"\text{Tuesday}", r"It is \boxed{\text{tuesday}}"),
    (r"18\$", r"\boxed{18}"),
    (r"\{1,2\}", r"\boxed{2,1}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\boxed{\begin{pmatrix}1\\2\end{pmatrix}}"),
    ("4", "first \\boxed{3}.\n\nNo:\n\nso \\boxed{4}"),
]
OTHER = [
    (r"(3,4)", r"\boxed{(4,3)}"),
    (r"\frac{1}{3}", r"\boxed{0.333}"),
    ("5", r"\boxed{???}"),
    ("3", "first \\boxed{3}.\n\nNo:\n\nso \\boxed{4}"),
]


@pytest.mark.parametrize(("gold", "text"), [*SAME, *OTHER])
def test_the_grade_is_math_verifys_own_verdict(gold, text):
    verdict = math_verify.verify(math_verify.parse(f"${gold.strip('$')}$"), math_verify.parse(text))
    expected = Correct() if verdict else Wrong("answer")
    assert grade_expression(text, gold) == expected
    assert verdict == ((gold, text) in SAME)


@given(st.integers(-99, 99), st.integers(1, 99), st.integers(-99, 99), st.integers(1, 99))
def test_fractions_are_equal_where_cross_multiplication_says_so(a, b, c, d):
    grade = grade_expression(rf"so \boxed{{\frac{{{c}}}{{{d}}}}}", rf"\frac{{{a}}}{{{b}}}")
    # math-verify compares to six decimals; two such fractions differ by at least 1 / 99^2
    assert grade == (Correct() if a * d == c * b else Wrong("answer"))


@pytest.mark.parametrize("key", ["", "???", r"\frac{}{}", r"\boxed{}", r"\frac{1}{0}"])
def test_a_key_that_does_not_parse_is_answered_correctly_by_nothing(key):
    for text in (key, rf"\boxed{{{key}}}", "5", "no answer"):
        assert not isinstance(grade_expression(text, key), Correct)
    assert isinstance(grade_expression(rf"\boxed{{{key}}}", key), Ungraded)


def test_no_answer_and_truncation_are_wrong():
    assert grade_expression("I do not know.", "5") == Wrong("no_answer")
    assert grade_expression(r"\boxed{5}", "5", truncated=True) == Wrong("truncated")


def test_a_comparison_that_takes_too_long_is_ungraded(monkeypatch):
    monkeypatch.setattr(expressions, "SECONDS", 1)
    assert grade_expression(r"\boxed{9^{9^{9}}}", "2") == Ungraded(
        "math-verify: Timeout during comparison"
    )


@pytest.mark.parametrize("error", [TimeoutException("Timeout: long"), RecursionError("deep")])
@pytest.mark.parametrize("step", ["parse", "verify"])
def test_no_error_of_math_verify_is_a_wrong_answer(monkeypatch, step, error):
    """A timeout is a BaseException there: no `except Exception` above would stop it."""

    def fail(*_, raise_on_error=False, **__):
        if raise_on_error:
            raise error
        return False  # as it does

    monkeypatch.setattr(math_verify, step, fail)
    grade = grade_expression(r"\boxed{5}", f"5 + {step}")
    assert isinstance(grade, Ungraded)
    assert grade.reason in ("math-verify: Timeout", "math-verify: RecursionError: deep")


def in_threads(*asked: tuple[str, str]) -> list[Grade]:
    """Grade each text against its key in a thread of its own, all at once."""
    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda one: grade_expression(*one), asked))


def test_outside_the_main_thread_grades_are_the_same_and_the_limit_of_time_holds(monkeypatch):
    monkeypatch.setattr(expressions, "SECONDS", 1)
    asked = [(text, gold) for gold, text in [*SAME, *OTHER]]
    asked += [("I do not know.", "5"), (r"\boxed{5}", "???"), ("\ud800 \boxed{5}", "5")]
    slow = (r"\boxed{9^{9^{9}}}", "2")
    (found, *others) = in_threads(slow, *asked)
    assert found == Ungraded("math-verify: Timeout during comparison")
    assert others == [grade_expression(*one) for one in asked]


def test_a_grader_that_does_not_answer_is_ended_and_the_next_thread_has_another(monkeypatch):
    monkeypatch.setattr(expressions, "SECONDS", 60)  # no limit of its own ends it in time
    monkeypatch.setattr(expressions_apart, "SPARE", 1.0 - 3 * 60)
    [late] = in_threads((r"\boxed{9^{9^{9}}}", "2"))
    assert late == expressions_apart._LATE
    monkeypatch.setattr(expressions_apart, "SPARE", 60.0)
    process = expressions_apart._process(os.getpid(), 60)
    assert in_threads((r"\boxed{\frac12}", "0.5")) == [Correct()]
    assert process._running is not None
    process._running.kill()  # as a machine without memory does
    [ended] = in_threads((r"\boxed{5}", "5"))
    assert isinstance(ended, Ungraded)
    assert process._running is None


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(expressions.importlib.util, "find_spec", lambda _: None)
    for name, options in (("math", {}), ("file", {"grader": "expression"})):
        with pytest.raises(GoniometerError, match=r"Pip install 'goniometer\[math\]'"):
            tasks.build(name, {"test_file": "absent"} | options, "study")
