"""Read a number as people and models write it, into one canonical text.

`$1,200.0`, `1{,}200`, `1200%` and `+01200` are `1200`; `.5`, `1/2` and LaTeX's `frac12` are `0.5`;
`2/6` is `1/3`. Two numbers are equal exactly where their canonical texts are; nothing is rounded.

A per cent sign is dropped (GSM8K asks "what percentage" and marks `50`), and so is a unit.
Scientific notation and spaces between thousands are not read.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

_DECIMAL = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<![\w.])\.[0-9]+"
# A fraction's digits are bounded: it is divided, where a decimal is only rewritten.
_NUMBER = re.compile(
    r"(?P<sign>-\s*|\+(?=[$0-9.])|)\$?\s*(?P<inner>-?)"
    r"(?:(?:(?P<whole>[0-9]{1,18})\s)?(?P<top>[0-9]{1,18})\s?/\s?(?P<bottom>[0-9]{1,18})"
    rf"(?!\s?/|[.,]?[0-9])|(?P<decimal>{_DECIMAL}))"
)
_LATEX = (
    (re.compile(r"[\u2010\u2011\u2012\u2212\ufe63\uff0d]"), "-"),  # minus signs, hyphens
    (re.compile(r"\\[dtc]?frac\s*(?:\{\s*([0-9]+)\s*\}|([0-9]))\s*(?:\{\s*([0-9]+)\s*\}|([0-9]))"),
     r" \1\2/\3\4"),
    (re.compile(r"\{,\}|(?<=[0-9])\\[,!](?=[0-9]{3})"), ","),
    (re.compile(r"\\([$%])"), r"\1"),
)  # fmt: skip


def plain(text: str) -> str:
    """Rewrite LaTeX fractions, thousands and dollars, and Unicode's minus signs, as plain text."""
    for pattern, written in _LATEX:
        text = pattern.sub(written, text)
    return text


def numbers_in(text: str) -> Iterator[str]:
    """Give every number of a text in canonical form, in order.

    A minus that follows a letter, digit or bracket, or that stands apart, is no sign: `10-3` and
    `10 - 3` hold 10 and 3.
    """
    text = plain(text)
    for match in _NUMBER.finditer(text):
        before = text[match.start() - 1 : match.start()] if match.start() else ""
        apart = match["sign"] != match["sign"].rstrip()
        yield _canonical(match, signed=not (apart or before.isalnum() or before in {")", "}"}))


def number_at_start(text: str) -> str | None:
    """Read the number that a text begins with, whatever follows it; None where there is none."""
    match = _NUMBER.match(plain(text).lstrip())
    return _canonical(match) if match else None


def number(text: str) -> str | None:
    """Read a text that is one number: with its dollar or per cent sign, and nothing else."""
    text = plain(text.strip()).strip()
    match = _NUMBER.match(text)
    rest = text[match.end() :].strip(" $%.") if match else None
    return _canonical(match) if match and not rest else None


def _canonical(match: re.Match[str], *, signed: bool = True) -> str:
    negative = "-" in (match["sign"].rstrip() if signed else "", match["inner"])
    if match["decimal"] is not None:
        text = _decimal_text(Decimal(match["decimal"].replace(",", "")))
    else:
        bottom = int(match["bottom"])
        if bottom == 0:
            return f"{match['top']}/0"  # written, but no number: equal to no gold answer
        text = _fraction_text(int(match["whole"] or 0) + Fraction(int(match["top"]), bottom))
    return f"-{text}" if negative and text != "0" else text


def _decimal_text(value: Decimal) -> str:
    text = format(value, "f")  # exact at any length, without an exponent
    return text.rstrip("0").rstrip(".") if "." in text else text


def _fraction_text(value: Fraction) -> str:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = value.denominator.bit_length()  # 2^a 5^b needs max(a, b) places, fewer than its bits
    whole, remainder = divmod(value.numerator, value.denominator)
    digits = f"{remainder * 10**places // value.denominator:0{places}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
