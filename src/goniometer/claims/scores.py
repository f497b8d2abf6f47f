"""Claims about accuracies. Not significant is never read as alike.

One run an arm shows what those runs do; what their arms do needs the noise of training too. From
five seeds up the interval is the hierarchical bootstrap's. With three or four it is Student's over
the seeds, the problems held fixed, and the paired test of the first seed's runs, Holm-adjusted
over all pairs, must agree. With one run an arm the difference must also exceed how far apart two
runs of one arm come out, or stay within the margin with that added: the floor.
"""

import math
from functools import partial
from itertools import combinations
from statistics import fmean, variance
from typing import Literal

from goniometer.claims.evidence import WITHOUT_DPO, Evidence
from goniometer.claims.parts import (
    MINIMUM_SEEDS,
    Estimate,
    Finding,
    NotMeasuredError,
    attempt,
    count,
    over_seeds,
    part,
)
from goniometer.results import Cell, ClaimPart, Paired
from goniometer.statistics.tango import quantile

HIERARCHICAL = "seeds, then problems"
Question = Literal["alike", "above"]


def alike(evidence: Evidence) -> Finding:
    """2: all pairs of the five methods without DPO are shown to be within the margin.

    A pair that differs and is not shown to be within it refutes; an undecided one leaves it open.
    """
    cells = [evidence.arm(name) for name in WITHOUT_DPO]
    pairs = list(combinations(cells, 2))
    parts = tuple(
        attempt(
            f"accuracy of {a.name} less {b.name}",
            partial(_difference, evidence, a, b, "alike", len(pairs)),
        )
        for a, b in pairs
    )
    rows = [evidence.paired(a.name, b.name)[0] for a, b in pairs]
    scores = ", ".join(f"{cell.name} {_percent(evidence, cell)}" for cell in cells)
    found = (
        f"{scores}{_how(evidence, *cells)}; margin {rows[0].margin:.1%}, the widest pair would "
        f"need {max(row.smallest_margin for row in rows):.1%}; smallest exact p "
        f"{min(row.p_exact for row in rows):.2g}, by Holm {min(row.p_holm for row in rows):.2g}"
    )
    return Finding(parts, f"{found}; {count(parts)}")


def dpo_highest(evidence: Evidence) -> Finding:
    """12: DPO at SFT's learning rate is shown to be above each of the five others.

    One that is shown to be above DPO refutes. Equivalence within the margin leaves it open: a lead
    may be smaller. The base and DPO at other rates are printed beside it.
    """
    dpo = evidence.arm("dpo")
    others = [evidence.arm(name) for name in WITHOUT_DPO]
    parts = tuple(
        attempt(
            f"accuracy of {dpo.name} less {other.name}",
            partial(_difference, evidence, dpo, other, "above", len(others)),
        )
        for other in others
    )
    slower = [cell for cell in evidence.arms("dpo") if cell is not dpo]
    scores = ", ".join(f"{c.name} {_percent(evidence, c)}" for c in (dpo, *slower, *others))
    base = evidence.study.accuracies[0]
    how = _how(evidence, dpo, *others)
    return Finding(parts, f"{scores}{how}; {base.run} {base.accuracy:.1%}; {count(parts)}")


def _difference(evidence: Evidence, a: Cell, b: Cell, question: Question, family: int) -> ClaimPart:
    row, sign = evidence.paired(a.name, b.name)
    floor = _floor(evidence, a, b)
    seeded = _over_seeds(evidence, a, b)
    over = "problems (Tango), one run of each"
    first = Estimate(row.difference, row.low, row.high, over, row.n).scaled(sign)
    found = first if seeded is None else seeded
    reach = _reach(first, floor) if seeded is None else seeded
    agree = first.value * found.value > 0  # the first seed's test speaks of the same direction
    differs = row.verdict.startswith("different") and agree
    what = f"accuracy of {a.name} less {b.name}"
    if question == "alike":
        # The hierarchical interval alone holds the noise of problems too.
        within = _within(row) or found.over == HIERARCHICAL
        outside = False in (reach.above(0, family), reach.below(0, family))
        inside = within and reach.within(row.margin)
        apart = row.verdict == "different" and differs and outside
        return part(
            f"{what}, within {row.margin:.1%}", found,
            True if inside else False if apart else None, null=0.0, floor=floor,
        )  # fmt: skip
    above = reach.above(0, family) if differs else None
    return part(what, found, above, null=0.0, floor=floor)


def _within(row: Paired) -> bool:
    return row.verdict in ("equivalent within the margin", "different but within the margin")


def _reach(first: Estimate, floor: float | None) -> Estimate:
    """Where the arms' difference may lie for the noise of training, of one run each."""
    half = math.inf if floor is None else floor
    return Estimate(first.value, first.value - half, first.value + half)


def _over_seeds(evidence: Evidence, a: Cell, b: Cell) -> Estimate | None:
    """The mean difference over seeds; None where the grid has too few of them."""
    for row in evidence.study.seed_differences:
        if {row.a, row.b} == {a.name, b.name} and row.interval.low is not None:
            n = len(row.differences)
            found = Estimate(row.mean, row.interval.low, row.interval.high, row.interval.over, n)
            return found.scaled(1 if row.a == a.name else -1)
    seeds = evidence.seeds(a, b)
    if not seeds:
        return None
    mine, theirs = evidence.by_seed(a), evidence.by_seed(b)
    found = over_seeds(
        seeds,
        lambda kept: fmean(evidence.accuracy(mine[s]) - evidence.accuracy(theirs[s]) for s in kept),
    )
    return Estimate(
        found.value, found.low, found.high, "seeds (Student), the problems fixed", found.n,
        found.freedom,
    )  # fmt: skip


def _floor(evidence: Evidence, a: Cell, b: Cell) -> float | None:
    """How far apart two runs of one arm come out, 95 times in 100: t sqrt(2) s.

    s is pooled over the seeds of both arms; without seeds it is that of the runs of a floor, and
    the widest floor counts.
    """
    if evidence.seeds(a, b):
        groups = [[*evidence.by_seed(arm).values()] for arm in (a, b)]
        return _apart([[evidence.accuracy(run) for run in runs] for runs in groups])
    floors = [f.runs for f in evidence.results.comparison.floors if len(f.runs) >= MINIMUM_SEEDS]
    try:
        return max(
            (_apart([[evidence.accuracy(r) for r in runs]]) for runs in floors), default=None
        )
    except NotMeasuredError:
        return None


def _apart(groups: list[list[float]]) -> float:
    freedom = sum(len(values) - 1 for values in groups)
    pooled = sum((len(values) - 1) * variance(values) for values in groups) / freedom
    return float(quantile(0.975, freedom)) * math.sqrt(2 * pooled)


def _percent(evidence: Evidence, cell: Cell) -> str:
    runs = evidence.by_seed(cell) if evidence.seeds(cell) else {cell.seed: cell.name}
    return f"{fmean(evidence.accuracy(run) for run in runs.values()):.1%}"


def _how(evidence: Evidence, *cells: Cell) -> str:
    seeds = evidence.seeds(*cells)
    return f" (means over {len(seeds)} seeds)" if seeds else " (one run of each)"
