"""Claims about the loss along straight lines between runs.

A barrier is the midpoint's loss above its chord, fixed beforehand, with its interval over items.
Not shown is not absent: no barrier means that the interval's upper end is at most .01 nats a token
above what stands between two seeds of one arm, and a barrier that its lower end is above that.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from goniometer.claims.evidence import Evidence
from goniometer.claims.parts import Estimate, Finding, NotMeasuredError, attempt, count, part
from goniometer.results import Cell, ClaimPart, Connectivity, Segment

# Nats a token: what the paper prints are whole nats, of a bare answer.
FLAT = 0.01
PROBLEMS = "problems (bootstrap), one run of each"


def in_the_basin(evidence: Evidence) -> Finding:
    """5: from SFT to Offline GRPO the loss is monotone and no barrier stands between them.

    Monotone: it does not both rise and fall by over .01 nats a token, nor surely beyond the band of
    all differences along the segment. So a valley between the two is not monotone either, as the
    paper has it, though it is no barrier.
    """
    sft, grpo = evidence.arm("sft"), evidence.arm("offline_grpo")
    paths, segments = _connectivity(evidence), _segments(evidence, [(sft, grpo)])
    floor, family = _floor(evidence, paths), 2 * len(segments)
    parts = [
        *(attempt(_turns(one), partial(_monotone, evidence, paths, one)) for one in segments),
        *(attempt(_above(one), partial(_flat, paths, one, floor, family)) for one in segments),
    ]
    return Finding(tuple(parts), f"{_told(evidence, paths, segments)}; {count(parts)}")


def behind_a_barrier(evidence: Evidence) -> Finding:
    """7: between DPO at SFT's learning rate and each of SFT and RIFT stands a barrier."""
    dpo = evidence.arm("dpo")
    ends = [(evidence.arm(name), dpo) for name in ("rift", "sft")]
    paths, segments = _connectivity(evidence), _segments(evidence, ends)
    floor = _floor(evidence, paths)
    parts = [
        attempt(_above(one), partial(_barrier, paths, one, floor, len(segments)))
        for one in segments
    ]
    return Finding(tuple(parts), f"{_told(evidence, paths, segments)}; {count(parts)}")


def no_barrier_between_seeds(evidence: Evidence, arms: Sequence[Cell]) -> tuple[ClaimPart, ...]:
    """10's last part: the midpoint between two seeds of an arm is not above the chord.

    Here the repeats are what is asked about: they are held against a flat segment.
    """
    try:
        paths = _connectivity(evidence)
    except NotMeasuredError:
        return ()
    names = {arm.name for arm in arms}
    segments = [one for one in paths.segments if _repeat(evidence, one, inits=True) in names]
    return tuple(
        attempt(_above(one), partial(_flat, paths, one, 0.0, len(segments))) for one in segments
    )


def _barrier(paths: Connectivity, one: Segment, floor: float | None, family: int) -> ClaimPart:
    found = midpoint(paths, one)
    shown, absent = found.above(_threshold(floor)), found.above(FLAT, family) is False
    # Between what is flat and what a repeat shows too, nothing is decided.
    holds = True if shown else False if absent else None
    return part(_above(one), found, holds, null=0.0, floor=floor)


def _flat(paths: Connectivity, one: Segment, floor: float | None, family: int) -> ClaimPart:
    found = midpoint(paths, one)
    return part(_above(one), found, found.below(_threshold(floor), family), null=0.0, floor=floor)


def _monotone(evidence: Evidence, paths: Connectivity, one: Segment) -> ClaimPart:
    turn = _turn(one)
    repeats = [_turn(repeat) for repeat in _repeats(evidence, paths)]
    floor = max(repeats, default=None)
    over = "none: judged by a simultaneous band of all differences along the segment"
    holds = None
    if one.monotone and turn <= FLAT:
        holds = True
    elif one.monotone is False and turn > FLAT + (floor or 0.0):  # and more than a repeat does
        holds = False
    return part(_turns(one), Estimate(turn, over=over), holds, null=0.0, floor=floor)


def _threshold(floor: float | None) -> float:
    return max(0.0, floor or 0.0) + FLAT


def _above(one: Segment) -> str:
    return f"midpoint of {one.start} and {one.end} above the chord"


def _turns(one: Segment) -> str:
    return f"loss between {one.start} and {one.end} both rises and falls by"


def midpoint(paths: Connectivity, one: Segment) -> Estimate:
    """The pre-fixed contrast of a segment, with its interval over items."""
    if one.midpoint.value is None:
        raise NotMeasuredError(f"{one.start} to {one.end}: {one.midpoint.undefined}")
    known = one.midpoint_low is not None and one.midpoint_high is not None
    over = PROBLEMS if known else "none: the bootstrap has no interval"
    return Estimate(one.midpoint.value, one.midpoint_low, one.midpoint_high, over, paths.items)


def _connectivity(evidence: Evidence) -> Connectivity:
    found = evidence.behaviour.connectivity
    if found is None:
        raise NotMeasuredError(
            "the loss along paths was not measured: run `goniometer study` on this study again"
        )
    return found


def _segments(evidence: Evidence, ends: Sequence[tuple[Cell, Cell]]) -> list[Segment]:
    """Segments between two arms at one seed, of every seed that was measured; the first is due."""
    paths = _connectivity(evidence)
    by_ends = {frozenset((one.start, one.end)): one for one in paths.segments}
    found = []
    for a, b in ends:
        mine, theirs = evidence.by_seed(a), evidence.by_seed(b)
        if frozenset((a.name, b.name)) not in by_ends:
            raise NotMeasuredError(f"no path between {a.name} and {b.name} was measured")
        keys = [frozenset((mine[seed], theirs[seed])) for seed in mine if seed in theirs]
        found += [by_ends[key] for key in keys if key in by_ends]
    return found


def _repeats(evidence: Evidence, paths: Connectivity) -> list[Segment]:
    """Segments between two runs of one arm that differ by seed alone."""
    return [one for one in paths.segments if _repeat(evidence, one) is not None]


def _repeat(evidence: Evidence, one: Segment, *, inits: bool = False) -> str | None:
    """The arm that both ends repeat; with `inits` only where their inits differ."""
    cells = {cell.name: cell for cell in evidence.study.cells}
    a, b = cells.get(one.start), cells.get(one.end)
    if a is None or b is None or a.arm != b.arm:
        return None
    alike = [(c.learning_rate, c.wrong_share, c.state == "trained") for c in (a, b)]
    if alike[0] != alike[1] or (inits and a.init_seed == b.init_seed):
        return None
    return a.arm


def _floor(evidence: Evidence, paths: Connectivity) -> float | None:
    """How far a midpoint between two runs of one arm may be above its chord."""
    ends = [one.midpoint_high for one in _repeats(evidence, paths)]
    return max((end for end in ends if end is not None), default=None)


def _turn(one: Segment) -> float:
    """The smaller of the largest rise and the largest fall along a segment; 0 if monotone."""
    losses = [value for value in one.loss if value is not None]
    if len(losses) < len(one.loss):
        raise NotMeasuredError(f"{one.start} to {one.end}: the loss is not finite everywhere")
    rise = fall = 0.0
    low = high = losses[0]
    for _, value in pairwise(losses):
        low, high = min(low, value), max(high, value)
        rise, fall = max(rise, value - low), max(fall, high - value)
    return min(rise, fall)


def _told(evidence: Evidence, paths: Connectivity, segments: Sequence[Segment]) -> str:
    repeats = _repeats(evidence, paths)
    each = ", ".join(
        f"{one.start} to {one.end} "
        + ("undefined" if one.midpoint.value is None else f"{one.midpoint.value:.3f}")
        for one in segments
    )
    known = [one.midpoint.value for one in repeats if one.midpoint.value is not None]
    beside = (
        f"between repeats {min(known):.3f} to {max(known):.3f}"
        if known
        else "no path between two runs of one arm: no floor"
    )
    return f"midpoint above the chord, nats a token of {paths.texts}: {each} ({beside})"
