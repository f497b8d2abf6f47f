"""Composition: the loss with the sum and with the mean of two updates, beside what to expect.

Adding updates is task arithmetic (arXiv 2212.04089). To second order in the updates,

    L(wa a + wb b) = L(0) + sum_i w_i (L(i) - L(0)) - sum_i w_i (1 - w_i) k_i / 2 + wa wb a'Hb

with k_i = i'Hi = 4 (L(0) - 2 L(i/2) + L(i)), so the first two terms are what updates that do not
meet give, and the rest is interference. What weights alone can say of a'Hb rests on a curvature H
that treats all directions alike: then a'Hb = cos(a, b) sqrt(k_a k_b). The same H bounds it in size
by sqrt(1 - off_subspace) sqrt(k_a k_b), where what lies outside the top-k subspaces is left out.
Neither knows of the curvature there is: that the two disagree with what is measured is a finding.
"""

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from goniometer.behaviour.interval import interval
from goniometer.behaviour.points import MEAN, SUM, Point, point
from goniometer.behaviour.survey import Survey, finite
from goniometer.results import Composed, PairReadings, Reading

Weights = tuple[float, float]
NOT_GIVEN = Reading(undefined="the geometry of the pair was not given")


def composition(found: Survey, pairs: Sequence[PairReadings] = ()) -> tuple[Composed, ...]:
    """Read the sum and the mean of each pair from a survey with sums.

    Args:
        found: with the sum of each pair among its points.
        pairs: geometry of the same runs, either way round: what cosine and off_subspace predict.
    """
    known = {frozenset((pair.a, pair.b)): pair for pair in pairs}
    return tuple(
        _composed(found, (a, b), weights, known.get(frozenset((a, b))))
        for a, b in combinations(found.runs, 2)
        for weights in (SUM, MEAN)
    )


def _composed(
    found: Survey, runs: tuple[str, str], weights: Weights, pair: PairReadings | None
) -> Composed:
    a, b = runs
    together = point(dict(zip(runs, weights, strict=True)))
    nll = _with_draws(found, together)
    start, *ends = (_with_draws(found, where) for where in ((), point({a: 1.0}), point({b: 1.0})))
    expected = start + sum(w * (end - start) for w, end in zip(weights, ends, strict=True))
    beyond = nll - expected
    low, high = interval(nll[1:], found.items)
    interference_low, interference_high = interval(beyond[1:], found.items)
    cosine, off_subspace = _geometry(pair)
    alone, meeting = _curvatures(found, runs, weights)
    inside = _scaled(off_subspace, lambda share: math.sqrt(max(0.0, 1 - share)))
    return Composed(
        a=a,
        b=b,
        weights=weights,
        nll=finite(float(nll[0]), "the loss"),
        low=low,
        high=high,
        expected=finite(float(expected[0]), "the loss of the base or of a run"),
        accuracy=_accuracy(found, together),
        interference=finite(float(beyond[0]), "a loss"),
        interference_low=interference_low,
        interference_high=interference_high,
        cosine=cosine,
        off_subspace=off_subspace,
        by_cosine=_predicted(alone, meeting, cosine),
        by_off_subspace=(
            _predicted(alone, _scaled(meeting, lambda x: -abs(x)), inside),
            _predicted(alone, _scaled(meeting, abs), inside),
        ),
    )


def _with_draws(found: Survey, where: Point) -> Float[np.ndarray, " value"]:
    """Return the loss at a point, and after it that of each draw."""
    return np.concatenate([[found.losses.at(where)], found.drawn[where]])


def _curvatures(found: Survey, runs: tuple[str, str], weights: Weights) -> tuple[Reading, Reading]:
    """Interference that the runs have alone, and wa wb sqrt(k_a k_b), with the curvature's sign."""
    at = found.losses.at
    k = [4 * (at(()) - 2 * at(point({run: 0.5})) + at(point({run: 1.0}))) for run in runs]
    alone = -sum(w * (1 - w) * curved / 2 for w, curved in zip(weights, k, strict=True))
    if not all(map(math.isfinite, k)):
        undefined = Reading(undefined="a loss is not finite")
        return undefined, undefined
    if k[0] * k[1] < 0:
        return Reading(value=alone), Reading(undefined="the runs' curvatures differ in sign")
    size = math.sqrt(k[0] * k[1]) * (-1 if min(k) < 0 else 1)
    return Reading(value=alone), Reading(value=weights[0] * weights[1] * size)


def _predicted(alone: Reading, meeting: Reading, share: Reading) -> Reading:
    own, part = alone.value, share.value
    if part is None or own is None:
        return share if part is None else alone
    return _scaled(meeting, lambda met: own + part * met)


def _geometry(pair: PairReadings | None) -> tuple[Reading, Reading]:
    """Whole-model cosine, and the smaller joint off_subspace of both directions."""
    if pair is None:
        return NOT_GIVEN, NOT_GIVEN
    if "union" not in pair.scopes:
        undefined = Reading(undefined=pair.state)
        return undefined, undefined
    readings = pair.scopes["union"].readings
    shares = [readings.get(f"off_subspace_joint{end}", NOT_GIVEN) for end in ("", "_reverse")]
    values = [share.value for share in shares if share.value is not None]
    off_subspace = (
        Reading(value=min(values))
        if len(values) == 2
        else next(s for s in shares if s.value is None)
    )
    return readings.get("cosine", NOT_GIVEN), off_subspace


def _scaled(reading: Reading, change: Callable[[float], float]) -> Reading:
    return reading if reading.value is None else Reading(value=change(reading.value))


def _accuracy(found: Survey, where: Point) -> Reading:
    value = found.accuracy.get(where)
    if value is not None:
        return Reading(value=value)
    return Reading(undefined="no answer was graded" if found.accuracy else "not asked for")
