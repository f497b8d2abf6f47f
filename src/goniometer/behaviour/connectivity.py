"""Connectivity: how the loss goes along straight lines between runs, and from the base to each.

L((1 - x) start + x end) on fixed held-out texts (linear mode connectivity, arXiv 1912.05671). The
paper merges a dW1 + (1 - a) dW2 and reads the loss of a bare answer, without base, ends or chord;
here the base and both ends stand in each segment, the barrier is above the chord, and it is tested
at the midpoint, which was fixed before anything was seen.
"""

from collections.abc import Callable, Mapping

import numpy as np

from goniometer.behaviour.interval import SHARE, humps, interval, turns
from goniometer.behaviour.losses import Losses
from goniometer.behaviour.points import USUAL, Paths, Point, along, ends_of_segments
from goniometer.behaviour.survey import Survey, finite, survey
from goniometer.behaviour.texts import ReferenceTexts
from goniometer.deltas import Delta
from goniometer.model import LanguageModel
from goniometer.results import BASE, Connectivity, Reading, Segment


def connectivity(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    texts: ReferenceTexts,
    *,
    positions: int = USUAL.positions,
    draws: int = USUAL.draws,
    seed: int = USUAL.seed,
    advance: Callable[[int], None] = lambda _: None,
) -> Connectivity:
    """Measure all segments: `survey`, whose arguments and errors these are, for paths alone."""
    settings = Paths(positions=positions, sums=False, draws=draws, seed=seed)
    return connectivity_of(survey(base, deltas, texts, settings, advance=advance))


def connectivity_of(found: Survey) -> Connectivity:
    """Read all segments from what was measured."""
    return Connectivity(
        texts=found.texts.kind,
        items=found.items,
        tokens=int(found.losses.tokens.sum()),
        draws=found.settings.draws,
        base=BASE,
        base_loss=_value(found.losses, ()),
        segments=tuple(_segment(found, *ends) for ends in ends_of_segments(found.runs)),
    )


def _segment(found: Survey, start: str, end: str) -> Segment:
    path = along(start, end, found.settings.positions)
    positions = np.linspace(0, 1, found.settings.positions)
    loss = np.array([found.losses.at(where) for where in path])
    drawn = np.stack([found.drawn[where] for where in path], axis=1)
    bands = [interval(column, found.items) for column in drawn.T]
    middle = found.settings.positions // 2
    contrast, *drawn_contrast = (
        values[..., middle] - (values[..., 0] + values[..., -1]) / 2 for values in (loss, drawn)
    )
    low, high = interval(drawn_contrast[0], found.items)
    whole = bool(np.isfinite(loss).all())
    barrier, barrier_at = _barrier(positions, loss)
    return Segment(
        start=start,
        end=end,
        positions=tuple(positions.tolist()),
        loss=tuple(_value(found.losses, where) for where in path),
        low=tuple(band[0] for band in bands),
        high=tuple(band[1] for band in bands),
        barrier=barrier,
        barrier_at=barrier_at,
        midpoint=finite(float(contrast), "the loss at the midpoint or at an end"),
        midpoint_low=low,
        midpoint_high=high,
        hump=float(humps(loss[None])[0]) if whole else None,
        hump_high=_hump_high(drawn) if found.items > 1 else None,
        monotone=not turns(loss, drawn) if whole and found.items > 1 else None,
        accuracy=tuple(map(found.accuracy.get, path)) if found.accuracy else (),
        bare_answer=() if found.bare is None else tuple(_value(found.bare, w) for w in path),
    )


def _hump_high(drawn: np.ndarray) -> float | None:
    """The hump that 95 % of the draws stay below; a draw adds noise, so it is on the high side."""
    return float(np.quantile(humps(drawn), SHARE)) if np.isfinite(drawn).all() else None


def _barrier(positions: np.ndarray, loss: np.ndarray) -> tuple[Reading, float | None]:
    """How far the loss rises above its chord at most, and where; 0 and nowhere if it does not."""
    above = loss - (1 - positions) * loss[0] - positions * loss[-1]
    above[[0, -1]] *= 0.0  # but NaN where an end is not finite
    if not np.isfinite(above).all():
        at = positions[~np.isfinite(loss)][0]
        return Reading(undefined=f"the loss is not finite at x = {at:g}"), None
    highest = int(above.argmax())
    where = float(positions[highest]) if above[highest] > 0 else None
    return Reading(value=float(above[highest])), where


def _value(losses: Losses, where: Point) -> float | None:
    return finite(losses.at(where), "the loss").value
