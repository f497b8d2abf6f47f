"""The equations that a solution writes out, and whether they hold; nothing is ever executed.

Read are the calculator annotations of GSM8K, `<<48/2=24>>`. In a text without any, plain runs of
arithmetic with an operator and an equals sign are read, such as `48 / 2 = 24` on a line or within a
sentence. Numbers are decimal, with `,` for thousands and `$` allowed; operators are + - * / and
parentheses. Values are exact fractions. The last side may be rounded as printed: `10/3=3.33` holds,
`10/3=3` does not.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import final

_ANNOTATION = re.compile(r"<<([^<>\n]*)>>")
_RUN = re.compile(r"[\d.()+\-*/= \t]+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_TOKEN = re.compile(r"\d+\.?\d*|\.\d+|[()+\-*/]")
_SPELLINGS = str.maketrans({"×": "*", "÷": "/", "−": "-", "$": None})  # noqa: RUF001
# What stands around an equation: a list's bullet, the equals sign after a name, a full stop.
_BARE = re.compile(r"^\s*(?:(?:[-+*]|\d+[.)])\s+)?=?\s*|[\s.]+$")
_LONGEST = 120  # characters of one side; bounds the digits of a number and the depth of nesting


@final
@dataclass(frozen=True)
class Equation:
    """One equation: its text without spaces, which tells it from others, and whether it holds.

    One that cannot be read, such as `x=5` in an annotation, does not hold.
    """

    text: str
    holds: bool


def equations(text: str) -> tuple[Equation, ...]:
    """Read the equations of a solution, in order; none is the empty tuple."""
    text = _THOUSANDS.sub("", text.translate(_SPELLINGS))
    annotations = _ANNOTATION.findall(text)
    if annotations:
        return tuple(Equation(re.sub(r"\s", "", body), _holds(body)) for body in annotations)
    runs = [_BARE.sub("", run) for run in _RUN.findall(text)]
    return tuple(Equation(re.sub(r"\s", "", run), _holds(run)) for run in runs if _is_claim(run))


def value(expression: str) -> Fraction | None:
    """Evaluate + - * / and parentheses over decimal numbers, exactly; None where that fails."""
    tokens = _TOKEN.findall(expression)
    if len(expression) > _LONGEST or "".join(tokens) != re.sub(r"\s", "", expression):
        return None
    if re.search(r"[\d.]\s+[\d.]", expression):
        return None  # two numbers beside each other are not one
    parser = _Parser(tokens)
    try:
        found = parser.sum()
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    return found if parser.place == len(tokens) else None


def _is_claim(run: str) -> bool:
    """Whether a run of plain text reads as arithmetic: every side a value, one an operation."""
    sides = run.split("=")
    return (
        len(sides) > 1
        and any(re.search(r"[\d)]\s*[+\-*/]", side) for side in sides)
        and all(value(side) is not None for side in sides)
    )


def _holds(body: str) -> bool:
    sides = body.split("=")
    values = [value(side) for side in sides]
    known = [found for found in values if found is not None]
    if len(sides) < 2 or len(known) < len(sides):
        return False
    exact = all(found == known[0] for found in known[1:-1])
    return exact and abs(known[-1] - known[0]) <= _rounding(sides[-1])


def _rounding(side: str) -> Fraction:
    """Half a unit of the last decimal place of a printed number; 0 for a whole number."""
    decimals = re.fullmatch(r"\s*-?\d*\.(\d+)\s*", side)
    return Fraction(1, 2 * 10 ** len(decimals[1])) if decimals else Fraction(0)


@final
class _Parser:
    """Recursive descent over tokens, left to right; raises IndexError or ValueError where stuck."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.place = 0

    def sum(self) -> Fraction:
        found = self._product()
        while self._next_in("+-"):
            sign = 1 if self._take() == "+" else -1
            found += sign * self._product()
        return found

    def _product(self) -> Fraction:
        found = self._signed()
        while self._next_in("*/"):
            found = found * self._signed() if self._take() == "*" else found / self._signed()
        return found

    def _signed(self) -> Fraction:
        sign = 1
        while self._next_in("+-"):
            sign = sign if self._take() == "+" else -sign
        return sign * self._atom()

    def _atom(self) -> Fraction:
        symbol = self._take()
        if symbol != "(":
            return Fraction(symbol)
        found = self.sum()
        if self._take() != ")":
            raise ValueError("an open parenthesis")
        return found

    def _next_in(self, symbols: str) -> bool:
        return self.place < len(self.tokens) and self.tokens[self.place] in symbols

    def _take(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1]
