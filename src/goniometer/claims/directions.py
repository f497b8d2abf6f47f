"""Claims about the directions and sizes of the updates.

Every rule compares with the study's own seed floor; "the tolerance" is the drop of a cosine by
another data order alone (`Evidence.cosine_tolerance`), .02 at least.
"""

import math
from collections.abc import Sequence

from goniometer.claims.evidence import (
    TOLERANCE,
    WITHOUT_DPO,
    Evidence,
    Finding,
    NotMeasuredError,
    each_pair,
    exceeds,
    number,
    settle,
    span,
)
from goniometer.results import Cell

# The paper calls .967 colinear and .065 near-orthogonal; our cuts leave room on both sides.
COLINEAR = 0.95
NEAR_ORTHOGONAL = 0.10
# Agreement of top singular vectors: the paper calls .94 agreement, .07 a rotation.
AGREE = 0.90
ROTATED = 0.50


def colinear(evidence: Evidence) -> Finding:
    """1: each cosine among SFT, RFT and RIFT is at least .95 and not below the floor's bound.

    The three share a data order, and so its noise, which the floor's runs do not: not below the
    bound is here weaker than for two runs of other orders, and .95 is what decides.
    """
    pairs = each_pair([evidence.arm(name) for name in ("sft", "rft", "rift")])
    cosines = [evidence.read(a, b, "cosine") for a, b in pairs]
    found = f"cosine {_listed(pairs, cosines)} ({evidence.beside(*pairs[0])})"
    low = evidence.order_low()
    return Finding(settle(min(cosines) >= COLINEAR, min(cosines) >= low), found)


def dft_diverges(evidence: Evidence) -> Finding:
    """3: DFT's cosine to SFT is below that of RFT, RIFT and Offline GRPO by over the tolerance."""
    sft, dft = evidence.arm("sft").name, evidence.arm("dft").name
    others = [evidence.arm(name).name for name in ("rft", "rift", "offline_grpo")]
    cosine = evidence.read(sft, dft, "cosine")
    theirs = [evidence.read(sft, other, "cosine") for other in others]
    tolerance = evidence.cosine_tolerance()
    found = (
        f"cosine to {sft}: {dft} {number(cosine)}, {_named(others, theirs)}; "
        f"tolerance {number(tolerance)} ({evidence.beside(sft, dft)})"
    )
    return Finding(settle(*(exceeds(other, cosine, tolerance) for other in theirs)), found)


def grpo_adds_late(evidence: Evidence) -> Finding:
    """4: Offline GRPO is off SFT's direction, and more so in late layers.

    Its cosine to SFT is below the floor's bound; the mean off_direction of the last seventh of
    the layers exceeds that of the middle third by .02 more than for any pair of replicates. No
    growth at all refutes; growth that replicates show too leaves it open. The part left over,
    that it is an *added* component, is no more than this cosine says.
    """
    sft, grpo = evidence.arm("sft").name, evidence.arm("offline_grpo").name
    cosine, low = evidence.read(sft, grpo, "cosine"), evidence.order_low()
    growth = _late_growth(evidence, sft, grpo)
    runs = evidence.floor("same init, other order").runs
    by_order = [_late_growth(evidence, a, b) for i, a in enumerate(runs) for b in runs[i + 1 :]]
    off = number(evidence.read(sft, grpo, "off_direction"))
    found = (
        f"cosine {number(cosine)}, off-direction {off} of norm; late less middle layers "
        f"{number(growth)}, replicates {span(by_order)} ({evidence.beside(sft, grpo)})"
    )
    grows, shrinks = max(0.0, *by_order) + TOLERANCE, min(0.0, *by_order) - TOLERANCE
    late = True if growth > grows else False if growth < shrinks else None
    return Finding(settle(cosine < low, late), found)


def dpo_apart(evidence: Evidence) -> Finding:
    """6: DPO at SFT's learning rate is near-orthogonal, of higher rank, and smaller.

    To each of SFT, RFT and RIFT: |cosine| at most .10; effective rank higher and norm lower by
    over 10 % and by more than the replicates differ. Other learning rates are printed beside it.
    """
    dpo = evidence.arm("dpo")
    others = [evidence.arm(name) for name in ("sft", "rft", "rift")]
    cosines = [evidence.read(dpo.name, other.name, "cosine") for other in others]
    parts: list[bool | None] = [abs(cosine) <= NEAR_ORTHOGONAL for cosine in cosines]
    for measure, sign in (("effective_rank", 1), ("norm", -1)):
        tolerance = math.log(evidence.size_factor(measure))
        ratios = _log_ratios(evidence, dpo, others, measure)
        parts += [exceeds(sign * ratio, 0, tolerance) for ratio in ratios]
    cells = [dpo, *(cell for cell in evidence.arms("dpo") if cell is not dpo)]
    found = "; ".join(_apart(evidence, cell, others) for cell in cells)
    return Finding(settle(*parts), f"{found} ({evidence.beside(dpo.name, others[0].name)})")


def _apart(evidence: Evidence, cell: Cell, others: Sequence[Cell]) -> str:
    try:
        cosines = [evidence.read(cell.name, other.name, "cosine") for other in others]
        rank, norm = (
            span([math.exp(x) for x in _log_ratios(evidence, cell, others, measure)])
            for measure in ("effective_rank", "norm")
        )
    except NotMeasuredError as reason:  # of a cell that stands beside the claim, not under it
        return f"{cell.name}: {reason}"
    return f"{cell.name}: cosine {span(cosines)}, rank x {rank}, norm x {norm}"


def _log_ratios(
    evidence: Evidence, cell: Cell, others: Sequence[Cell], measure: str
) -> list[float]:
    mine = evidence.size(cell.name, measure)
    theirs = [evidence.size(other.name, measure) for other in others]
    if min(mine, *theirs) <= 0:
        raise NotMeasuredError(f"a {measure} of 0 among {cell.name} and what it is compared with")
    return [math.log(mine / other) for other in theirs]


def inputs_agree(evidence: Evidence) -> Finding:
    """9: input directions agree, output directions differ.

    v1 is at least .9 in every pair without DPO, and exceeds u1 by over .02 between SFT and each
    of DFT, Offline GRPO and DPO. Where v1 is not above the shared-A0 null the agreement may be
    the common initialisation's alone, and the claim stays open.
    """
    pairs = each_pair([evidence.arm(name) for name in WITHOUT_DPO])
    v1 = [evidence.read(a, b, "v1") for a, b in pairs]
    null = [evidence.null_high(a, b, "v1", "shared_A0") for a, b in pairs]
    sft = evidence.arm("sft").name
    apart = [(sft, evidence.arm(name).name) for name in ("dft", "offline_grpo", "dpo")]
    sides = [(evidence.read(a, b, "v1"), evidence.read(a, b, "u1")) for a, b in apart]
    above_null = all(v > high for v, high in zip(v1, null, strict=True)) or None
    found = f"v1 {span(v1)} without DPO (shared_A0 null to {number(max(null))}); v1 and u1: " + (
        ", ".join(
            f"{a} to {b} {number(v)} and {number(u)}"
            for (a, b), (v, u) in zip(apart, sides, strict=True)
        )
    )
    differ = [exceeds(v, u, TOLERANCE) for v, u in sides]
    return Finding(settle(min(v1) >= AGREE, above_null, *differ), found)


def seed_rotates(evidence: Evidence) -> Finding:
    """10: another init rotates the update more than another loss does, on the input side only.

    Every cosine between inits of one objective is below every cosine between losses of one init
    (without DPO) by over the tolerance; between inits u1 is at least .9 and v1 at most .5. One
    pair of inits decides nothing.
    """
    floor = evidence.floor("other init, same order")
    pairs = each_pair([evidence.arm(name) for name in WITHOUT_DPO])
    losses = [evidence.read(a, b, "cosine") for a, b in pairs]
    inits = [(a, b) for i, a in enumerate(floor.runs) for b in floor.runs[i + 1 :]]
    u1 = [evidence.read(a, b, "u1") for a, b in inits]
    v1 = [evidence.read(a, b, "v1") for a, b in inits]
    more = exceeds(min(losses), max(floor.cosines), evidence.cosine_tolerance())
    found = (
        f"cosine between inits {span(floor.cosines)} (pairs: {len(inits)}), between losses "
        f"{span(losses)}; between inits u1 {span(u1)}, v1 {span(v1)} "
        f"({evidence.beside(*pairs[0])}); no path measured"
    )
    if len(inits) == 1:
        return Finding("not measured", f"one pair of inits decides nothing; {found}")
    return Finding(settle(more, min(u1) >= AGREE, max(v1) <= ROTATED), found)


def rate_rotates(evidence: Evidence) -> Finding:
    """11: between two learning rates of one objective the cosine is below the floor's bound.

    And the norm grows with the rate by over 10 % and by more than the replicates differ. The
    floor is of the floors' arm, whatever the objective whose rates differ.
    """
    slow, fast = _two_rates(evidence)
    cosine, low = evidence.read(slow.name, fast.name, "cosine"), evidence.order_low()
    (ratio,) = _log_ratios(evidence, fast, [slow], "norm")
    found = (
        f"{slow.name} to {fast.name}, {fast.learning_rate / slow.learning_rate:.3g}x the rate: "
        f"cosine {number(cosine)}, norm x {math.exp(ratio):.3g} "
        f"({evidence.beside(slow.name, fast.name)})"
    )
    scales = exceeds(ratio, 0, math.log(evidence.size_factor("norm")))
    # A cosine that the floor allows does not show that nothing rotated.
    return Finding(settle(True if cosine < low else None, scales), found)


def _two_rates(evidence: Evidence) -> tuple[Cell, Cell]:
    """The slowest and the fastest trained run of the first objective that has two rates.

    Runs of a grid count that differ from their arm in the rate alone; arms with a floor go first.
    """
    cells = [
        c
        for c in evidence.study.cells
        if c.state == "trained" and c.role != "floor" and c.seed == 0 and c.wrong_share is None
    ]
    floors = {floor.arm for floor in evidence.results.comparison.floors}
    for first in sorted(cells, key=lambda c: c.arm not in floors):
        alike = [c for c in cells if _recipe(c) == _recipe(first)]
        slow, fast = (pick(alike, key=lambda c: c.learning_rate) for pick in (min, max))
        if slow.learning_rate < fast.learning_rate:
            return slow, fast
    raise NotMeasuredError("no objective was trained at two learning rates")


def _recipe(cell: Cell) -> tuple[object, ...]:
    return (cell.objective, cell.options, cell.regime, cell.init_seed, cell.order_seed)


def _late_growth(evidence: Evidence, a: str, b: str) -> float:
    """Mean off_direction of the last seventh of the layers less that of the middle third."""
    layers = evidence.results.comparison.layers
    third, seventh = len(layers) // 3, max(1, len(layers) // 7)
    if third == 0:
        raise NotMeasuredError(f"{len(layers)} layers: no middle and late ones to tell apart")
    off = [evidence.read(a, b, "off_direction", f"layer.{layer}") for layer in layers]
    middle, late = off[third : len(layers) - third], off[-seventh:]
    return sum(late) / len(late) - sum(middle) / len(middle)


def _named(names: Sequence[str], values: Sequence[float]) -> str:
    return ", ".join(f"{name} {number(v)}" for name, v in zip(names, values, strict=True))


def _listed(pairs: Sequence[tuple[str, str]], values: Sequence[float]) -> str:
    return _named([f"{a} to {b}" for a, b in pairs], values)
