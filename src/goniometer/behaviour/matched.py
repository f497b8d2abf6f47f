"""Updates made as large as another one, without training: by norm, or by how far they move.

Two runs that differ in learning rate differ in size too, and what a size does is no property of an
objective. A rescaled update is a straight line from the base: no run that was trained longer.
"""

import math
from collections.abc import Callable, Mapping

from goniometer.deltas import AbstractMatrix
from goniometer.results import Reading

TOLERANCE = 0.01  # of the KL that is asked for
WIDEST = 64.0  # factors up to this one, and down to its inverse, are tried
_HALVINGS = 40


def norm(delta: Mapping[str, AbstractMatrix]) -> float:
    """Frobenius norm of a whole update."""
    return math.sqrt(sum(delta[name].inner(delta[name]) for name in delta))


def factor_by_norm(own: float, target: float) -> Reading:
    """What an update of norm `own` must be multiplied with to have the norm `target`."""
    if not own > 0:
        return Reading(undefined="a zero delta stays one")
    if not target > 0:
        return Reading(undefined="the update to be matched is zero")
    return Reading(value=target / own)


def factor_by_kl(kl_at: Callable[[float], float], target: Reading) -> Reading:
    """Find the factor at which an update's KL is `target`, to 1 % of it.

    KL grows with the square of a small factor, whence the first guess; from there the factor is
    bracketed by doubling and halved on a logarithmic scale.

    Args:
        kl_at: forward KL of the update times a factor, in nats.
        target: the KL to reach.
    """
    if target.value is None or not target.value > 0:
        return Reading(undefined=target.undefined or "the update to be matched has no KL")
    own = kl_at(1.0)
    if not 0 < own < math.inf:
        return Reading(undefined="the update has no KL of its own, or none that is finite")
    guess = min(max(math.sqrt(target.value / own), 1 / WIDEST), WIDEST)
    bracket = _bracket(kl_at, guess, target.value)
    if bracket is None:
        bound = f"{1 / WIDEST:g} to {WIDEST:g}"
        return Reading(undefined=f"no factor from {bound} gives a KL of {target.value:.3g}")
    low, high = bracket
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        found = kl_at(middle)
        if abs(found - target.value) <= TOLERANCE * target.value:
            return Reading(value=middle)
        # What is not finite is too far out.
        low, high = (middle, high) if found < target.value else (low, middle)
    return Reading(undefined=f"KL jumps past {target.value:.3g} at a factor of {high:.3g}")


def _bracket(
    kl_at: Callable[[float], float], guess: float, target: float
) -> tuple[float, float] | None:
    """Factors on both sides of the target, a factor of 2 apart; None where there are none."""
    low = high = guess
    if kl_at(guess) < target:
        while high <= WIDEST:
            low, high = high, 2 * high
            if not kl_at(high) < target:
                return low, high
    else:
        while low >= 1 / WIDEST:
            low, high = low / 2, low
            if kl_at(low) < target:
                return low, high
    return None
