"""The claim about the similarity of activations: debiased CKA by layer.

Means over layers take the means of their intervals' ends: the layers are of the same tokens, and
a mean of correlated estimates is never less sure than its terms are on average.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

from goniometer.claims.evidence import Evidence
from goniometer.claims.parts import (
    Estimate,
    Finding,
    NotMeasuredError,
    attempt,
    count,
    part,
    spanned,
)
from goniometer.results import BASE, ClaimPart, LayerSimilarity, Similarity

# Half way between the .93 and .45 that the paper prints; half of that fall.
COLLAPSED = 0.70
FALL = 0.24
ALIKE = 0.99
PROMPTS = "prompts (jackknife over groups), one run of each"


def collapses(evidence: Evidence) -> Finding:
    """8: DPO's late-layer CKA collapses, SFT's to RIFT is above .99 in every layer.

    DPO at SFT's learning rate, to the base and to SFT: its mean over the last third of the layers
    is below .70 and below the two-seed ceiling's, and falls there from that of the middle third by
    over .24, half of the paper's fall, and by more than the ceiling's does. SFT to RIFT: every
    layer's interval is above .99; refuted by a layer below .99 by its interval widened for their
    number. The embedding, which all runs may share, is none of the layers.
    """
    dpo, sft, rift = (evidence.arm(name).name for name in ("dpo", "sft", "rift"))
    found = evidence.behaviour.similarity
    if found is None:
        raise NotMeasuredError(
            "the similarity of activations was not measured: run `goniometer study` on this study "
            "again"
        )
    late = [
        attempt(f"late CKA of {dpo} and {to}", partial(_late, found, dpo, to)) for to in (BASE, sft)
    ]
    falls = [
        attempt(f"fall of CKA of {dpo} and {to}", partial(_falls, found, dpo, to))
        for to in (BASE, sft)
    ]
    alike = attempt(f"lowest CKA of {sft} and {rift}", partial(_alike, found, sft, rift))
    parts = (*late, *falls, alike)
    ceiling = "none: no floor" if found.ceiling is None else " and ".join(found.ceiling)
    return Finding(
        parts,
        f"late CKA of {dpo} to {BASE} and {sft} {spanned(late)}, fall from middle layers "
        f"{spanned(falls)}; {sft} to {rift} at least {spanned((alike,))} (two-seed ceiling "
        f"{ceiling}; random features to {found.random_features.high:.3f}; {found.positions}, "
        f"n {found.tokens}, d {found.width}); {count(parts)}",
    )


def _late(found: Similarity, a: str, b: str) -> ClaimPart:
    late = _mean(found, _third(_layers(found, a, b), last=True))
    floor = _of_ceiling(found, lambda layers: _mean(found, _third(layers, last=True)))
    lowest = None if floor is None else floor.value if floor.low is None else floor.low
    low = late.below(COLLAPSED, 5)
    # A repeat that collapses too shows nothing of DPO.
    if low and lowest is not None and (late.high is None or late.high >= lowest):
        low = None
    return part(
        f"late CKA of {a} and {b}", late, low, null=found.random_features.high, floor=lowest
    )


def _falls(found: Similarity, a: str, b: str) -> ClaimPart:
    fall = _fall(found, _layers(found, a, b))
    floor = _of_ceiling(found, lambda layers: _fall(found, layers))
    most = None if floor is None else floor.value if floor.high is None else floor.high
    falls = fall.above(FALL, 5)
    if falls and most is not None and (fall.low is None or fall.low <= most):
        falls = None
    return part(f"fall of CKA of {a} and {b}, middle to late", fall, falls, null=0.0, floor=most)


def _alike(found: Similarity, a: str, b: str) -> ClaimPart:
    layers = _blocks(_layers(found, a, b))
    each = [_estimate(found, layer) for layer in layers]
    lowest = min(each, key=lambda one: one.value)
    states = [one.above(ALIKE, len(layers)) for one in each]
    holds = False if False in states else None if None in states else True
    floor = _of_ceiling(
        found,
        lambda layers: min(
            (_estimate(found, one) for one in _blocks(layers)), key=lambda e: e.value
        ),
    )
    return part(
        f"lowest CKA of {a} and {b}", lowest, holds, null=found.random_features.high,
        floor=None if floor is None else floor.value,
    )  # fmt: skip


def _layers(found: Similarity, a: str, b: str) -> tuple[LayerSimilarity, ...]:
    for pair in found.pairs:
        if {pair.a, pair.b} == {a, b}:
            return pair.layers
    raise NotMeasuredError(f"no similarity of {a} and {b}")


def _of_ceiling(
    found: Similarity, read: Callable[[Sequence[LayerSimilarity]], Estimate]
) -> Estimate | None:
    return None if found.ceiling is None else read(_layers(found, *found.ceiling))


def _blocks(layers: Sequence[LayerSimilarity]) -> list[LayerSimilarity]:
    return [layer for layer in layers if layer.layer > 0]


def _third(layers: Sequence[LayerSimilarity], *, last: bool) -> Sequence[LayerSimilarity]:
    """The last third of the blocks' outputs, or the middle one."""
    blocks = _blocks(layers)
    third = len(blocks) // 3
    if third == 0:
        raise NotMeasuredError(f"{len(blocks)} layers: no middle and late ones to tell apart")
    return blocks[-third:] if last else blocks[third:-third]


def _estimate(found: Similarity, layer: LayerSimilarity) -> Estimate:
    if layer.cka.value is None:
        raise NotMeasuredError(f"CKA at layer {layer.layer} is undefined: {layer.cka.undefined}")
    over = "none: too few groups of prompts" if layer.low is None else PROMPTS
    return Estimate(layer.cka.value, layer.low, layer.high, over, found.prompts, _freedom(found))


def _freedom(found: Similarity) -> float:
    return max(1.0, found.groups - 1.0)


def _mean(found: Similarity, layers: Sequence[LayerSimilarity]) -> Estimate:
    each = [_estimate(found, layer) for layer in layers]
    lows = [one.low for one in each if one.low is not None]
    highs = [one.high for one in each if one.high is not None]
    known = len(lows) == len(highs) == len(each)
    return Estimate(
        fmean(one.value for one in each),
        fmean(lows) if known else None,
        fmean(highs) if known else None,
        f"{PROMPTS}, ends averaged over layers" if known else each[0].over,
        found.prompts,
        _freedom(found),
    )


def _fall(found: Similarity, layers: Sequence[LayerSimilarity]) -> Estimate:
    middle, late = (_mean(found, _third(layers, last=last)) for last in (False, True))
    low, high = (
        None if one is None or other is None else one - other
        for one, other in ((middle.low, late.high), (middle.high, late.low))
    )
    return Estimate(middle.value - late.value, low, high, late.over, found.prompts, late.freedom)
