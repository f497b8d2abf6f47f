"""What stands under the headline: the numbers that it rests on, with n, nulls and floors.

Difference and equivalence of accuracies were decided in the paired tests; nothing is decided
here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from goniometer.report import notation
from goniometer.report.facts import grid
from goniometer.report.facts.index import Index, cosine, most_different, read, whole
from goniometer.report.words import behaviour, steps, yardstick
from goniometer.report.words import grid as words_of_grid
from goniometer.report.words.headline import binding, groups, headline, sameness
from goniometer.results import Paired, PairReadings

MOST_NAMED = 4  # pairs named in a sentence; more are counted
MOST_FIRST = 6  # sentences under the headline; the rest is folded


@final
@dataclass(frozen=True)
class Answer:
    """The first screen: one sentence, what it rests on, and what speaks against it."""

    headline: str
    sentences: tuple[str, ...]
    alerts: tuple[str, ...]  # failing checks
    warnings: tuple[str, ...]
    terms: tuple[str, ...] = ()  # what the words of the answer mean

    @property
    def first(self) -> tuple[str, ...]:
        """The sentences that stand on the first screen."""
        return self.sentences[:MOST_FIRST]

    @property
    def rest(self) -> tuple[str, ...]:
        """The sentences that are folded away below them."""
        return self.sentences[MOST_FIRST:]


def answer(index: Index) -> Answer:
    """Compose the first screen."""
    trajectories = index.results.trajectories
    sentences = (
        *_empty(index),
        *steps.sentences(trajectories),
        *(_of_pairs(index) if not trajectories else ()),
    )
    study = index.results.study
    alerts = tuple(
        f"{check.name}: required {check.required}, found {check.found}"
        for check in (study.checks if study else ())
        if not check.passed
    )
    of_runs = [f"{run.name}: {text}" for run in index.comparison.runs for text in run.warnings]
    warnings = (*index.comparison.warnings, *of_runs)
    return Answer(headline(index), sentences, alerts, warnings, yardstick.terms(index))


def _of_pairs(index: Index) -> list[str]:
    """What comes first stands on the first screen."""
    scores, open_ = _scores(index)
    return [
        *_within(index),
        *_furthest(index),
        *yardstick.floors(index),
        *scores,
        *behaviour.sentences(index),
        *_against_geometry(index),
        *_crossing(index),
        *open_,
        *yardstick.inits(index),
        *words_of_grid.sentences(index),
    ]


def _empty(index: Index) -> list[str]:
    empty = [run.name for run in index.comparison.runs if run.state == "zero delta"]
    if not empty:
        return []
    verb = "has" if len(empty) == 1 else "have"
    return [f"{notation.listed(empty)} {verb} a zero delta: training changed nothing."]


def _trained(index: Index) -> tuple[list[str], list[PairReadings]]:
    """Arms but for those that were not trained to their end, as in the headline; their pairs."""
    arms = [name for name in index.arms if name not in index.ended]
    return arms, [pair for pair in index.arm_pairs if {pair.a, pair.b} <= set(arms)]


def _within(index: Index) -> list[str]:
    said: list[str] = []
    if len(index.arm_pairs) == 1:  # said of the pair itself
        return said
    arms, of_arms = _trained(index)
    found = groups(index, arms, binding(of_arms))
    together = sorted((group for group in found if len(group) > 1), key=len, reverse=True)
    parts: list[str] = []
    for group in together[:MOST_NAMED]:
        pairs = [pair for pair in of_arms if {pair.a, pair.b} <= set(group)]
        values = [value for pair in pairs if (value := cosine(pair)) is not None]
        if values:
            span = notation.span(min(values), max(values))
            count = f" ({notation.count(len(values), 'pair')})" if len(values) > 1 else ""
            lead = "" if parts else "cosine "
            parts.append(f"{notation.listed(group)}: {lead}{span}{count}")
    if parts:
        said.append(f"Between {'; '.join(parts)}.")
    if len(together) > MOST_NAMED:
        said.append(f"{len(together) - MOST_NAMED} more groups of runs are in the tables below.")
    return said


def _crossing(index: Index) -> list[str]:
    arms, pairs = _trained(index)
    alike = binding(pairs)
    found = groups(index, arms, alike)
    place = {name: i for i, group in enumerate(found) for name in group}
    across = [
        f"{pair.a} and {pair.b}"
        for pair in pairs
        if sameness(pair) in alike and place[pair.a] != place[pair.b]
    ]
    same = [f"{pair.a} and {pair.b}" for pair in index.arm_pairs if pair.state == "identical"]
    said = []
    if same:
        said.append(f"Identical, the same numbers up to rounding: {_some(same)}.")
    if across:
        said.append(
            f"Across these groups, by their own pair: {_some(across)}. "
            "Likeness of pairs is not transitive."
        )
    return said


def _furthest(index: Index) -> list[str]:
    _, pairs = _trained(index)
    pair = most_different(pairs)
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
    apart = "Furthest apart: " if len(pairs) > 1 else ""
    return [f"{apart}{pair.a} and {pair.b}, {', '.join(parts)}."]


def _between_arms(index: Index) -> list[Paired]:
    return [pair for pair in index.paired_arms if {pair.a, pair.b} <= set(index.arms)]


def _scores(index: Index) -> tuple[list[str], list[str]]:
    """The verdicts counted; and what undecided leaves open."""
    pairs = _between_arms(index)
    if not pairs:
        return [], []
    counts = Counter(pair.verdict for pair in pairs)
    parts = [f"{number} {verdict}" for verdict, number in sorted(counts.items())]
    margin, n = 100 * pairs[0].margin, min(pair.n for pair in pairs)
    of_first = " of the first seed's runs" if grid.several_seeds(index) else ""
    said = (
        f"Accuracy{of_first}, at a margin of {notation.fixed(margin, 1)} points and n = {n}: of "
        f"{notation.count(len(pairs), 'pair')} of arms, {notation.listed(parts)}."
    )
    open_ = [pair.smallest_margin for pair in pairs if pair.verdict == "undecided"]
    if not open_:
        return [said], []
    margins = [notation.fixed(100 * end, 1) for end in (min(open_), max(open_))]
    left = (
        "Undecided is not equal: these data could show equivalence there only at a margin of "
        f"{notation.between(*margins)} points."
    )
    return [said], [left]


def _against_geometry(index: Index) -> list[str]:
    alike = [
        f"{p.a} and {p.b}"
        for p in _between_arms(index)
        if p.verdict.endswith("within the margin")
        and (pair := index.pair(p.a, p.b))
        and pair.verdict.startswith("not the same update")
    ]
    if not alike:
        return []
    of_first = " of the first seed's runs" if grid.several_seeds(index) else ""
    return [
        f"Alike in accuracy{of_first} within the margin, and yet not the same update: "
        f"{_some(alike)}."
    ]


def _some(items: Sequence[str]) -> str:
    if len(items) <= MOST_NAMED:
        return "; ".join(items)
    return f"{'; '.join(items[:MOST_NAMED])}; and {len(items) - MOST_NAMED} more"
