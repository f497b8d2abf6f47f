"""The answer in words: what the verdicts, the floors and the paired tests allow one to say.

Nothing here decides anything. Sameness was decided where the floors are (the pairs' verdicts),
difference and equivalence of accuracies in the paired tests; this file composes sentences.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from goniometer.report import notation
from goniometer.report.index import Index, cosine, read, whole
from goniometer.report.panels import most_different
from goniometer.results import Paired, PairReadings

Sameness = Literal["same", "similar", "other", "not comparable"]
MOST_NAMED = 4  # pairs named in a sentence; more are counted


@final
@dataclass(frozen=True)
class Answer:
    """The first screen: one sentence, what it rests on, and what speaks against it."""

    headline: str
    sentences: tuple[str, ...]
    alerts: tuple[str, ...]  # failing checks
    warnings: tuple[str, ...]


def sameness(pair: PairReadings) -> Sameness:
    """What a pair's verdict says, as far as grouping needs to know."""
    if pair.state == "identical":
        return "same"
    if pair.state != "comparable":
        return "not comparable"
    verdict = pair.verdict.lower().removeprefix("provisional: ").removeprefix("the ")
    if verdict.startswith("same update"):
        return "same"
    return "similar" if verdict.startswith("similar") else "other"


def groups(index: Index, names: Sequence[str]) -> list[list[str]]:
    """Split runs into sets in which every pair is the same (or similar), first come first.

    Sameness by pairs need not be transitive: a run joins a set only if it agrees with all of it.
    """
    found: list[list[str]] = []
    for name in names:
        for group in found:
            pairs = [index.pair(name, member) for member in group]
            if all(pair and sameness(pair) in ("same", "similar") for pair in pairs):
                group.append(name)
                break
        else:
            found.append([name])
    return found


def answer(index: Index) -> Answer:
    """Compose the first screen."""
    empty = [run.name for run in index.comparison.runs if run.state == "zero delta"]
    sentences = [
        *_crossing(index),
        *_furthest(index),
        *_yardstick(index),
        *_scores(index),
        *_against_geometry(index),
    ]
    if empty:
        verb = "has" if len(empty) == 1 else "have"
        sentences.insert(0, f"{notation.listed(empty)} {verb} a zero delta: training changed nothing.")
    study = index.results.study
    alerts = [
        f"{check.name}: required {check.required}, found {check.found}"
        for check in (study.checks if study else ())
        if not check.passed
    ]
    warnings = list(index.comparison.warnings)
    warnings += [f"{run.name}: {text}" for run in index.comparison.runs for text in run.warnings]
    return Answer(_headline(index, empty), tuple(sentences), tuple(alerts), tuple(warnings))


def _headline(index: Index, empty: Sequence[str]) -> str:
    names = [name for name in index.arms if name not in empty]
    found = groups(index, names)
    many = [group for group in found if len(group) > 1]
    alone = [group[0] for group in found if len(group) == 1]
    pairs = [p for p in index.arm_pairs if {p.a, p.b} <= set(names)]
    if not pairs:
        return "There is no pair of runs to compare."
    floors = bool(index.comparison.floors) and any(
        sameness(pair) != "similar" for pair in pairs
    )
    one, none = (
        ("one update", "the same update") if floors else ("similar, relative to the nulls",) * 2
    )
    lead = "Provisionally, " if any("provisional" in p.verdict.lower() for p in pairs) else ""
    if not many:
        text = (
            f"{notation.listed(names)} are not {none}"
            if len(names) == 2
            else f"no two of {notation.listed(names)} are {none}"
        )
    elif len(many) == 1 and not alone:
        text = f"{'all ' if len(names) > 3 else ''}{notation.listed(names)} are {one}"
    else:
        parts = [f"{notation.listed(many[0])} are {one}"]
        parts += [f"{notation.listed(group)} are another" for group in many[1:]]
        partly = [name for name in alone if any(name in (p.a, p.b) for p in _alike(pairs))]
        apart = [name for name in alone if name not in partly]
        if partly:
            verb = "agrees" if len(partly) == 1 else "agree"
            parts.append(f"{notation.listed(partly)} {verb} with some of them only")
        if apart:
            verb = "stands" if len(apart) == 1 else "each stand"
            parts.append(f"{notation.listed(apart)} {verb} apart")
        text = "; ".join(parts)
    return lead + (text if lead else text[0].upper() + text[1:]) + "."


def _alike(pairs: Sequence[PairReadings]) -> list[PairReadings]:
    return [pair for pair in pairs if sameness(pair) in ("same", "similar")]


def _crossing(index: Index) -> list[str]:
    place = {name: i for i, group in enumerate(groups(index, index.arms)) for name in group}
    alike = _alike(index.arm_pairs)
    across = [f"{p.a} and {p.b}" for p in alike if place[p.a] != place[p.b]]
    identical = [f"{p.a} and {p.b}" for p in index.arm_pairs if p.state == "identical"]
    said = []
    if identical:
        said.append(f"Identical, the same weights up to rounding: {_some(identical)}.")
    if across:
        said.append(f"Across these groups, by their own pair: {_some(across)}. Likeness of pairs is not transitive.")
    return said


def _some(items: Sequence[str]) -> str:
    if len(items) <= MOST_NAMED:
        return "; ".join(items)
    return "; ".join(items[:MOST_NAMED]) + f"; and {len(items) - MOST_NAMED} more"


def _furthest(index: Index) -> list[str]:
    pair = most_different(index.arm_pairs)
    if pair is None:
        return []
    parts = []
    for measure, name in (("cosine", "cosine"), ("angle_left_median", "median left angle")):
        found = read(pair, whole(pair), measure)
        if found is None or found.value is None:
            continue
        info = index.comparison.measures.get(measure)
        unit = info.unit if info else ""
        band = index.null(pair.null_group, whole(pair), measure, "independent")
        beside = f" (independent null {notation.band(band, unit)})" if band else ""
        parts.append(f"{name} {notation.in_unit(found.value, unit)}{beside}")
    apart = "Furthest apart: " if len(index.arm_pairs) > 1 else ""
    return [f"{apart}{pair.a} and {pair.b}, {', '.join(parts)}."]


def _yardstick(index: Index) -> list[str]:
    floors = index.comparison.floors
    if not floors:
        return [
            "No floor was measured. Without repeats of one recipe nothing can be called the same "
            "update; similar, relative to the nulls, is all that can be said."
        ]
    parts = []
    for floor in floors:
        bound = "" if floor.low is None else f", lower bound {notation.fixed(floor.low, 3)}"
        span = notation.span(min(floor.cosines), max(floor.cosines)) if floor.cosines else "none"
        count = notation.count(len(floor.cosines), "pair")
        parts.append(f"{floor.kind}, cosine {span} ({count}{bound})")
    said = [f"The yardstick, {floors[0].runs[0]} against its own repeats: {'; '.join(parts)}."]
    inits = [f for f in floors if f.kind == "other init, same order" and f.cosines]
    defined = [c for p in index.arm_pairs if (c := cosine(p)) is not None]
    if inits and defined:
        nearer = sum(c > max(inits[0].cosines) for c in defined)
        said.append(
            f"Another init turns the update further than another objective does in {nearer} of "
            f"{notation.count(len(defined), 'pair')}."
        )
    return said


def _of_arms(index: Index) -> list[Paired]:
    study, arms = index.results.study, set(index.arms)
    return [p for p in (study.paired if study else ()) if {p.a, p.b} <= arms]


def _scores(index: Index) -> list[str]:
    pairs = _of_arms(index)
    if not pairs:
        return []
    counts = Counter(pair.verdict for pair in pairs)
    order = (
        "different", "different but within the margin", "equivalent within the margin", "undecided",
    )  # fmt: skip
    parts = [f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict]]
    margin, n = 100 * pairs[0].margin, min(pair.n for pair in pairs)
    said = (
        f"Accuracy, at a margin of {notation.fixed(margin, 1)} points and n = {n}: of "
        f"{notation.count(len(pairs), 'pair')} of arms, {notation.listed(parts)}."
    )
    undecided = [p.smallest_margin for p in pairs if p.verdict == "undecided"]
    if undecided:
        said += (
            " Undecided is not equal: these data could show equivalence there only at margins of "
            f"{notation.fixed(100 * min(undecided), 1)} to "
            f"{notation.fixed(100 * max(undecided), 1)} points."
        )
    return [said]


def _against_geometry(index: Index) -> list[str]:
    alike = [
        f"{p.a} and {p.b}"
        for p in _of_arms(index)
        if p.verdict.endswith("within the margin")
        and (pair := index.pair(p.a, p.b))
        and sameness(pair) == "other"
    ]
    if not alike:
        return []
    return [f"Alike in accuracy within the margin, and yet not the same update: {_some(alike)}."]
