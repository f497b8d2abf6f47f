"""The answer in one sentence, and the rows of the tables in text."""

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
    "undecided": "undecided: neither a difference nor equivalence is shown",
}


def sentence(found: PairedLogs) -> str:
    """Say of every pair which of the four it is, and what no pair may be read as."""
    margin = f"{notation.fixed(100 * found.margin, 1)} points"
    parts = []
    for verdict, told in _TOLD.items():
        pairs = [pair for pair in found.pairs if pair.verdict == verdict]
        if pairs:
            names = notation.listed([f"{pair.a} / {pair.b}" for pair in pairs])
            parts.append(f"{len(pairs)} {told.format(margin=margin)} ({names})")
    asked = notation.count(found.items, "item")
    if found.clusters:
        asked = f"{found.clusters} items ({found.items} samples)"
    pairs_in_all = notation.count(len(found.pairs), "pair")
    return f"Of {pairs_in_all} on {asked}: {'; '.join(parts)}."


def best(found: PairedLogs) -> str:
    """Say how small a margin the undecided pairs could at most have shown, if there are any."""
    undecided = [pair for pair in found.pairs if pair.verdict == "undecided"]
    if not undecided:
        return ""
    widest = max(_needed(pair) for pair in undecided)
    return (
        "Not significant is not the same: these data show the undecided equivalent only within "
        f"{notation.fixed(100 * widest, 1)} points or more."
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
