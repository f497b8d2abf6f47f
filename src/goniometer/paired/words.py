"""The answer in one sentence, and the rows of the tables in text."""

from collections.abc import Iterator

from goniometer.report import notation
from goniometer.results import Paired
from goniometer.results.paired import LogScores, PairedLogs

RUN_HEADS = (
    "run", "right", "Wilson 95 %", "n", "ungraded", "no answer", "truncated", "dropped",
)  # fmt: skip
PAIR_HEADS = (
    "a", "b", "n", "both", "only a", "only b", "neither", "a less b, points", "Tango 95 %",
    "exact p", "mid-p", "Holm", "p equivalent", "Holm", "smallest margin", "verdict",
)  # fmt: skip
# Every verdict, and how a sentence tells of pairs that have it.
_TOLD = {
    "different": "different",
    "different but within the margin": "different, but shown to be within {margin} of each other",
    "equivalent within the margin": "shown to be equivalent within {margin}",
    "undecided": "undecided (neither a difference nor equivalence within {margin} is shown)",
}


def sentence(found: PairedLogs) -> str:
    """Say in one sentence how many pairs are which of the four; of a single pair, its numbers."""
    if len(found.pairs) == 1:
        return _of_one(found, found.pairs[0])
    parts = [f"{len(pairs)} {told}" for told, pairs in _by_verdict(found)]
    return f"Of {len(found.pairs)} pairs on {_asked(found)}: {'; '.join(parts)}."


def _of_one(found: PairedLogs, pair: Paired) -> str:
    told = next(told for told, _ in _by_verdict(found))
    interval = f"{notation.points(pair.low)} to {notation.points(pair.high)}"
    return (
        f"{pair.a} and {pair.b} on {_asked(found)} are {told}: "
        f"{notation.points(pair.difference)} points, 95 % {interval}."
    )


def lists(found: PairedLogs) -> list[str]:
    """The pairs of each verdict by name, a line a verdict; nothing for a single pair."""
    if len(found.pairs) == 1:
        return []
    return [
        f"{told}: " + "; ".join(f"{pair.a} and {pair.b}" for pair in pairs)
        for told, pairs in _by_verdict(found)
    ]


def _by_verdict(found: PairedLogs) -> Iterator[tuple[str, list[Paired]]]:
    margin = f"{notation.fixed(100 * found.margin, 1)} points"
    for verdict, told in _TOLD.items():
        pairs = [pair for pair in found.pairs if pair.verdict == verdict]
        if pairs:
            yield told.format(margin=margin), pairs


def _asked(found: PairedLogs) -> str:
    if found.clusters:
        return f"{notation.count(found.clusters, 'item')} ({found.items} samples)"
    return notation.count(found.items, "item")


def best(found: PairedLogs) -> str:
    """Say at which margins the undecided pairs, if any, would have been shown equivalent."""
    undecided = [pair for pair in found.pairs if pair.verdict == "undecided"]
    if not undecided:
        return ""
    needed = sorted(_needed(pair) for pair in undecided)
    low, high = (notation.fixed(100 * needed[i], 1) for i in (0, -1))
    margins = f"at a margin of {low}" if low == high else f"at margins of {low} to {high}"
    return (
        "Not significant is not the same: these data show the undecided equivalent only "
        f"{margins} points."
    )


def _needed(pair: Paired) -> float:
    """The margin that the verdict, which is Holm's, would take."""
    return pair.smallest_margin if pair.smallest_margin_holm is None else pair.smallest_margin_holm


def run_row(run: LogScores) -> tuple[str, ...]:
    """Cells under RUN_HEADS."""
    score = run.accuracy
    return (
        score.run,
        notation.percent(score.accuracy),
        notation.percents(score.low, score.high),
        str(score.n),
        str(score.ungraded),
        str(run.no_answer),
        "not said" if run.truncated is None else str(run.truncated),
        str(run.dropped),
    )


def pair_row(pair: Paired) -> tuple[str, ...]:
    """Cells under PAIR_HEADS."""
    counts = (pair.n, pair.both, pair.only_a, pair.only_b, pair.neither)
    return (
        pair.a,
        pair.b,
        *map(str, counts),
        notation.points(pair.difference),
        f"{notation.points(pair.low)} to {notation.points(pair.high)}",
        *map(
            notation.p_value,
            (pair.p_exact, pair.p_mid, pair.p_holm, pair.p_equivalence, pair.p_equivalence_holm),
        ),
        notation.fixed(100 * _needed(pair), 1),
        pair.verdict,
    )


def extractors(found: PairedLogs) -> list[str]:
    """How often other extractors of the answer would have scored otherwise, a line a run."""
    return [
        f"{run.accuracy.run}: read by {run.filter}; otherwise scored by "
        + ", ".join(f"{name}: {count}" for name, count in run.others.items())
        for run in found.runs
        if run.others
    ]
