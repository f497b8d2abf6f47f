"""How numbers, intervals and states are written, the same everywhere in a report."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from goniometer.results import Band, PairReadings, Reading

Unit = Literal["", "degrees", "share"]
MINUS = "\u2212"
NONE = "\u2013"
MOST_DECIMALS = 6
ROUNDING = 1e-12  # what float64 leaves of an exact 1
_DECIMALS: dict[Unit, int] = {"": 3, "degrees": 1, "share": 3}
MOST_LISTED = 12  # names in a sentence


def fixed(value: float, decimals: int) -> str:
    """A decimal number with a true minus sign; no minus before a zero.

    A magnitude that is below 1 but would be written as 1 is written as 0.99.. instead, so that
    exactly 1 is never claimed for what is not.
    """
    text = f"{value:.{decimals}f}"
    if abs(value) < 1 and float(text) in (1.0, -1.0):
        text = text[: -len("1.") - decimals] + "0." + "9" * decimals
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def significant(value: float, digits: int = 3) -> str:
    """A number to some significant digits, without an exponent where that is readable."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    return f"{value:#.{digits}g}".rstrip(".").replace("-", MINUS)


def in_unit(value: float, unit: Unit) -> str:
    """A value of a measure: degrees to one decimal, all else to three.

    What would be written as 0 or as 1 gets decimals up to its first two digits beside it: nulls
    of large models are narrow, and 0.000 would hide on which side of their ends a cosine lies.
    """
    decimals = _DECIMALS[unit]
    if unit != "degrees" and abs(1 - abs(value)) < ROUNDING:
        value = math.copysign(1.0, value)
    beside = min(abs(value), abs(1 - abs(value)))
    if unit != "degrees" and 0 < beside < 0.5 * 10**-decimals:
        decimals = min(MOST_DECIMALS, 1 - math.floor(math.log10(beside)))
    return fixed(value, decimals) + ("\u00b0" if unit == "degrees" else "")


def reading(found: Reading | None, unit: Unit = "") -> str:
    """A reading's value; `undefined` where there is none (its reason goes beside it)."""
    if found is None:
        return NONE
    return "undefined" if found.value is None else in_unit(found.value, unit)


def between(low: str, high: str) -> str:
    """`low to high` of two numbers as written, one of them where they are written alike."""
    return low if low == high else f"{low} to {high}"


def span(low: float, high: float, unit: Unit = "") -> str:
    """An interval in words: `0.93 to 0.96`, one number where both ends are written alike."""
    return between(in_unit(low, unit), in_unit(high, unit))


def reach(values: Iterable[float | None]) -> str:
    """From the smallest to the largest of what is known; a dash where nothing is."""
    known = [value for value in values if value is not None]
    return span(min(known), max(known)) if known else NONE


def band(found: Band | None, unit: Unit = "") -> str:
    """The central 95 % of a null."""
    return NONE if found is None else span(found.low, found.high, unit)


def with_error(value: float, error: float | None) -> str:
    """A value and its standard error."""
    text = significant(value)
    return text if error is None else f"{text} \u00b1 {significant(error, 2)}"


def nats(value: float) -> str:
    """Four decimals; what would be written as 0 to two significant digits."""
    if 0 < abs(value) < 5e-5:
        return significant(value, 2)
    return fixed(value, 4)


def percent(share: float, decimals: int = 1) -> str:
    """A share as a percentage."""
    return f"{fixed(100 * share, decimals)}\u00a0%"


def percents(low: float, high: float, decimals: int = 1) -> str:
    """A range of shares as percentages: `86.9 to 88.1 %`, one number where both are written alike.

    The unit stands once, after the second.
    """
    return f"{between(fixed(100 * low, decimals), fixed(100 * high, decimals))}\u00a0%"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, signed."""
    text = fixed(100 * difference, 1)
    return f"+{text}" if difference > 0 and text != "0.0" else text


def points_span(low: float, high: float) -> str:
    """An interval of differences in percentage points."""
    return f"{points(low)} to {points(high)}"


def p_value(p: float) -> str:
    """A p value to three decimals, never 0."""
    return "<\u00a00.001" if p < 0.001 else f"{p:.3f}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 pair`, `3 pairs`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], conjunction: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; of very many, the first few and how many more."""
    if len(names) > MOST_LISTED:
        more = len(names) - MOST_LISTED + 2
        return f"{', '.join(names[: MOST_LISTED - 2])} {conjunction} {more} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {conjunction} {names[-1]}"


def state(pair: PairReadings) -> str:
    """A pair's state in one short word, for a cell of the matrix; empty where it has a number."""
    return {
        "comparable": "",
        "identical": "same",
        "zero delta": "zero",
        "no common module": "none",
    }[pair.state]
