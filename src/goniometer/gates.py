"""Gates for continuous integration: conditions on readings that make a comparison fail.

    [A,B:][SCOPE:]MEASURE OP NUMBER     OP one of <, <=, >, >=: of each pair, or of the pair A,B
    [RUN:][SCOPE:]MEASURE OP NUMBER     for sizes of runs, such as norm>5
    [A,B:]verdict=TEXT                  or verdict!=TEXT; state likewise

A gate names what must not be. A reading that is undefined trips it: not measured is no pass.
"""

import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from goniometer.errors import GoniometerError
from goniometer.options import nearest
from goniometer.results import Comparison, PairReadings, Reading

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
STATES = ("comparable", "identical", "zero delta", "no common module")
_NUMBER = re.compile(r"(?P<left>.*?)\s*(?P<op><=|>=|<|>)\s*(?P<right>[^<>=]*)", re.DOTALL)
_TEXT = re.compile(r"(?P<left>(?:.*:)?(?:verdict|state))\s*(?P<op>!?=)\s*(?P<right>.*)", re.DOTALL)
_SCOPE = re.compile(r"(?:(?P<who>.*):)?(?P<scope>all|union|intersection|(?:layer|projection)\..+)")
_ROUNDING = 6  # significant digits of what is printed


@final
@dataclass(frozen=True)
class Gate:
    """One condition: what it is of, and what must not be."""

    text: str  # as it was given
    who: str | None  # "A,B" or a run; None for all
    scope: str | None
    measure: str
    op: str
    limit: float | str
    of_runs: bool = False


def parse(text: str, pair_measures: Collection[str], run_measures: Collection[str]) -> Gate:
    """Read a gate as it stands on the command line.

    Raises:
        GoniometerError: not of the form above, or no such measure, verdict or state; the nearest
            that there is, or all, are named.
    """
    match = _TEXT.fullmatch(text.strip()) or _NUMBER.fullmatch(text.strip())
    if match is None:
        raise _unreadable(text)
    left, _, measure = match["left"].rpartition(":")
    measure = measure.strip()
    in_words = match["op"] in ("=", "!=")
    limit = _words(text, measure, match["right"]) if in_words else _limit(text, match["right"])
    scoped = _SCOPE.fullmatch(left)
    who, scope = (scoped["who"], scoped["scope"]) if scoped else (left or None, None)
    if not in_words and measure not in pair_measures and measure not in run_measures:
        known = sorted({*pair_measures, *run_measures, "verdict", "state"})
        raise _unknown("no such measure", text, measure, known)
    of_runs = not in_words and measure not in pair_measures
    return Gate(text, who, scope, measure, match["op"], limit, of_runs)


def trips(gate: Gate, comparison: Comparison) -> list[str]:
    """Return a line for each pair or run that trips the gate, with by how much.

    Raises:
        GoniometerError: no such run, pair or scope in this comparison.
    """
    found = _of_runs(gate, comparison) if gate.of_runs else _of_pairs(gate, comparison)
    return [f"{gate.text}: {who}: {why}" for who, why in found if why]


def _limit(text: str, right: str) -> float:
    try:
        limit = float(right)
    except ValueError:
        raise _unreadable(text) from None
    if math.isnan(limit):
        raise _unreadable(text)
    return limit


def _words(text: str, measure: str, right: str) -> str:
    from goniometer.statistics import SAMENESS

    known = list(SAMENESS) if measure == "verdict" else list(STATES)
    if right not in known:
        raise _unknown(f"no such {measure}", text, right, known)
    return right


def _of_pairs(gate: Gate, comparison: Comparison) -> Iterator[tuple[str, str]]:
    for pair, turned in _chosen(gate, comparison):
        a, b = (pair.b, pair.a) if turned else (pair.a, pair.b)
        if isinstance(gate.limit, str):
            found = pair.verdict if gate.measure == "verdict" else pair.state
            tripped = (found == gate.limit) == (gate.op == "=")
            yield f"{a}, {b}", f"{gate.measure} is {found!r}" if tripped else ""
            continue
        scope = _known_scope(gate, gate.scope or "union", pair.scopes)
        name = reversed_name(gate.measure, pair.scopes[scope].readings) if turned else gate.measure
        yield f"{a}, {b}", _against(gate, gate.limit, pair.scopes[scope].readings.get(name))


def _of_runs(gate: Gate, comparison: Comparison) -> Iterator[tuple[str, str]]:
    names = [run.name for run in comparison.runs]
    if gate.who is not None and gate.who not in names:
        raise _unknown("no such run", gate.text, gate.who, names)
    for run in names:
        if gate.who in (None, run) and not isinstance(gate.limit, str):
            sizes = comparison.sizes(run)
            scope = _known_scope(gate, gate.scope or "all", sizes)
            yield run, _against(gate, gate.limit, sizes[scope].get(gate.measure))


def _chosen(gate: Gate, comparison: Comparison) -> list[tuple[PairReadings, bool]]:
    """The pairs that a gate is of, and whether they are asked for the other way round."""
    if gate.who is None:
        return [(pair, False) for pair in comparison.pairs]
    # A name may hold a comma: the pair is found by its text, not taken apart.
    for pair in comparison.pairs:
        for turned, text in enumerate((f"{pair.a},{pair.b}", f"{pair.b},{pair.a}")):
            if gate.who.replace(", ", ",") == text.replace(", ", ","):
                return [(pair, bool(turned))]
    known = [f"{pair.a},{pair.b}" for pair in comparison.pairs]
    raise _unknown("no such pair of runs", gate.text, gate.who, known)


def _known_scope(gate: Gate, scope: str, scopes: Mapping[str, object]) -> str:
    if scope not in scopes:
        raise _unknown("no such scope", gate.text, scope, list(scopes))
    return scope


def _against(gate: Gate, limit: float, reading: Reading | None) -> str:
    """Why a reading trips a gate; empty where it does not."""
    if reading is None or reading.value is None:
        reason = reading.undefined if reading else "not measured here"
        return f"{gate.measure} is undefined ({reason}), which is no pass"
    if not COMPARISONS[gate.op](reading.value, limit):
        return ""
    beyond = abs(reading.value - limit)
    side = "below" if gate.op.startswith("<") else "above"
    by = f"{beyond:.{_ROUNDING}g} {side} {limit:g}" if beyond > 0 else f"at {limit:g}"
    return f"{gate.measure} {reading.value:.{_ROUNDING}g}, {by}"


def reversed_name(measure: str, known: Collection[str]) -> str:
    """Name of a measure for the same pair the other way round: directional ones swap."""
    turned = measure.removesuffix("_reverse")
    turned = turned if turned != measure else f"{measure}_reverse"
    return turned if turned in known else measure


def _unreadable(text: str) -> GoniometerError:
    return GoniometerError(
        "not a gate",
        key="--fail-on",
        found=repr(text),
        expected="[A,B:][SCOPE:]MEASURE<NUMBER, or verdict=TEXT",
    )


def _unknown(message: str, text: str, found: str, known: Sequence[str]) -> GoniometerError:
    return GoniometerError(
        message,
        key=f"--fail-on {text!r}",
        found=repr(found),
        fix=nearest(found, known) if known else None,
    )
