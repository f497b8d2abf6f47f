"""Grade an expression against a gold one by math-verify: fractions, intervals, matrices, LaTeX."""

import importlib.util
import threading

from goniometer.errors import GoniometerError
from goniometer.tasks.base import Grade
from goniometer.tasks.expressions_apart import grade_apart
from goniometer.tasks.expressions_here import grade_here

SECONDS = 5  # for one parse, and for one comparison


def require_math_verify() -> None:
    """Say what to install where math-verify is not.

    Raises:
        GoniometerError: it is not installed.
    """
    if importlib.util.find_spec("math_verify") is None:
        raise GoniometerError(
            "expressions are graded by math-verify, which is not installed",
            fix="pip install 'goniometer[math]'",
        )


def grade_expression(text: str, gold: str, *, truncated: bool = False) -> Grade:
    r"""Grade a text against a gold expression, such as `\frac{1}{2}` or `$x^2+1$`.

    A key that math-verify does not parse to an expression gives Ungraded, whatever the text says,
    a completion that is the same characters too. Limits of time work by a signal, so another thread
    than the main one asks a process of its own, one at a time.
    """
    if threading.current_thread() is not threading.main_thread():
        return grade_apart(text, gold, truncated, SECONDS)
    return grade_here(text, gold, truncated, SECONDS)
