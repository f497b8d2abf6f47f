"""Expressions graded in this process, by math-verify, in the main thread.

math-verify takes boxes that stand together as one answer, else the last; numbers are compared to
six decimals. Its errors and timeouts, which it would report as unequal, are asked for and are
Ungraded: neither right nor wrong.
"""

import functools
import re
from typing import Any

from goniometer.tasks.base import Correct, Grade, Ungraded, Wrong


def grade_here(text: str, gold: str, truncated: bool, seconds: int) -> Grade:
    """Grade as `grade_expression` does, in the main thread: limits of time work by a signal.

    Args:
        text: the completion.
        gold: the key.
        truncated: whether the text was cut off.
        seconds: for one parse, and for one comparison.
    """
    from math_verify import verify
    from math_verify.errors import TimeoutException

    try:
        key = _parsed_key(gold, seconds)
        if key is None:
            return Ungraded(f"the answer key does not parse: {gold[:40]!r}")
        if truncated:
            return Wrong("truncated")
        answer = _parsed(text, seconds)
        if not answer:
            return Wrong("no_answer")
        equal = verify(key, answer, timeout_seconds=seconds, raise_on_error=True)
    except TimeoutException as error:  # a BaseException: it would pass `except Exception`
        return Ungraded(f"math-verify: {str(error).partition(':')[0] or 'timeout'}")
    except Exception as error:
        return Ungraded(f"math-verify: {type(error).__name__}: {str(error)[:80]}")
    return Correct() if equal else Wrong("answer")


@functools.lru_cache(maxsize=4096)
def _parsed_key(gold: str, seconds: int) -> list[Any] | None:
    bare = re.sub(r"^\$+(.*?)(?<!\\)\$+$", r"\1", gold.strip(), flags=re.DOTALL)
    parsed = _parsed(gold if "\\boxed" in gold else f"\\boxed{{{bare}}}", seconds)
    return None if all(isinstance(one, str) for one in parsed) else parsed


def _parsed(text: str, seconds: int) -> list[Any]:
    from math_verify import parse

    return list(parse(text, parsing_timeout=seconds, raise_on_error=True))
