"""Claims about the directions of the updates as a whole.

Where the grid has three seeds, claims speak of the arms: cosines across seeds, corrected for what
a seed takes from them, so that a repeat gives 1. Elsewhere they speak of one run an arm. Those
share a data order and so its noise, which the floor's runs do not: a cosine below the floor's bound
is then shown to be below it, one above it is not shown to be that of a repeat.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

from goniometer.claims.evidence import TOLERANCE, Evidence
from goniometer.claims.parts import (
    Estimate,
    Finding,
    NotMeasuredError,
    attempt,
    count,
    exceeds,
    number,
    optional,
    over_seeds,
    part,
    span,
    spanned,
)
from goniometer.results import Cell, ClaimPart

# The paper calls .967 colinear and .065 near-orthogonal; our cuts leave room on both sides.
COLINEAR = 0.95
REPEAT = 1.0  # the corrected cosine of an arm and its own repeat


def colinear(evidence: Evidence) -> Finding:
    """1: each cosine among SFT, RFT and RIFT is at least .95.

    Across seeds by the interval of the corrected cosine. Of one run an arm: below the floor's bound
    refutes, at least .95 holds, and what lies between is open.
    """
    arms = [evidence.arm(name) for name in ("sft", "rft", "rift")]
    pairs = [(a, b) for i, a in enumerate(arms) for b in arms[i + 1 :]]
    parts = tuple(
        attempt(f"cosine of {a.name} and {b.name}", partial(_colinear, evidence, a, b, len(pairs)))
        for a, b in pairs
    )
    return Finding(parts, f"{_cosines(evidence, parts, arms)}; {count(parts)}")


def _colinear(evidence: Evidence, a: Cell, b: Cell, family: int) -> ClaimPart:
    if evidence.seeds(a, b):
        return corrected(evidence, a, b, lambda found: found.above(COLINEAR, family))
    cosine = evidence.read(a.name, b.name, "cosine")
    low = optional(partial(evidence.order_low, a, b))
    below = low is not None and cosine < low
    holds = False if below else True if cosine >= COLINEAR else None
    return one_run(evidence, a, b, holds, low)


def dft_diverges(evidence: Evidence) -> Finding:
    """3: DFT's cosine to SFT is below that of RFT, RIFT and Offline GRPO.

    Across seeds by over .02, and by the interval of the difference of the corrected cosines; of one
    run an arm by more than the data order lowers a cosine.
    """
    sft, dft = evidence.arm("sft"), evidence.arm("dft")
    others = [evidence.arm(name) for name in ("rft", "rift", "offline_grpo")]
    parts = tuple(
        attempt(
            f"cosine of {sft.name} to {other.name} less that to {dft.name}",
            partial(_diverges, evidence, sft, dft, other, len(others)),
        )
        for other in others
    )
    cosines = ", ".join(_told(evidence, sft, arm) for arm in (dft, *others))
    beside = evidence.beside(sft.name, dft.name)
    return Finding(parts, f"cosine to {sft.name}: {cosines} ({beside}); {count(parts)}")


def _diverges(evidence: Evidence, sft: Cell, dft: Cell, other: Cell, family: int) -> ClaimPart:
    what = f"cosine of {sft.name} to {other.name} less that to {dft.name}"
    seeds = evidence.seeds(sft, dft, other)
    if seeds:
        found = over_seeds(
            seeds,
            lambda kept: evidence.corrected(sft, other, kept) - evidence.corrected(sft, dft, kept),
        )
        return part(
            f"{what}, corrected", found, found.above(TOLERANCE, family), null=0.0, floor=0.0
        )
    theirs, cosine = (evidence.read(sft.name, arm.name, "cosine") for arm in (other, dft))
    drop = optional(evidence.cosine_drop)
    holds = None if drop is None else exceeds(theirs, cosine, max(TOLERANCE, drop))
    return part(what, Estimate(theirs - cosine), holds, null=0.0, floor=drop)


def grpo_adds_late(evidence: Evidence) -> Finding:
    """4: Offline GRPO keeps SFT's direction, adds another, and more of it in late layers.

    It keeps it if the cosine is above the null, and adds another if it is below that of a repeat.
    Late: the mean off_direction of the last seventh of the layers exceeds that of the middle third
    by .02 more than for any pair of replicates in another data order. No growth at all refutes;
    growth that replicates show too leaves it open.
    """
    sft, grpo = evidence.arm("sft"), evidence.arm("offline_grpo")
    names = f"{sft.name} and {grpo.name}"
    parts = (
        attempt(f"cosine of {names} above the null", partial(_keeps, evidence, sft, grpo)),
        attempt(f"cosine of {names} below a repeat", partial(_adds, evidence, sft, grpo)),
        attempt(
            f"off-direction of {names}, late layers less middle ones",
            partial(_late, evidence, sft, grpo),
        ),
    )
    off = optional(lambda: evidence.read(sft.name, grpo.name, "off_direction"))
    share = "" if off is None else f", off-direction {number(off)} of norm"
    growth = spanned(parts[2:])
    found = f"{_cosines(evidence, parts[1:2], [sft, grpo])}{share}; late less middle {growth}"
    return Finding(parts, f"{found}; {count(parts)}")


def _keeps(evidence: Evidence, sft: Cell, grpo: Cell) -> ClaimPart:
    seeds = evidence.seeds(sft, grpo)
    if seeds:
        null = evidence.corrected_null(sft, grpo, seeds)
        made = corrected(
            evidence, sft, grpo, lambda found: None if null is None else found.above(null, 3)
        )
    else:
        low, high = evidence.null(sft.name, grpo.name, "cosine", "shared_A0")
        cosine = evidence.read(sft.name, grpo.name, "cosine")
        holds = True if cosine > high else False if cosine < low else None
        made = one_run(evidence, sft, grpo, holds, optional(partial(evidence.order_low, sft, grpo)))
    return made.model_copy(update={"what": f"{made.what}: above the null"})


def _adds(evidence: Evidence, sft: Cell, grpo: Cell) -> ClaimPart:
    if evidence.seeds(sft, grpo):
        made = corrected(evidence, sft, grpo, lambda found: found.below(REPEAT - TOLERANCE, 3))
    else:
        cosine = evidence.read(sft.name, grpo.name, "cosine")
        low = optional(partial(evidence.order_low, sft, grpo))
        made = one_run(evidence, sft, grpo, True if low is not None and cosine < low else None, low)
    return made.model_copy(update={"what": f"{made.what}: below a repeat"})


def _late(evidence: Evidence, sft: Cell, grpo: Cell) -> ClaimPart:
    found = _late_growth(evidence, sft, grpo)
    what = f"off-direction of {sft.name} and {grpo.name}, late layers less middle ones"
    try:
        by_order = [_growth(evidence, a, b) for a, b in evidence.order_pairs()]
    except NotMeasuredError:
        return part(what, found, None, null=0.0)
    grows, shrinks = max(0.0, *by_order), min(0.0, *by_order) - TOLERANCE
    if found.low is not None:
        # Surely not so much growth is not yet none: only below what shrinks refutes.
        shown, none = found.above(grows + TOLERANCE, 3), found.above(shrinks, 3)
        late = True if shown else False if none is False else None
    else:
        late = True if found.value > grows + TOLERANCE else False if found.value < shrinks else None
    return part(what, found, late, null=0.0, floor=max(by_order))


def _late_growth(evidence: Evidence, a: Cell, b: Cell) -> Estimate:
    seeds, mine, theirs = evidence.seeds(a, b), evidence.by_seed(a), evidence.by_seed(b)
    first = _growth(evidence, a.name, b.name)
    if not seeds:
        return Estimate(first)

    def growth(kept: Sequence[int]) -> float:
        return fmean(_growth(evidence, mine[s], theirs[s]) for s in kept)

    try:
        return over_seeds(seeds, growth)
    except NotMeasuredError:
        return Estimate(first, over="none: of other seeds no layer was read")


def _growth(evidence: Evidence, a: str, b: str) -> float:
    """Mean off_direction of the last seventh of the layers less that of the middle third."""
    layers = evidence.results.comparison.layers
    third, seventh = len(layers) // 3, max(1, len(layers) // 7)
    if third == 0:
        raise NotMeasuredError(f"{len(layers)} layers: no middle and late ones to tell apart")
    off = [evidence.read(a, b, "off_direction", f"layer.{layer}") for layer in layers]
    middle, late = off[third : len(layers) - third], off[-seventh:]
    return sum(late) / len(late) - sum(middle) / len(middle)


def corrected(
    evidence: Evidence, a: Cell, b: Cell, decide: Callable[[Estimate], bool | None]
) -> ClaimPart:
    """The corrected cosine of two arms across seeds as a part; a repeat's is 1."""
    seeds = evidence.seeds(a, b)
    found = over_seeds(seeds, lambda kept: evidence.corrected(a, b, kept))
    return part(
        f"cosine of {a.name} and {b.name} across seeds, corrected",
        found,
        decide(found),
        null=evidence.corrected_null(a, b, seeds),
        floor=REPEAT,
    )


def one_run(
    evidence: Evidence, a: Cell, b: Cell, holds: bool | None, floor: float | None
) -> ClaimPart:
    """The cosine of one run of each of two arms as a part."""
    return part(
        f"cosine of {a.name} and {b.name}",
        Estimate(evidence.read(a.name, b.name, "cosine")),
        holds,
        null=optional(lambda: evidence.null_high(a.name, b.name, "cosine", "shared_A0")),
        floor=floor,
    )


def _cosines(evidence: Evidence, parts: Sequence[ClaimPart], arms: Sequence[Cell]) -> str:
    """Cosines in words, with all that must stand beside them."""
    seeds = evidence.seeds(*arms)
    beside = [evidence.beside(arms[0].name, arms[1].name)]
    if seeds:
        beside += [f"{arm.name} and its repeats {_repeats(evidence, arm, seeds)}" for arm in arms]
    how = f" across {len(seeds)} seeds, corrected" if seeds else ", one run of each"
    return f"cosine {spanned(parts)}{how} ({'; '.join(beside)})"


def _repeats(evidence: Evidence, arm: Cell, seeds: Sequence[int]) -> str:
    try:
        return span(evidence.repeats(arm, "cosine", seeds))
    except NotMeasuredError:
        return "not measured"


def _told(evidence: Evidence, a: Cell, b: Cell) -> str:
    seeds = evidence.seeds(a, b)
    cosine = optional(
        lambda: (
            evidence.corrected(a, b, seeds) if seeds else evidence.read(a.name, b.name, "cosine")
        )
    )
    return f"{b.name} {'not measured' if cosine is None else number(cosine)}"
