"""Read the final answer out of a written-out solution, in GSM8K's `#### n` convention."""

import re
from decimal import Decimal

from goniometer.tasks.base import Correct, Grade, Problem, Wrong

MARKER = "####"
# -1,200.50 with or without a dollar sign, on either side of the minus.
_NUMBER = re.compile(r"\$?(?P<sign>-?)\s*\$?(?P<number>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?)")


def final_answer(text: str) -> str | None:
    """Return the number after the last `####` in canonical form, or None where there is none.

    GSM8K (arXiv 2110.14168) marks answers so. A dollar sign, thousands separators, leading zeros
    and an empty fraction are dropped: `$1,200.0` is `1200`, and `12.5` is not `12`.
    """
    _, marker, tail = text.rpartition(MARKER)
    match = _NUMBER.match(tail.strip()) if marker else None
    if match is None:
        return None
    number = Decimal(match["sign"] + match["number"].replace(",", ""))
    whole = number.to_integral_value()
    return str(int(whole)) if number == whole else str(number.normalize())


def graded_by_answer(problem: Problem, completion: str, *, truncated: bool) -> Grade:
    """Compare the number after the last `####`; a completion without an end is truncated."""
    if truncated:
        return Wrong("truncated")
    answer = final_answer(completion)
    if answer is None:
        return Wrong("no_answer")
    return Correct() if answer == problem.answer else Wrong("answer")
