"""Read the final answer out of a written-out solution, in GSM8K's `#### n` convention."""

import re
from decimal import Decimal

MARKER = "####"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def final_answer(text: str) -> str | None:
    """Return the number after the last `####` in canonical form, or None where there is none.

    GSM8K (arXiv 2110.14168) marks answers so. Thousands separators, leading zeros and an empty
    fraction are dropped: `1,200.0` is `1200`, and `12.5` is not `12`.
    """
    _, marker, tail = text.rpartition(MARKER)
    if not marker:
        return None
    match = _NUMBER.match(tail.strip().replace(",", ""))
    if match is None:
        return None
    number = Decimal(match.group())
    whole = number.to_integral_value()
    return str(int(whole)) if number == whole else str(number.normalize())
