"""Losses along straight lines between runs, and from the base to each."""

from typing import Literal

from goniometer.results.values import Frozen, Reading


class Segment(Frozen):
    """L(x) along (1 - x) start + x end; x = 0 is `start`, x = 1 is `end`.

    The barrier max_x [L(x) - (1 - x) L(0) - x L(1)] is never negative (0 at the ends), so its test
    is the midpoint contrast L(1/2) - (L(0) + L(1)) / 2, fixed beforehand, with an interval over
    items. The paper's alpha weighs its first run: alpha = 1 - x for the pair (start, end).
    """

    start: str  # a run, or the base
    end: str
    positions: tuple[float, ...]
    loss: tuple[float | None, ...]  # nats a token; None where it is not finite
    # Bootstrap 95 % intervals over items, which all points share; None with a single item.
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    barrier: Reading
    barrier_at: float | None  # position of the barrier; None where no point is above the chord
    midpoint: Reading
    midpoint_low: float | None
    midpoint_high: float | None
    # False where the loss rises somewhere and falls elsewhere, both beyond a simultaneous 95 %
    # band of the differences between all positions; None where that cannot be told.
    monotone: bool | None
    # How far the loss rises above the least before and the least after it, at most; 95 % of the
    # bootstrap draws have no higher a hump. None where a loss is not finite.
    hump: float | None = None
    hump_high: float | None = None
    # Greedy, by position; empty unless asked for, None where it was not or nothing was graded.
    accuracy: tuple[float | None, ...] = ()
    # Nats a token of the gold `\boxed{answer}` directly after the prompt, the paper's measure:
    # how likely a run answers without thinking. Empty unless asked for.
    bare_answer: tuple[float | None, ...] = ()


class Connectivity(Frozen):
    """All segments of one comparison, on the same items."""

    texts: Literal["reference solutions", "held-out rollouts"]
    items: int  # problems: what is resampled
    tokens: int
    draws: int  # of the bootstrap
    base: str  # what the segments call the base
    base_loss: float | None
    segments: tuple[Segment, ...]
