"""Read the final answer out of a written-out solution, in GSM8K's `#### n` convention."""

import re

MARKER = "####"
_NUMBER = re.compile(r"-?\d+")


def final_answer(text: str) -> str | None:
    """Return the integer after the last `####` in canonical form, or None where there is none.

    GSM8K (arXiv 2110.14168) marks answers so; thousands separators and leading zeros are dropped.
    """
    _, marker, tail = text.rpartition(MARKER)
    if not marker:
        return None
    match = _NUMBER.match(tail.strip().replace(",", ""))
    return str(int(match.group())) if match else None
