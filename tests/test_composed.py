"""Sums and means of two updates, against merged copies and a network whose curvature is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from goniometer.behaviour.composed import composition
from goniometer.behaviour.connectivity import connectivity_of
from goniometer.behaviour.losses import Losses
from goniometer.behaviour.points import Paths, mixture, point, points_of
from goniometer.behaviour.survey import Survey, survey
from goniometer.deltas import LowRank
from goniometer.results import PairReadings, Reading, Scope
from tests.paths import lora, merged_nll, texts
from tests.tiny_model import tiny_model


@pytest.fixture(scope="module")
def measured():
    model = tiny_model()
    runs = {name: lora(model, seed) for seed, name in enumerate("ab")}
    return model, runs, survey(model, runs, texts(model), Paths(draws=300))


def quadratic(a, b, hessian, slope) -> Survey:
    """A loss of 3 + slope'd + d'Hd / 2 for every item, of two updates in the plane."""
    settings = Paths(draws=20)
    sums = {}
    for where in points_of(("a", "b"), settings):
        at = dict(where)
        d = at.get("a", 0) * np.array(a) + at.get("b", 0) * np.array(b)
        sums[where] = np.array([1.0, 3.0]) * (3 + np.dot(slope, d) + d @ hessian @ d / 2)
    losses = Losses(("p", "q"), np.array([1, 3]), sums)
    return Survey(("a", "b"), settings, texts(tiny_model()), losses)


def geometry(cosine, off, reverse) -> PairReadings:
    readings = {
        "cosine": Reading(value=cosine),
        "off_subspace_joint": Reading(value=off),
        "off_subspace_joint_reverse": Reading(value=reverse),
    }
    scope = Scope(modules=1, energy_share=1.0, readings=readings)
    return PairReadings(
        a="b", b="a", state="comparable", null_group=None, scopes={"union": scope}, verdict=""
    )


def test_sum_and_mean_are_those_of_merged_copies(measured):
    model, runs, found = measured
    given = found.texts.texts
    total, mean = composition(found)
    assert (total.weights, mean.weights) == ((1.0, 1.0), (0.5, 0.5))

    def loss(**at):
        tokens = sum(map(len, given.completions))
        return sum(merged_nll(model, runs, point(at), given)) / tokens

    start, ends = loss(), (loss(a=1.0), loss(b=1.0))
    assert total.nll.value == pytest.approx(loss(a=1.0, b=1.0), rel=1e-5)
    assert total.expected.value == pytest.approx(sum(ends) - start, rel=1e-5)
    assert mean.nll.value == pytest.approx(loss(a=0.5, b=0.5), rel=1e-5)
    assert mean.expected.value == pytest.approx(sum(ends) / 2, rel=1e-5)
    assert total.interference_low < total.interference.value < total.interference_high
    assert total.cosine.undefined == "the geometry of the pair was not given"
    assert total.by_cosine == total.by_off_subspace[0] == total.cosine
    assert total.accuracy.undefined == "not asked for"


def test_the_mean_s_interference_is_the_midpoint_contrast(measured):
    _, _, found = measured
    _, mean = composition(found)
    segment = connectivity_of(found).segments[-1]
    assert mean.interference.value == pytest.approx(segment.midpoint.value, abs=1e-12)
    assert mean.interference_low == pytest.approx(segment.midpoint_low, abs=1e-12)
    assert mean.interference_high == pytest.approx(segment.midpoint_high, abs=1e-12)


@pytest.mark.parametrize("curvature", [2.0, -0.5])
def test_where_all_directions_curve_alike_the_cosine_predicts_interference(curvature):
    a, b = (2.0, 0.0), (0.5, math.sqrt(0.75))
    found = quadratic(a, b, curvature * np.eye(2), (0.3, -0.7))
    for sum_or_mean in composition(found, [geometry(0.5, 0.9, 0.75)]):
        predicted = sum_or_mean.by_cosine.value
        assert sum_or_mean.interference.value == pytest.approx(predicted, abs=1e-9)
        low, high = (end.value for end in sum_or_mean.by_off_subspace)
        # sqrt(1 - 0.75) = 0.5 = cosine here: what off_subspace leaves open ends at it.
        assert low < high
        assert predicted == pytest.approx(high if curvature > 0 else low, abs=1e-9)
    # Against the second-order expansion itself.
    total = composition(found)[0]
    assert total.interference.value == pytest.approx(curvature * 2 * 0.5)


def test_where_directions_curve_unlike_the_cosine_is_wrong_and_seen_to_be():
    found = quadratic((1.0, 0.0), (0.0, 1.0), np.array([[1.0, 0.8], [0.8, 1.0]]), (0, 0))
    total, _ = composition(found, [geometry(0.0, 1.0, 1.0)])
    assert total.by_cosine.value == pytest.approx(0)
    assert total.interference.value == pytest.approx(0.8)


def test_curvatures_of_two_signs_predict_nothing():
    found = quadratic((1.0, 0.0), (0.0, 1.0), np.diag([1.0, -1.0]), (0, 0))
    total, _ = composition(found, [geometry(0.0, 1.0, 1.0)])
    assert total.by_cosine.undefined == "the runs' curvatures differ in sign"
    assert total.interference.value == pytest.approx(0)
    empty = replace(found, losses=replace(found.losses, sums=found.losses.sums | {
        point({"a": 0.5}): np.array([np.nan, 1.0])}))  # fmt: skip
    assert composition(empty, [geometry(0.0, 1.0, 1.0)])[0].by_cosine.undefined
    assert composition(empty)[0].interference.value == pytest.approx(0)


def test_a_mixture_of_low_rank_updates_is_one_of_low_rank(measured):
    _, runs, _ = measured
    mixed = mixture(runs, point({"a": 0.25, "b": -2.0}))
    assert mixed.keys() == runs["a"].matrices.keys() | runs["b"].matrices.keys()
    for name, matrix in mixed.items():
        assert isinstance(matrix, LowRank)
        parts = [
            c * runs[r][name].dense() for r, c in (("a", 0.25), ("b", -2.0)) if name in runs[r]
        ]
        np.testing.assert_allclose(matrix.dense(), sum(parts), atol=1e-12)
