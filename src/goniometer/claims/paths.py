"""Claims about the loss along straight lines between runs.

A barrier is the midpoint's loss above its chord, fixed beforehand, with its interval over items.
Not shown is not absent: no barrier means that the interval's upper end is at most .01 nats a token
above what stands between two seeds of one arm, and a barrier that its lower end is above that.
"""

from collections.abc import Sequence
from functools import partial

from goniometer.claims.evidence import Evidence
from goniometer.claims.parts import Estimate, Finding, NotMeasuredError, attempt, count, part
from goniometer.results import Cell, ClaimPart, Connectivity, Segment

# Nats a token: what the paper prints are whole nats, of a bare answer.
FLAT = 0.01
PROBLEMS = "problems (bootstrap), one run of each"


def in_the_basin(evidence: Evidence) -> Finding:
    """5: from SFT to Offline GRPO no hump and no barrier stands between them.

    The paper's reason is that losses are monotone along the segment. What leaves a basin is a hump,
    a rise with a fall after it, of over .01 nats a token; it refutes only where the path turns
    beyond the band of all its differences, and by more than between repeats. A valley is not
    monotone either, and is one basin.
    """
    sft, grpo = evidence.arm("sft"), evidence.arm("offline_grpo")
    paths, segments = _connectivity(evidence), _segments(evidence, [(sft, grpo)])
    floor, family = _floor(evidence, paths), 2 * len(segments)
    parts = [
        *(attempt(_hump(one), partial(_humped, evidence, paths, one)) for one in segments),
        *(attempt(_above(one), partial(_flat, paths, one, floor, family)) for one in segments),
    ]
    turns = {True: "not shown to turn", False: "surely turns", None: "turns unknown"}
    told = ", ".join(f"{one.start} to {one.end} {turns[one.monotone]}" for one in segments)
    return Finding(tuple(parts), f"{_told(evidence, paths, segments)}; {told}; {count(parts)}")


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


def _humped(evidence: Evidence, paths: Connectivity, one: Segment) -> ClaimPart:
    height = _height(one)
    floor = max((_height(repeat) for repeat in _repeats(evidence, paths)), default=None)
    over = "the height that 95 % of bootstrap draws over items stay below"
    holds = None
    if one.hump_high is not None and one.hump_high <= FLAT:
        holds = True
    elif one.monotone is False and height > FLAT + (floor or 0.0):
        holds = False
    low = None if one.hump_high is None else 0.0
    found = Estimate(height, low, one.hump_high, over, paths.items)
    return part(_hump(one), found, holds, null=0.0, floor=floor)


def _threshold(floor: float | None) -> float:
    return max(0.0, floor or 0.0) + FLAT


def _above(one: Segment) -> str:
    return f"midpoint of {one.start} and {one.end} above the chord"


def _hump(one: Segment) -> str:
    return f"highest hump between {one.start} and {one.end}"


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


def _height(one: Segment) -> float:
    """How far the loss rises above what lies before and after it, at most; 0 without a hump."""
    if one.hump is None:
        raise NotMeasuredError(f"{one.start} to {one.end}: the loss is not finite everywhere")
    return one.hump


def _told(evidence: Evidence, paths: Connectivity, segments: Sequence[Segment]) -> str:
    repeats = _repeats(evidence, paths)
    each = ", ".join(
        f"{one.start} to {one.end} "
        + ("undefined" if one.midpoint.value is None else f"{one.midpoint.value:.2g}")
        for one in segments
    )
    known = [one.midpoint.value for one in repeats if one.midpoint.value is not None]
    beside = (
        f"between repeats {max(known):.2g} at most"
        if known
        else "no path between two runs of one arm: no floor"
    )
    return f"midpoint above the chord, nats a token of {paths.texts}: {each} ({beside})"
