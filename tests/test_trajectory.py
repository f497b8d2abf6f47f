"""Trajectories against the same numbers from dense stacked vectors, and nulls by simulation."""

import numpy as np
import pytest
import scipy.linalg
import torch

from goniometer.comparison.compare import compare_deltas
from goniometer.deltas import Delta, LowRank, Provenance
from goniometer.errors import GoniometerError
from goniometer.trajectory import rank_one, trajectory

SHAPES = {"layers.0.q_proj": (20, 16), "layers.0.v_proj": (12, 16), "layers.1.q_proj": (20, 16)}
NUMBERS = (10, 20, 40, 50, 70)


def low_rank(shape, seed, scale=1.0, rank=3):
    draw = torch.Generator().manual_seed(seed)
    B = torch.randn(shape[0], rank, generator=draw, dtype=torch.float64)
    return LowRank(B, torch.randn(rank, shape[1], generator=draw, dtype=torch.float64), scale)


def walk(scales=(1.0, 0.5, 0.02, 0.3, 0.7), drift=0.0, k=2):
    """Sums of random increments plus a constant one: the comparison, and the dense totals."""
    totals, deltas = {}, {}
    for i, scale in enumerate(scales):
        for m, (module, shape) in enumerate(SHAPES.items()):
            step = low_rank(shape, 100 * i + m + 1, scale, 1) + low_rank(shape, 7000 + m, drift, 1)
            totals[module] = totals[module] + step if module in totals else step
        deltas[f"step {NUMBERS[i]}"] = Delta(dict(totals), Provenance("run", "test"))
    found, _ = compare_deltas(deltas, k=k, draws=100)
    steps = dict(zip(deltas, NUMBERS, strict=False))
    return trajectory("run", steps, found), deltas


def vectors(deltas, modules=tuple(SHAPES)):
    """Totals as rows, of some modules."""
    return np.stack(
        [np.concatenate([d[m].dense().numpy().ravel() for m in modules]) for d in deltas.values()]
    )


def top_share(rows):
    singular = scipy.linalg.svdvals(rows)
    return singular[0] ** 2 / (singular**2).sum()


def increments_of(totals):
    return np.diff(totals, axis=0, prepend=0)


@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_rank_one_shares_are_those_of_the_stacked_vectors(drift):
    found, deltas = walk(drift=drift)
    for scope, modules in {
        "union": tuple(SHAPES),
        "layer.0": ("layers.0.q_proj", "layers.0.v_proj"),
        "projection.v_proj": ("layers.0.v_proj",),
    }.items():
        totals = vectors(deltas, modules)
        share = found.rank_one[scope]
        assert share.totals.value == pytest.approx(top_share(totals), rel=1e-10)
        assert share.increments.value == pytest.approx(top_share(increments_of(totals)), rel=1e-10)


def test_steps_are_those_of_the_stacked_vectors():
    found, deltas = walk()
    totals = vectors(deltas)
    added = increments_of(totals)
    norms, steps = np.linalg.norm(totals, axis=1), np.linalg.norm(added, axis=1)
    assert [step.step for step in found.steps] == list(NUMBERS)
    assert [step.norm for step in found.steps] == pytest.approx(norms, rel=1e-12)
    assert [step.increment for step in found.steps] == pytest.approx(steps, rel=1e-10)
    to_final = totals @ totals[-1] / norms / norms[-1]
    assert [step.cosine_to_final.value for step in found.steps] == pytest.approx(
        to_final, rel=1e-12
    )
    turns = (added[1:] * added[:-1]).sum(1) / steps[1:] / steps[:-1]
    assert [step.cosine_of_increments.value for step in found.steps[1:]] == pytest.approx(
        turns, abs=1e-10
    )
    assert found.steps[0].cosine_of_increments.undefined == "no increment before the first"


def test_angles_are_those_with_the_final_checkpoint():
    """One module, so that the median over modules is scipy's own median angle."""
    name, shape = "layers.0.q_proj", (20, 16)
    matrices = [low_rank(shape, seed) for seed in (1, 2, 3)]
    deltas = {f"{i}": Delta({name: m}, Provenance("x", "test")) for i, m in enumerate(matrices)}
    found, _ = compare_deltas(deltas, k=2, draws=100)
    steps = trajectory("run", {"0": 1, "1": 2, "2": 3}, found).steps
    sides = [np.linalg.svd(m.dense().numpy()) for m in matrices]
    for step, (U, _, Vt) in zip(steps, sides, strict=True):
        left = np.median(scipy.linalg.subspace_angles(U[:, :2], sides[-1][0][:, :2]))
        right = np.median(scipy.linalg.subspace_angles(Vt[:2].T, sides[-1][2][:2].T))
        assert step.angle_left.value == pytest.approx(np.degrees(left), abs=1e-5)
        assert step.angle_right.value == pytest.approx(np.degrees(right), abs=1e-5)
    assert steps[-1].angle_left.value == 0.0


def test_small_increments_keep_their_digits():
    """A step of 1e-7 of the total's norm: a difference of inner products would keep none."""
    name, shape = "layers.0.q_proj", (20, 16)
    first, small, third = low_rank(shape, 1), low_rank(shape, 2, 1e-7), low_rank(shape, 3, 1e-7)
    totals = [first, first + small, first + small + third]
    deltas = {str(i): Delta({name: m}, Provenance("x", "test")) for i, m in enumerate(totals)}
    found, _ = compare_deltas(deltas, k=2, draws=100)
    steps = trajectory("run", {"0": 1, "1": 2, "2": 3}, found).steps
    assert steps[1].increment == pytest.approx(small.dense().norm().item(), rel=1e-4)
    turn = small.inner(third) / small.dense().norm() / third.dense().norm()
    assert steps[2].cosine_of_increments.value == pytest.approx(turn.item(), abs=1e-3)


def test_nulls_are_what_independent_increments_give():
    """In 200,000 dimensions random increments are all but orthogonal."""
    scales = np.array([1.0, 0.5, 0.8, 0.3, 0.7, 0.9])
    drawn = np.random.default_rng(0).standard_normal((6, 200_000)) * scales[:, None]
    gram = drawn @ drawn.T
    share = rank_one(gram)
    assert share.totals_null.value == pytest.approx(top_share(np.cumsum(drawn, axis=0)), abs=5e-3)
    assert share.increments_null.value == pytest.approx(top_share(drawn), abs=5e-3)
    # A walk without a direction of its own: far from small, and that is the point of the null.
    assert share.totals_null.value > 0.7
    assert share.increments_null.value == pytest.approx(np.max(np.diag(gram)) / np.trace(gram))


def test_nulls_by_step():
    found, deltas = walk()
    energy = np.cumsum(np.square(np.linalg.norm(increments_of(vectors(deltas)), axis=1)))
    assert [s.norm_null for s in found.steps] == pytest.approx(np.sqrt(energy), rel=1e-10)
    assert [s.cosine_to_final_null.value for s in found.steps] == pytest.approx(
        np.sqrt(energy / energy[-1]), rel=1e-10
    )


def test_a_straight_line_has_rank_one():
    line = low_rank(SHAPES["layers.0.q_proj"], 1)
    totals = {
        f"{i}": Delta({"layers.0.q_proj": line.scaled(i)}, Provenance("x", "test"))
        for i in (1, 2, 3)
    }
    found, _ = compare_deltas(totals, k=1, draws=100)
    share = trajectory("run", {"1": 1, "2": 2, "3": 3}, found)
    assert share.rank_one["union"].totals.value == pytest.approx(1.0)
    assert share.rank_one["union"].increments.value == pytest.approx(1.0)
    assert share.steps[1].cosine_of_increments.value == pytest.approx(1.0)
    assert share.rank_one["union"].increments_null.value == pytest.approx(1 / 3)


def test_states_are_states():
    """A first checkpoint that changed nothing, and one saved twice."""
    matrix, name = low_rank((20, 16), 1), "layers.0.q_proj"
    parts = {"a": matrix.scaled(0.0), "b": matrix, "c": matrix, "d": matrix + low_rank((20, 16), 2)}
    deltas = {run: Delta({name: m}, Provenance("x", "test")) for run, m in parts.items()}
    found, _ = compare_deltas(deltas, k=1, draws=100)
    steps = trajectory("run", dict(zip("abcd", range(4), strict=True)), found).steps
    assert steps[0].norm == 0.0
    assert steps[0].cosine_to_final.undefined
    assert steps[0].angle_left.undefined
    assert steps[2].increment == pytest.approx(0.0, abs=1e-9 * steps[1].norm)
    assert steps[2].cosine_of_increments.undefined == "a checkpoint equals the one before it"
    assert steps[3].cosine_of_increments.undefined == "a checkpoint equals the one before it"
    nothing = {r: Delta({name: matrix.scaled(0.0)}, Provenance("x", "test")) for r in "abc"}
    found, _ = compare_deltas(nothing, k=1, draws=100)
    share = trajectory("run", dict(zip("abc", range(3), strict=True)), found).rank_one["union"]
    assert share.totals.undefined == "no checkpoint differs from the base here"


def test_two_checkpoints_are_no_trajectory():
    with pytest.raises(GoniometerError, match="too few checkpoints"):
        walk(scales=(1.0, 0.5))
