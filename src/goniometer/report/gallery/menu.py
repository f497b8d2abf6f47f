"""A menu over charts, and which pairs of runs can be chosen on a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from goniometer.report.facts.index import Index, alike_first

MOST_PAIRS = 400


@final
@dataclass(frozen=True)
class Menu:
    """A select, and the grids of charts that follow it."""

    name: str
    label: str
    choices: tuple[str, ...]
    first: int
    left_out: int
    drives: str
    about: tuple[tuple[str, str], ...] = ()  # the pair of runs of each choice, if it is one


def alone(
    name: str, label: str, about: Sequence[tuple[str, str]], first: int, left_out: int
) -> Menu:
    """A menu over pairs that drives the grid of its own name."""
    choices = tuple(f"{a} and {b}" for a, b in about)
    return Menu(name, label, choices, first, left_out, name, tuple(about))


def pairs(index: Index) -> tuple[tuple[str, str], ...]:
    """What can be chosen for the whole page: pairs of arms by likeness, repeats, the base's."""
    arms = alike_first(index.arm_pairs)
    rest = [pair for pair in alike_first(index.shown_pairs) if pair not in arms]
    found = [(pair.a, pair.b) for pair in (*arms, *rest)]
    behaviour = index.results.behaviour
    if behaviour and behaviour.connectivity:
        found += [(s.start, s.end) for s in behaviour.connectivity.segments]
    if behaviour and behaviour.similarity:
        found += [(s.a, s.b) for s in behaviour.similarity.pairs]
    found += [(test.a, test.b) for test in index.paired_arms]
    once: dict[frozenset[str], tuple[str, str]] = {}
    for names in found:
        once.setdefault(frozenset(names), names)
    return tuple(once.values())[:MOST_PAIRS]
