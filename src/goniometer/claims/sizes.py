"""Claims about sizes beside directions: DPO apart from the rest, and another learning rate.

Norms and ranks are compared as ratios: over seeds with an interval, of one run an arm by more than
the floor's replicates differ; 10 % at least.
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from statistics import fmean

from goniometer.claims.directions import corrected, one_run
from goniometer.claims.evidence import FACTOR, TOLERANCE, Evidence
from goniometer.claims.parts import (
    Estimate,
    Finding,
    NotMeasuredError,
    attempt,
    count,
    exceeds,
    optional,
    over_seeds,
    part,
    spanned,
)
from goniometer.results import Cell, ClaimPart

NEAR_ORTHOGONAL = 0.10
TENFOLD = 10.0


def dpo_apart(evidence: Evidence) -> Finding:
    """6: DPO at SFT's learning rate is near-orthogonal, of higher rank, and smaller.

    To each of SFT, RFT and RIFT: |cosine| at most .10, where a repeat's is above it; effective rank
    higher and norm lower by over 10 %. Other learning rates are printed beside it.
    """
    dpo = evidence.arm("dpo")
    others = [evidence.arm(name) for name in ("sft", "rft", "rift")]
    family = 3 * len(others)
    cosines = [
        attempt(
            f"cosine of {dpo.name} and {other.name}",
            partial(_orthogonal, evidence, dpo, other, family),
        )
        for other in others
    ]
    ranks = [ratio_part(evidence, dpo, other, "effective_rank", family) for other in others]
    norms = [ratio_part(evidence, other, dpo, "norm", family) for other in others]
    parts = (*cosines, *ranks, *norms)
    found = (
        f"{dpo.name}: cosine {spanned(cosines)}, rank x {spanned(ranks)}, the others' norms x "
        f"{spanned(norms)} ({evidence.beside(dpo.name, others[0].name)})"
    )
    more = [_beside(evidence, cell, others) for cell in evidence.arms("dpo") if cell is not dpo]
    return Finding(parts, "; ".join([found, *more, count(parts)]))


def _orthogonal(evidence: Evidence, dpo: Cell, other: Cell, family: int) -> ClaimPart:
    if evidence.seeds(dpo, other):
        return corrected(evidence, dpo, other, lambda e: e.within(NEAR_ORTHOGONAL, family))
    cosine = evidence.read(dpo.name, other.name, "cosine")
    low = optional(partial(evidence.order_low, dpo, other))
    # Where even a repeat may be near-orthogonal, being so says nothing.
    near = True if low is not None and low > NEAR_ORTHOGONAL else None
    return one_run(evidence, dpo, other, near if abs(cosine) <= NEAR_ORTHOGONAL else False, low)


def _beside(evidence: Evidence, cell: Cell, others: Sequence[Cell]) -> str:
    """A cell that stands beside the claim, not under it: its first runs, undecided."""
    cosines = [attempt("", partial(one_run, evidence, cell, other, None, None)) for other in others]
    ranks = [ratio_part(evidence, cell, other, "effective_rank", 1) for other in others]
    norms = [ratio_part(evidence, other, cell, "norm", 1) for other in others]
    return (
        f"{cell.name}, one run: cosine {spanned(cosines)}, rank x {spanned(ranks)}, the "
        f"others' norms x {spanned(norms)}"
    )


def ratio_part(evidence: Evidence, a: Cell, b: Cell, measure: str, family: int) -> ClaimPart:
    """Whether a size of one arm is above another's, as the ratio of the two."""
    what = f"{measure.replace('_', ' ')} of {a.name} over that of {b.name}"
    return attempt(what, partial(_ratio, evidence, a, b, measure, family, what))


def _ratio(evidence: Evidence, a: Cell, b: Cell, measure: str, family: int, what: str) -> ClaimPart:
    seeds = evidence.seeds(a, b)
    if not seeds:
        log = evidence.log_ratio(a.name, b.name, measure)
        factor = optional(lambda: evidence.size_factor(measure))
        holds = None if factor is None else exceeds(log, 0, math.log(max(FACTOR, factor)))
        return part(what, Estimate(log).exp(), holds, null=1.0, floor=factor)
    mine, theirs = evidence.by_seed(a), evidence.by_seed(b)
    found = over_seeds(
        seeds,
        lambda kept: fmean(evidence.log_ratio(mine[s], theirs[s], measure) for s in kept),
    )
    repeats = [
        abs(evidence.log_ratio(runs[s], runs[t], measure))
        for runs in (mine, theirs)
        for s, t in combinations(seeds, 2)
    ]
    holds = found.above(math.log(FACTOR), family)
    return part(what, found.exp(), holds, null=1.0, floor=math.exp(max(repeats)))


def rate_rotates(evidence: Evidence) -> Finding:
    """11: ten times the learning rate rotates the update of one objective, and scales it.

    Each pair of runs that differ tenfold in the rate alone; without one, the two rates farthest
    apart. It rotates if the cosine is below that of a repeat: across seeds below .98 once
    corrected, of one run below the floor's bound, where what is not below is open. It scales if
    the norm grows by over 10 %. The floor is of the objective's arm, or else of the first that has
    one, at that arm's rate, whatever rates are compared.
    """
    pairs = _rates(evidence)
    parts = tuple(made for slow, fast in pairs for made in _rotates(evidence, slow, fast, pairs))
    told = "; ".join(
        f"{slow.name} to {fast.name}, {fast.learning_rate / slow.learning_rate:.3g}x the rate: "
        f"cosine {spanned(parts[i : i + 1])}, norm x {spanned(parts[i + 1 : i + 2])}"
        for i, (slow, fast) in zip(range(0, len(parts), 2), pairs, strict=True)
    )
    return Finding(
        parts, f"{told} ({evidence.beside(*[c.name for c in pairs[0]])}); {count(parts)}"
    )


def _rotates(
    evidence: Evidence, slow: Cell, fast: Cell, pairs: Sequence[tuple[Cell, Cell]]
) -> tuple[ClaimPart, ClaimPart]:
    family = 2 * len(pairs)

    def turned() -> ClaimPart:
        if evidence.seeds(slow, fast):
            return corrected(evidence, slow, fast, lambda e: e.below(1 - TOLERANCE, family))
        cosine = evidence.read(slow.name, fast.name, "cosine")
        low = optional(partial(evidence.order_low, slow, fast))
        # A cosine that the floor allows does not show that nothing rotated.
        return one_run(
            evidence, slow, fast, True if low is not None and cosine < low else None, low
        )

    rotated = attempt(f"cosine of {slow.name} and {fast.name}", turned)
    return rotated, ratio_part(evidence, fast, slow, "norm", family)


def _rates(evidence: Evidence) -> list[tuple[Cell, Cell]]:
    """Pairs of trained runs that differ in the rate alone, slower first; the floors' arm first."""
    cells = [
        c
        for c in evidence.study.cells
        if c.state == "trained" and c.role != "floor" and c.seed == 0 and c.wrong_share is None
    ]
    floors = {floor.arm for floor in evidence.results.comparison.floors}
    cells.sort(key=lambda c: c.arm not in floors)
    found = []
    for a, b in combinations(cells, 2):
        if _recipe(a) == _recipe(b) and not math.isclose(a.learning_rate, b.learning_rate):
            found.append((a, b) if a.learning_rate < b.learning_rate else (b, a))
    if not found:
        raise NotMeasuredError("no objective was trained at two learning rates")

    def factor(pair: tuple[Cell, Cell]) -> float:
        return pair[1].learning_rate / pair[0].learning_rate

    tenfold = [pair for pair in found if math.isclose(factor(pair), TENFOLD, rel_tol=0.01)]
    return tenfold or [max(found, key=factor)]


def _recipe(cell: Cell) -> tuple[object, ...]:
    return (cell.objective, cell.options, cell.regime, cell.init_seed, cell.order_seed)
