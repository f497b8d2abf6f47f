"""Claims about the two sides of the updates: top right (input) and left (output) vectors."""

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from statistics import fmean

from goniometer.claims.evidence import TOLERANCE, WITHOUT_DPO, Evidence
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
from goniometer.claims.paths import no_barrier_between_seeds
from goniometer.results import Cell, ClaimPart

# Agreement of top singular vectors: the paper calls .94 agreement, .07 a rotation.
AGREE = 0.90
ROTATED = 0.50
INPUT, OUTPUT = "v1", "u1"
BETWEEN = "between seeds of"


def inputs_agree(evidence: Evidence) -> Finding:
    """9: input directions agree, output directions differ.

    v1 is at least .9 in every pair without DPO and above its nulls: what a common initialisation
    gives, and where activations were measured, what the inputs alone give. Of one run an arm, what
    is below .9 refutes only below the lowest of the replicates in another data order. v1 exceeds u1
    between SFT and each of DFT, Offline GRPO and DPO by over .02 more than between those replicates
    and by more than a common initialisation gives.
    """
    arms = [evidence.arm(name) for name in WITHOUT_DPO]
    sft, far = arms[0], [evidence.arm(name) for name in ("dft", "offline_grpo", "dpo")]
    pairs = list(combinations(arms, 2))
    family = len(pairs) + len(far)
    agree = tuple(
        attempt(f"v1 of {a.name} and {b.name}", partial(_agree, evidence, a, b, family))
        for a, b in pairs
    )
    differ = tuple(
        attempt(
            f"v1 less u1 of {sft.name} and {b.name}", partial(_differ, evidence, sft, b, family)
        )
        for b in far
    )
    null = max((p.null for p in agree if p.null is not None), default=None)
    sides = [
        f"{b.name} {_told(evidence, sft, b, INPUT)} and {_told(evidence, sft, b, OUTPUT)}"
        for b in far
    ]
    found = (
        f"v1 {spanned(agree)} without DPO (null to {'none' if null is None else number(null)}); "
        f"v1 and u1 of {sft.name} and {', '.join(sides)}; {_how(evidence, *arms)}"
    )
    parts = (*agree, *differ)
    return Finding(parts, f"{found}; {count(parts)}")


def _agree(evidence: Evidence, a: Cell, b: Cell, family: int) -> ClaimPart:
    found = between(evidence, a, b, INPUT)
    null = evidence.null_high(a.name, b.name, INPUT, "shared_A0")
    null = max([null, *_input_nulls(evidence)])
    floor = optional(lambda: min(_by_order(evidence, INPUT)))
    if found.low is not None:
        holds, lowest = found.above(AGREE, family), found.low
    else:
        # One run that agrees as little as a repeat does not show that the losses disagree.
        low = floor is not None and found.value < floor
        holds, lowest = (True if found.value >= AGREE else False if low else None), found.value
    # Agreement may be the common initialisation's alone, or the inputs'.
    if holds and lowest <= null:
        holds = None
    what = f"v1 of {a.name} and {b.name}"
    return part(what, found.clipped(), holds, null=null, floor=floor)


def _differ(evidence: Evidence, a: Cell, b: Cell, family: int) -> ClaimPart:
    found = _gap(evidence, a, b)
    null = evidence.null_high(a.name, b.name, INPUT, "shared_A0")
    null -= evidence.null(a.name, b.name, OUTPUT, "shared_A0")[0]
    what = f"v1 less u1 of {a.name} and {b.name}"
    try:
        by_order = zip(_by_order(evidence, INPUT), _by_order(evidence, OUTPUT), strict=True)
        floor = max(v - u for v, u in by_order)
    except NotMeasuredError:
        return part(what, found, None, null=null)
    threshold = max(max(floor, 0.0) + TOLERANCE, null)
    if found.low is None:
        holds = True if found.value > threshold else False if found.value < -TOLERANCE else None
    else:
        # Between no difference and the threshold nothing is decided.
        shown, none = found.above(threshold, family), found.above(-TOLERANCE, family)
        holds = True if shown else False if none is False else None
    return part(what, found, holds, null=null, floor=floor)


def seed_rotates(evidence: Evidence) -> Finding:
    """10: another seed rotates the update more than another loss does, on the input side only.

    With three seeds of every arm: for each pair of losses (without DPO), the cosine at one seed
    exceeds the mean cosine of the two's own repeats at other seeds by over .02; for each loss u1
    between seeds is at least .9 and v1 at most .5. Those seeds change the init and the data order.
    Without seeds the same of the first arm's other inits, of which one pair decides nothing. Where
    paths were measured, no barrier stands between two seeds of one loss.
    """
    arms = [evidence.arm(name) for name in WITHOUT_DPO]
    seeds = evidence.seeds(*arms)
    parts = _of_seeds(evidence, arms, seeds) if seeds else _of_inits(evidence, arms)
    paths = no_barrier_between_seeds(evidence, arms)
    if seeds:
        own = [value for arm in arms for value in evidence.repeats(arm, "cosine", seeds)]
        how = f"cosines between {len(seeds)} seeds {span(own)}"
    else:
        floor = evidence.floor("other init, same order")
        how = f"cosine between inits {span(floor.cosines)}"
    losses = [evidence.at_one_seed(a, b, "cosine", seeds or (0,)) for a, b in combinations(arms, 2)]
    found = f"{how}, between losses {span(losses)} ({evidence.beside(arms[0].name, arms[1].name)})"
    if not paths:
        found += "; no path between seeds measured"
    return Finding((*parts, *paths), f"{found}; {count((*parts, *paths))}")


def _of_seeds(
    evidence: Evidence, arms: Sequence[Cell], seeds: Sequence[int]
) -> tuple[ClaimPart, ...]:
    pairs = list(combinations(arms, 2))
    family = len(pairs) + 2 * len(arms)
    rotated = [
        attempt(_what(a, b), partial(_rotated, evidence, a, b, seeds, family)) for a, b in pairs
    ]
    turned = [
        attempt(
            f"{side} {BETWEEN} {arm.name}", partial(_turned, evidence, arm, side, seeds, family)
        )
        for arm in arms
        for side in (OUTPUT, INPUT)
    ]
    return (*rotated, *turned)


def _rotated(evidence: Evidence, a: Cell, b: Cell, seeds: Sequence[int], family: int) -> ClaimPart:
    def less(kept: Sequence[int]) -> float:
        own = [*evidence.repeats(a, "cosine", kept), *evidence.repeats(b, "cosine", kept)]
        return evidence.at_one_seed(a, b, "cosine", kept) - fmean(own)

    own = [evidence.repeats(arm, "cosine", seeds) for arm in (a, b)]
    spread = max(max(values) - min(values) for values in own)
    found = over_seeds(seeds, less)
    return part(_what(a, b), found, found.above(TOLERANCE, family), null=0.0, floor=spread)


def _turned(
    evidence: Evidence, arm: Cell, side: str, seeds: Sequence[int], family: int
) -> ClaimPart:
    found = over_seeds(seeds, lambda kept: fmean(evidence.repeats(arm, side, kept)))
    holds = found.above(AGREE, family) if side == OUTPUT else found.below(ROTATED, family)
    other = evidence.by_seed(arm)[seeds[1]]
    return _side(
        evidence, arm, other, side, (f"{side} {BETWEEN} {arm.name}", found.clipped(), holds)
    )


def _of_inits(evidence: Evidence, arms: Sequence[Cell]) -> tuple[ClaimPart, ...]:
    floor = evidence.floor("other init, same order")
    inits = list(combinations(floor.runs, 2))
    several = len(inits) > 1
    over = "none: " + ("one run of each loss" if several else "one pair of inits decides nothing")
    drop = optional(evidence.cosine_drop)
    parts = []
    for a, b in combinations(arms, 2):
        less = Estimate(evidence.read(a.name, b.name, "cosine") - max(floor.cosines), over=over)
        holds = None
        if several and drop is not None:
            holds = exceeds(less.value, 0, max(TOLERANCE, drop))
        what = f"cosine of {a.name} and {b.name} less the largest between inits"
        parts.append(part(what, less, holds, null=0.0, floor=drop))
    for side, pick in ((OUTPUT, min), (INPUT, max)):
        found = Estimate(pick(evidence.read(a, b, side) for a, b in inits), over=over)
        turned = found.value >= AGREE if side == OUTPUT else found.value <= ROTATED
        what = f"{side} between inits, the {'lowest' if pick is min else 'highest'}"
        told = what, found, turned if several else None
        parts.append(_side(evidence, arms[0], inits[0][1], side, told))
    return tuple(parts)


def _side(
    evidence: Evidence, arm: Cell, other: str, side: str, told: tuple[str, Estimate, bool | None]
) -> ClaimPart:
    """Agreement of one side between seeds, beside the data order's alone."""
    null = optional(lambda: evidence.null_high(arm.name, other, side, "independent"))
    floor = optional(lambda: min(_by_order(evidence, side)))
    return part(*told, null=null, floor=floor)


def between(evidence: Evidence, a: Cell, b: Cell, measure: str) -> Estimate:
    """A measure of two arms at one seed, over seeds where there are enough."""
    seeds = evidence.seeds(a, b)
    if seeds:
        return over_seeds(seeds, partial(evidence.at_one_seed, a, b, measure))
    return Estimate(evidence.read(a.name, b.name, measure))


def _gap(evidence: Evidence, a: Cell, b: Cell) -> Estimate:
    seeds = evidence.seeds(a, b)

    def gap(kept: Sequence[int]) -> float:
        sides = (evidence.at_one_seed(a, b, side, kept) for side in (INPUT, OUTPUT))
        return next(sides) - next(sides)

    return over_seeds(seeds, gap) if seeds else Estimate(gap((a.seed,)))


def _by_order(evidence: Evidence, measure: str) -> list[float]:
    return [evidence.read(a, b, measure) for a, b in evidence.order_pairs()]


def _input_nulls(evidence: Evidence) -> list[float]:
    """What strangers share by their inputs alone: upper points of v1, where measured."""
    behaviour = evidence.results.behaviour
    similarity = behaviour.similarity if behaviour else None
    nulls = similarity.input_nulls if similarity else None
    return [bands[INPUT].high for bands in nulls.whole.values() if INPUT in bands] if nulls else []


def _told(evidence: Evidence, a: Cell, b: Cell, measure: str) -> str:
    value = optional(lambda: between(evidence, a, b, measure).value)
    return "not measured" if value is None else number(value)


def _how(evidence: Evidence, *arms: Cell) -> str:
    seeds = evidence.seeds(*arms)
    return f"means over {len(seeds)} seeds" if seeds else "one run of each"


def _what(a: Cell, b: Cell) -> str:
    return f"cosine of {a.name} and {b.name} at one seed, less that of their repeats"
