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
    low: tuple[float | None, ...]  # bootstrap 95 % intervals over items
    high: tuple[float | None, ...]
    barrier: Reading
    barrier_at: float | None  # position of the barrier
    midpoint: Reading
    midpoint_low: float | None
    midpoint_high: float | None
    monotone: bool | None  # the loss never turns by more than its interval along the segment
    accuracy: tuple[float | None, ...] = ()  # greedy, by position; empty unless asked for
    bare_answer: tuple[float | None, ...] = ()  # the paper's CE of the bare gold answer


class Connectivity(Frozen):
    """All segments of one comparison, on the same items."""

    texts: Literal["reference solutions", "held-out rollouts"]
    items: int
    tokens: int
    draws: int  # of the bootstrap
    base: str
    base_loss: float | None
    segments: tuple[Segment, ...]
