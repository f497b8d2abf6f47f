"""The answer in one sentence: which runs are one update, as the pairs' verdicts have it.

Nothing here decides anything. Sameness was decided where the floors are (the pairs' verdicts,
keys of statistics.SAMENESS); this file groups runs and composes the sentence.
"""

from collections.abc import Sequence
from typing import Literal

from goniometer.report import notation
from goniometer.report.facts.index import Index, cosine
from goniometer.report.words import steps
from goniometer.results import PairReadings

MOST_GROUPS = 4  # groups named in the sentence; more are counted
UNTOLD = "not told apart from a repeat"
Sameness = Literal["same", "untold", "similar", "other", "not comparable"]


def sameness(pair: PairReadings) -> Sameness:
    """What a pair's verdict says, as far as grouping needs it."""
    if pair.state not in ("comparable", "identical"):
        return "not comparable"
    if pair.verdict == "identical" or pair.verdict.startswith("same update"):
        return "same"
    if pair.verdict == UNTOLD:
        return "untold"
    return "similar" if pair.verdict.startswith("similar") else "other"


def binding(pairs: Sequence[PairReadings]) -> frozenset[Sameness]:
    """Which verdicts bind runs together: sameness where floors decided it, else likeness too."""
    decided = any("same update" in p.verdict or p.verdict == UNTOLD for p in pairs)
    return frozenset({"same"} if decided else {"same", "similar"})


def groups(index: Index, names: Sequence[str], alike: frozenset[Sameness]) -> list[list[str]]:
    """Split runs into sets in which every pair is alike, first come first; the closest join first.

    Sameness by pairs need not be transitive: two sets join only where all of their pairs agree.
    """
    of = {name: [name] for name in names}
    bound = [pair for pair in index.comparison.pairs if sameness(pair) in alike]
    for pair in sorted(bound, key=_closeness, reverse=True):
        one, other = of.get(pair.a), of.get(pair.b)
        if one is None or other is None or one is other:
            continue
        between = [index.pair(a, b) for a in one for b in other]
        if all(found and sameness(found) in alike for found in between):
            one += other
            of.update(dict.fromkeys(other, one))
    places = {name: place for place, name in enumerate(names)}
    found = dict.fromkeys(tuple(sorted(group, key=places.__getitem__)) for group in of.values())
    return [list(group) for group in found]


def _closeness(pair: PairReadings) -> float:
    value = cosine(pair)
    return 1.0 if value is None else value


def headline(index: Index) -> str:
    """Compose the sentence, of arms that changed anything; of trajectories where there are any.

    An arm that was not trained to its end is named with how it ended, and grouped with none.
    """
    if index.results.trajectories:
        return steps.headline(index.results.trajectories)
    empty = {run.name for run in index.comparison.runs if run.state == "zero delta"}
    names = [name for name in index.arms if name not in empty and name not in index.ended]
    pairs = [pair for pair in index.arm_pairs if {pair.a, pair.b} <= set(names)]
    if not pairs:
        return f"There is no pair of updates to compare{_ended(index)}."
    text = _grouped(index, names, pairs) + _ended(index)
    lead = _reservation(index, pairs)
    if lead:
        return f"{lead}{text}."
    # A run's name keeps its first letter as it is.
    return f"{text if text.startswith(tuple(names)) else text[0].upper() + text[1:]}."


def _ended(index: Index) -> str:
    return "".join(f"; {name} {index.ended[name]}" for name in index.arms if name in index.ended)


def _reservation(index: Index, pairs: Sequence[PairReadings]) -> str:
    if any("provisional" in pair.verdict for pair in pairs):
        return "Provisionally, "
    if vague_floor(index):
        return "By a floor so wide that it reaches down to chance, "
    return ""


def vague_floor(index: Index) -> bool:
    """Whether the floor of another data order excludes no more than the nulls do."""
    ends = [
        band.high
        for group in sorted({pair.null_group for pair in index.arm_pairs if pair.null_group})
        if (band := index.null(group, "union", "cosine", "independent"))
    ]
    lows = [f.low for f in index.comparison.floors if f.kind == "same init, other order"]
    # The strictest floor is the one that judges.
    judging = max((low for low in lows if low is not None), default=None)
    return judging is not None and judging <= max(ends, default=0.0)


def _grouped(index: Index, names: Sequence[str], pairs: Sequence[PairReadings]) -> str:
    alike = binding(pairs)
    found = groups(index, names, alike)
    many = [notation.listed(group) for group in found if len(group) > 1]
    alone = [group[0] for group in found if len(group) == 1]
    one = _likeness(pairs, alike)
    if not many and len(names) == 2:
        return f"{notation.listed(names)}: {pairs[0].verdict}"
    untold = [pair for pair in pairs if sameness(pair) == "untold"]
    if not many:
        return _none(names, pairs, untold, alike)
    if len(many) == 1 and not alone:
        return f"{'all of ' if len(names) > 3 else ''}{many[0]} are {one}"
    # Groups that a pair leaves open are not called different ones.
    grouped = {name for group in found if len(group) > 1 for name in group}
    open_between = any({p.a, p.b} <= grouped for p in untold)
    distinct = "are similar to each other" if "similar" in alike else "are another"
    other = f"are {one} too" if open_between else distinct
    parts = [f"{many[0]} are {one}", *(f"{group} {other}" for group in many[1:])]
    if len(many) > MOST_GROUPS:
        largest = notation.listed(max(found, key=len))
        parts = [
            f"{len(names)} runs make {len(many)} groups, the largest {largest}, that are {one}"
        ]
    bound = {name for p in pairs if sameness(p) in alike for name in (p.a, p.b)}
    partly = [name for name in alone if name in bound]
    maybe = {name for pair in untold for name in (pair.a, pair.b)}
    open_ = [name for name in alone if name not in bound and name in maybe]
    apart = [name for name in alone if name not in bound and name not in maybe]
    if open_:
        parts.append(_left_open(open_, untold))
    # Without floors the runs are like each other at most.
    agree = ("agrees with", "each agree with")
    verbs = ("is like", "are each like") if "similar" in alike else agree
    for some, left in (
        ([n for n in partly if n not in maybe], "some of them only"),
        ([n for n in partly if n in maybe], f"some of them, others {UNTOLD}"),
    ):
        if some:
            verb = verbs[0] if len(some) == 1 else verbs[1]
            parts.append(f"{notation.listed(some)} {verb} {left}")
    if apart:
        verb = "stands" if len(apart) == 1 else "each stand"
        parts.append(f"{notation.listed(apart)} {verb} apart")
    return "; ".join(parts)


def _none(
    names: Sequence[str],
    pairs: Sequence[PairReadings],
    untold: Sequence[PairReadings],
    alike: frozenset[Sameness],
) -> str:
    """No two runs are bound together; of pairs left open, how many."""
    if "similar" in alike:
        return f"no two of {notation.listed(names)} are {_likeness(pairs, alike)}"
    if not untold:
        return f"no two of {notation.listed(names)} are the same update"
    few = f"{len(untold)} of {len(pairs)} pairs {'is' if len(untold) == 1 else 'are'}"
    return f"no two of {notation.listed(names)} are shown to be the same update; {few} {UNTOLD}"


def _left_open(names: Sequence[str], untold: Sequence[PairReadings]) -> str:
    if len(names) > 1:
        return f"{notation.listed(names)} are each not told apart from a repeat of another run"
    others = [
        pair.b if pair.a == names[0] else pair.a for pair in untold if names[0] in (pair.a, pair.b)
    ]
    return f"{names[0]} is {UNTOLD} of {notation.listed(others, 'or')}"


def _likeness(pairs: Sequence[PairReadings], alike: frozenset[Sameness]) -> str:
    if "similar" in alike:
        return "similar, relative to the nulls"
    if any("up to its init" in pair.verdict for pair in pairs):
        return "one update up to its init"
    return "one update"
