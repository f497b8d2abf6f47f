"""Measures as theorems: gauge-free, equal to a dense float64 twin, and planted values come back."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from goniometer.deltas import Delta, Dense, LowRank, Provenance
from goniometer.errors import GoniometerError
from goniometer.geometry.readings import default_k, read_pairs

SHAPES = {
    "layers.0.q_proj": (40, 24),
    "layers.0.v_proj": (16, 24),
    "layers.1.q_proj": (40, 24),
    "layers.1.v_proj": (16, 24),
}
K = 3


def delta(matrices, name="run"):
    return Delta(matrices, Provenance(source=name, format="test"))


def random_update(seed, shape, r=6, scale=0.5):
    """Low rank with a spectrum that has gaps, so that each singular vector is well determined."""
    m, n = shape
    generator = torch.Generator().manual_seed(seed)
    U, _ = torch.linalg.qr(torch.randn(m, r, generator=generator, dtype=torch.float64))
    V, _ = torch.linalg.qr(torch.randn(n, r, generator=generator, dtype=torch.float64))
    sigma = torch.tensor([2.0 / 1.5**i for i in range(r)], dtype=torch.float64)
    return LowRank(U * sigma, V.T.contiguous(), scale)


def random_delta(seed, scale=0.5, r=6, shapes=SHAPES):
    return delta(
        {n: random_update(seed * 100 + i, s, r, scale) for i, (n, s) in enumerate(shapes.items())}
    )


def mixed(seed, towards, weight):
    """A run that has much of another in it."""
    other = random_delta(seed)
    return delta({n: towards[n].scaled(weight) + other[n] for n in towards})


def all_readings(readings):
    numbers = [
        r.value for p in readings.pairs for s in p.scopes.values() for r in s.readings.values()
    ]
    numbers += [r.value for run in readings.runs for s in run.scopes.values() for r in s.values()]
    assert None not in numbers
    return torch.tensor(numbers)


@pytest.fixture(scope="module")
def runs():
    a = random_delta(1)
    return {"a": a, "b": mixed(2, a, 0.7), "c": mixed(3, a, 8.0)}


# The gauge.


def regauged(matrix, seed):
    generator = torch.Generator().manual_seed(seed)
    r = matrix.rank
    noise = torch.randn(r, r, generator=generator, dtype=torch.float64)
    R = torch.eye(r, dtype=torch.float64) + 0.3 * noise / math.sqrt(r)
    A = torch.linalg.solve(R, matrix.A)
    pad = torch.nn.functional.pad
    return LowRank(pad(matrix.B @ R / 3, (0, 2)), pad(A * 3, (0, 0, 0, 2)), matrix.scale)


def test_neither_gauge_nor_padding_changes_a_number(runs):
    rotated = {
        n: delta({m: regauged(x, i) for i, (m, x) in enumerate(d.items())}) for n, d in runs.items()
    }
    before, after = (all_readings(read_pairs(x, k=K)) for x in (runs, rotated))
    assert float((before - after).abs().max()) < 1e-9


def test_raw_factors_would_have_told_another_story(runs):
    """Not the invariance itself: what the nearest tools compare does change with the gauge."""
    x = runs["a"]["layers.0.q_proj"]
    y = regauged(x, 0)
    raw = torch.nn.functional.cosine_similarity(x.B.flatten(), y.B[:, :6].flatten(), dim=0)
    assert abs(float(raw)) < 0.99


def test_float32_files_agree_to_float32(runs):
    single = {
        n: delta({m: LowRank(x.B.float(), x.A.float(), x.scale) for m, x in d.items()})
        for n, d in runs.items()
    }
    before, after = (all_readings(read_pairs(x, k=K)) for x in (runs, single))
    assert float(((before - after).abs() / before.abs().clamp(min=1)).max()) < 1e-4


def test_dense_and_low_rank_are_read_alike(runs):
    dense = {n: delta({m: Dense(x.dense()) for m, x in d.items()}) for n, d in runs.items()}
    before, after = (all_readings(read_pairs(x, k=K)) for x in (runs, dense))
    assert float((before - after).abs().max()) < 1e-8


# A slow dense twin.


def twin(X, Y, k):
    """Every measure of one module from its definition in design.md, by NumPy and SciPy."""
    (U, _, Vt), (P, _, Qt) = (np.linalg.svd(Z, full_matrices=False) for Z in (X, Y))
    cosine = (X * Y).sum() / np.linalg.norm(X) / np.linalg.norm(Y)
    left = np.degrees(np.sort(scipy.linalg.subspace_angles(U[:, :k], P[:, :k])))
    right = np.degrees(np.sort(scipy.linalg.subspace_angles(Vt[:k].T, Qt[:k].T)))

    def outside(U, V, Z):
        share = [U.T @ Z, Z @ V, U.T @ Z @ V]
        return [1 - (np.linalg.norm(part) / np.linalg.norm(Z)) ** 2 for part in share]

    there, back = outside(U[:, :k], Vt[:k].T, Y), outside(P[:, :k], Qt[:k].T, X)
    values = {"cosine": cosine, "off_direction": np.sqrt(1 - cosine**2)}
    values["off_direction_energy"] = 1 - cosine**2
    for side, x, y in zip(("left", "right", "joint"), there, back, strict=True):
        values |= {f"off_subspace_{side}": x, f"off_subspace_{side}_reverse": y}
    for side, angles in (("left", left), ("right", right)):
        values |= {
            f"angle_{side}_smallest": angles[0],
            f"angle_{side}_median": np.median(angles),
            f"angle_{side}_largest": angles[-1],
            f"overlap_{side}": (np.cos(np.radians(angles)) ** 2).mean(),
        }
    rows = np.cos(scipy.linalg.subspace_angles(scipy.linalg.orth(X.T), scipy.linalg.orth(Y.T)))
    values["row_space_overlap"] = (rows**2).mean()
    return values | {"u1": abs(U[:, 0] @ P[:, 0]), "v1": abs(Vt[0] @ Qt[0])}


def test_each_measure_agrees_with_its_dense_twin(runs):
    readings = read_pairs(runs, k=K)
    for pair, (a, b) in enumerate((("a", "b"), ("a", "c"), ("b", "c"))):
        for m, module in enumerate(readings.modules):
            X, Y = (runs[r][module.module].dense().numpy() for r in (a, b))
            expected = twin(X, Y, K)
            found = {name: float(readings.values[name][pair, m]) for name in expected}
            assert found == pytest.approx(expected, abs=1e-8), (a, b, module.module)


def test_each_angle_is_the_median_over_modules_of_scipys(runs):
    """Over the modules that have k directions: one of rank 2 in one run has no three angles."""
    thin = random_update(9, SHAPES["layers.1.v_proj"], r=2)
    padded = LowRank(*(torch.nn.functional.pad(x, p) for x, p in
                       ((thin.B, (0, 4)), (thin.A, (0, 0, 0, 4)))), thin.scale)  # fmt: skip
    given = {n: dict(d.items()) for n, d in runs.items()}
    given["c"]["layers.1.v_proj"] = padded
    readings = read_pairs({n: delta(d) for n, d in given.items()}, k=K)
    for pair in readings.pairs:
        angles = {"left": [], "right": []}
        for module in SHAPES:
            if module == "layers.1.v_proj" and "c" in (pair.a, pair.b):
                continue
            X, Y = (np.linalg.svd(given[r][module].dense().numpy()) for r in (pair.a, pair.b))
            for side, (P, Q) in (("left", (X[0], Y[0])), ("right", (X[2].T, Y[2].T))):
                angles[side].append(scipy.linalg.subspace_angles(P[:, :K], Q[:, :K])[::-1])
        found = {name: reading.value for name, reading in pair.scopes["union"].readings.items()}
        for side, of_modules in angles.items():
            expected = np.degrees(np.median(of_modules, axis=0))
            names = [f"angle_{side}_{rank}" for rank in range(1, K + 1)]
            assert [found[name] for name in names] == pytest.approx(expected, abs=1e-8)
            ends = [found[f"angle_{side}_smallest"], found[f"angle_{side}_largest"]]
            assert ends == [found[names[0]], found[names[-1]]]
    assert "angle_left_1" not in readings.pairs[0].scopes["layer.0"].readings


def test_whole_layer_and_projection_cosines_are_those_of_the_stacked_deltas(runs):
    pair = read_pairs(runs, k=K).pairs[0]
    for scope, part in {"union": "", "layer.1": "layers.1", "projection.v_proj": "v_proj"}.items():
        X, Y = (
            torch.cat([runs[r][m].dense().flatten() for m in SHAPES if part in m]) for r in "ab"
        )
        expected = float(X @ Y / X.norm() / Y.norm())
        assert pair.scopes[scope].readings["cosine"].value == pytest.approx(expected, abs=1e-12)


def test_sizes_of_one_run_agree_with_their_definitions(runs):
    run = read_pairs(runs, k=K).runs[1]
    spectra = [np.linalg.svd(x.dense().numpy(), compute_uv=False) for x in runs["b"].values()]
    norm = np.sqrt(sum((s**2).sum() for s in spectra))
    assert run.scopes["all"]["norm"].value == pytest.approx(norm, rel=1e-12)
    s = spectra[0]
    p = s[s > 1e-12] / s.sum()
    expected = np.exp(-(p * np.log(p)).sum())
    sizes = read_pairs({n: delta({"x": d["layers.0.q_proj"]}) for n, d in runs.items()}, k=K).runs[
        1
    ]
    found = {name: reading.value for name, reading in sizes.scopes["all"].items()}
    assert found["effective_rank"] == pytest.approx(expected, rel=1e-10)
    assert found["participation_ratio"] == pytest.approx((s**2).sum() ** 2 / (s**4).sum())
    assert found["stable_rank"] == pytest.approx((s**2).sum() / s[0] ** 2)


# Planted values.


@pytest.mark.parametrize("degrees", [1e-6, 1e-3, 0.5, 7.0, 8.2, 45.0, 89.9])
@pytest.mark.parametrize("side", ["left", "right"])
def test_planted_angles_come_back(degrees, side):
    theta = math.radians(degrees)
    basis = torch.eye(30, dtype=torch.float64)
    first = basis[:, :4]
    turned = first.clone()
    turned[:, 1] = math.cos(theta) * basis[:, 1] + math.sin(theta) * basis[:, 10]
    other = torch.linalg.qr(
        torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).double()
    ).Q
    sigma = torch.tensor([4.0, 3, 2, 1], dtype=torch.float64)
    matrices = [
        LowRank(x * sigma, other.T.contiguous(), 1.0) if side == "left"
        else LowRank(other * sigma, x.T.contiguous(), 1.0)
        for x in (first, turned)
    ]  # fmt: skip
    readings = read_pairs({n: delta({"x": x}) for n, x in zip("ab", matrices, strict=True)}, k=2)
    value = float(readings.values[f"angle_{side}_largest"][0, 0])
    assert value == pytest.approx(degrees, rel=1e-6, abs=1e-9)
    assert float(readings.values[f"angle_{side}_smallest"][0, 0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("distance", [1e-10, 1e-7, 1e-4, 1e-2, 0.3])
def test_off_direction_keeps_its_digits_near_cosine_one(distance):
    """Y = X + distance * E with E orthogonal to X and of its norm: off direction is atan's sine."""
    X, E = (random_update(seed, (40, 24)).dense() for seed in (1, 2))
    E = E - X * (E * X).sum() / (X * X).sum()
    E = E * X.norm() / E.norm()
    pair = {"a": delta({"x": Dense(X)}), "b": delta({"x": Dense(X + distance * E)})}
    found = read_pairs(pair, k=1).pairs[0].scopes["union"].readings["off_direction"].value
    assert found == pytest.approx(distance / math.hypot(1, distance), rel=1e-4)


def test_no_cosine_leaves_its_range(runs):
    a = runs["a"]
    close = delta({m: x.scaled(1 + 1e-12) for m, x in a.items()})
    values = read_pairs({"a": a, "b": close}, k=K).values["cosine"]
    assert float(values.max()) <= 1.0


# States.


def test_equal_updates_are_a_state_and_a_scaled_one_is_not(runs):
    a = runs["a"]
    again = delta({m: regauged(x, 3) for m, x in a.items()})
    double = delta({m: x.scaled(2) for m, x in a.items()})
    states = {
        (p.a, p.b): p.state
        for p in read_pairs({"a": a, "again": again, "double": double}, k=K).pairs
    }
    assert states[("a", "again")] == "identical"
    assert states[("a", "double")] == "comparable"


def test_a_zero_delta_is_a_state_without_numbers(runs):
    zero = delta(
        {m: LowRank(torch.zeros_like(x.B), x.A, x.scale) for m, x in random_delta(1).items()}
    )
    readings = read_pairs({"a": runs["a"], "zero": zero}, k=K)
    pair = readings.pairs[0]
    assert pair.state == "zero delta"
    assert readings.runs[1].state == "zero delta"
    assert readings.runs[1].scopes["all"]["norm"].value == 0
    for reading in pair.scopes["union"].readings.values():
        assert reading.value is None
        assert reading.undefined == "zero delta"


def test_a_module_of_one_run_only_is_a_true_zero_in_the_other(runs):
    a = runs["a"]
    part = delta({m: x for m, x in runs["b"].items() if "layers.0" in m})
    pair = read_pairs({"a": a, "part": part}, k=K).pairs[0]
    assert set(pair.only_a) == {"layers.1.q_proj", "layers.1.v_proj"}
    assert pair.only_b == ()
    X = torch.cat([a[m].dense().flatten() for m in SHAPES])
    Y = torch.cat([(part[m].dense() if m in part else 0 * a[m].dense()).flatten() for m in SHAPES])
    union, common = pair.scopes["union"], pair.scopes["intersection"]
    expected = float(X @ Y / X.norm() / Y.norm())
    assert union.readings["cosine"].value == pytest.approx(expected, abs=1e-12)
    assert common.readings["cosine"].value > union.readings["cosine"].value
    share = sum(a[m].inner(a[m]) for m in part) / sum(a[m].inner(a[m]) for m in a)
    assert common.energy_share == pytest.approx(share, rel=1e-12)
    # What a has in the other modules lies wholly outside the subspaces of `part`.
    outside, inside = (s.readings["off_subspace_left_reverse"].value for s in (union, common))
    assert outside == pytest.approx(1 - share * (1 - inside), rel=1e-10)
    assert pair.scopes["layer.1"].readings["cosine"].undefined == "no module in common here"


def test_runs_without_a_common_module_say_so(runs):
    parts = [delta({m: x for m, x in runs["a"].items() if p in m}) for p in ("q_proj", "v_proj")]
    pair = read_pairs({"q": parts[0], "v": parts[1]}, k=K).pairs[0]
    assert pair.state == "no common module"


def test_angles_are_undefined_below_rank_k(runs):
    pad = torch.nn.functional.pad
    thin = delta(
        {
            m: LowRank(pad(x.B[:, :2], (0, 4)), pad(x.A[:2], (0, 0, 0, 4)), 1.0)
            for m, x in runs["b"].items()
        }
    )
    readings = read_pairs({"a": runs["a"], "thin": thin}, k=K).pairs[0].scopes["union"].readings
    assert readings["angle_left_largest"].value is None
    assert "rank" in readings["angle_left_largest"].undefined
    assert readings["cosine"].value is not None


def test_other_shapes_show_another_base(runs):
    other = random_delta(5, shapes=SHAPES | {"layers.1.v_proj": (16, 25)})
    with pytest.raises(GoniometerError, match=r"layers.1.v_proj.*different base"):
        read_pairs({"a": runs["a"], "other": other})


def test_k_follows_the_smallest_rank_unless_told(runs):
    assert [default_k([r]) for r in (1, 4, 8, 16, 32, 64)] == [1, 1, 2, 5, 10, 10]
    assert read_pairs(runs | {"r3": random_delta(9, r=3)}).k == 1
    with pytest.raises(GoniometerError, match="larger than the smallest rank"):
        read_pairs(runs, k=7)
