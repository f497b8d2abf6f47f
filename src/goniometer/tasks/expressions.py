"""Grade an expression against a gold one by math-verify: fractions, intervals, matrices, LaTeX.

math-verify takes boxes that stand together as one answer, else the last; numbers are compared to
six decimals. Its errors and timeouts, which it would report as unequal, are asked for and are
Ungraded: neither right nor wrong.
"""

import functools
import importlib.util
import re
import threading
from typing import Any

from goniometer.errors import GoniometerError
from goniometer.tasks.base import Correct, Grade, Ungraded, Wrong

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
        from goniometer.tasks.expressions_apart import grade_apart

        return grade_apart(text, gold, truncated, SECONDS)
    return _graded(text, gold, truncated)


def _graded(text: str, gold: str, truncated: bool) -> Grade:
    from math_verify import verify
    from math_verify.errors import TimeoutException

    try:
        key = _parsed_key(gold)
        if key is None:
            return Ungraded(f"the answer key does not parse: {gold[:40]!r}")
        if truncated:
            return Wrong("truncated")
        answer = _parsed(text)
        if not answer:
            return Wrong("no_answer")
        equal = verify(key, answer, timeout_seconds=SECONDS, raise_on_error=True)
    except TimeoutException as error:  # a BaseException: it would pass `except Exception`
        return Ungraded(f"math-verify: {str(error).partition(':')[0] or 'timeout'}")
    except Exception as error:
        return Ungraded(f"math-verify: {type(error).__name__}: {str(error)[:80]}")
    return Correct() if equal else Wrong("answer")


@functools.lru_cache(maxsize=4096)
def _parsed_key(gold: str) -> list[Any] | None:
    bare = re.sub(r"^\$+(.*?)(?<!\\)\$+$", r"\1", gold.strip(), flags=re.DOTALL)
    parsed = _parsed(gold if "\\boxed" in gold else f"\\boxed{{{bare}}}")
    return None if all(isinstance(one, str) for one in parsed) else parsed


def _parsed(text: str) -> list[Any]:
    from math_verify import parse

    return list(parse(text, parsing_timeout=SECONDS, raise_on_error=True))
