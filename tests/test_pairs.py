"""Gram matrices in batches: the numbers of one module at a time, at any conditioning; dense too."""

from itertools import combinations

import numpy as np
import pytest
import torch

from goniometer.deltas import Delta, Dense, LowRank, Provenance, Sum
from goniometer.geometry import MEASURES, modules
from goniometer.geometry.dense_pairs import dense_pair_batch, parts
from goniometer.geometry.pairs import CONDITION, decompose
from goniometer.geometry.readings import read_pairs
from tests.test_geometry import delta, random_update, twin

SHAPE, R, K = (60, 36), 6, 2


def conditioned(seed, condition, shape=SHAPE, r=R):
    """Low rank whose left factor has this condition number after its columns are equilibrated."""
    generator = torch.Generator().manual_seed(seed)
    x = random_update(seed, shape, r)
    mix = torch.linalg.qr(torch.randn(r, r, generator=generator, dtype=torch.float64)).Q
    mix = mix * torch.logspace(0, -float(np.log10(condition)), r, dtype=torch.float64) @ mix.T
    # (B M, M^-1 A): the same update by worse factors.
    return LowRank(x.B @ mix, torch.linalg.solve(mix, x.A), x.scale)


def rows_of(matrices, k=K):
    runs = {f"r{i}": delta({"x": x}) for i, x in enumerate(matrices)}
    return read_pairs(runs, k=k).values


@pytest.mark.parametrize("condition", [1.0, 100.0, 1e5, 1e9])
def test_ill_conditioned_factors_give_the_numbers_of_good_ones(condition):
    good = [random_update(seed, SHAPE, R) for seed in (1, 2, 3)]
    bad = [conditioned(seed, condition) for seed in (1, 2, 3)]
    plain, found = rows_of(good), rows_of(bad)
    # What the factors themselves have lost by their conditioning is lost for every route.
    bound = 1e-9 + 1e-15 * condition**2 / 1e3 if condition < CONDITION else 1e-16 * condition * 100
    for name in MEASURES:
        assert torch.allclose(plain[name], found[name], atol=max(bound, 1e-9) * 100), name


def test_many_modules_in_one_chunk_are_read_as_one_at_a_time(monkeypatch):
    shapes = {f"layers.{i}.{p}": s for i in range(4) for p, s in (("q", SHAPE), ("v", (20, 36)))}
    runs = {
        f"r{run}": delta(
            {n: random_update(100 * run + i, s, R) for i, (n, s) in enumerate(shapes.items())}
        )
        for run in range(3)
    }
    together = read_pairs(runs, k=K)
    monkeypatch.setattr(modules, "CHUNK_BYTES", 1)
    alone = read_pairs(runs, k=K)
    for name in MEASURES:
        assert torch.allclose(together.values[name], alone.values[name], atol=1e-12), name
    assert [run.fingerprint for run in together.runs] == [run.fingerprint for run in alone.runs]
    assert [run.fingerprint for run in together.runs] == [d.fingerprint for d in runs.values()]


def test_runs_of_several_ranks_and_runs_without_the_module_stand_in_one_gram():
    some = [
        random_update(1, SHAPE, 6),
        random_update(2, SHAPE, 3),
        None,
        random_update(3, SHAPE, 4),
    ]
    runs = {
        f"r{i}": delta({"y": random_update(8 + i, SHAPE, 3)} | ({"x": x} if x else {}))
        for i, x in enumerate(some)
    }
    readings = read_pairs(runs, k=1)
    column = [module.module for module in readings.modules].index("x")
    for pair, (i, j) in enumerate(combinations(range(4), 2)):
        values = {name: float(readings.values[name][pair, column]) for name in MEASURES}
        if 2 in (i, j):
            assert np.isnan(list(values.values())).all()
        else:
            expected = twin(some[i].dense().numpy(), some[j].dense().numpy(), 1)
            assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-8)


def test_thin_svds_rebuild_the_updates():
    row = [random_update(1, SHAPE, 6), conditioned(2, 1e6), None]
    found = decompose([row])
    for run, x in enumerate(row):
        U = found.left.stacked[0, :, run] @ found.u[0, run]
        V = found.right.stacked[0, :, run] @ found.v[0, run]
        rebuilt = U * found.sigma[0, run] @ V.T
        expected = torch.zeros(SHAPE).double() if x is None else x.dense()
        assert torch.allclose(rebuilt, expected, atol=1e-9)


# Dense updates.


def full_rank(seed, towards=None, shape=(90, 70)):
    """Every direction has energy, the first few much more, as in a full fine-tune."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64) / 20
    top = random_update(seed, shape, 5, 1.0).dense()
    return noise + top + (0 if towards is None else towards)


def test_dense_updates_agree_with_their_twin():
    x = full_rank(1)
    values = [x, full_rank(2, 0.8 * x), full_rank(3)]
    readings = read_pairs({f"r{i}": delta({"x": Dense(v)}) for i, v in enumerate(values)}, k=3)
    for pair, (i, j) in enumerate(combinations(range(3), 2)):
        expected = twin(values[i].numpy(), values[j].numpy(), 3)
        expected.pop("row_space_overlap")
        found = {name: float(readings.values[name][pair, 0]) for name in expected}
        assert found == pytest.approx(expected, abs=1e-8), (i, j)
    # The row space of an update of full rank is all there is.
    assert bool(readings.values["row_space_overlap"].isnan().all())


def test_a_truncated_dense_update_has_the_numbers_of_the_whole_one(monkeypatch):
    values = [full_rank(1), full_rank(2, 0.8 * full_rank(1)), full_rank(3)]
    low = random_update(4, (90, 70), 5)
    runs = {f"r{i}": delta({"x": Dense(v)}) for i, v in enumerate(values)}
    runs["adapter"] = delta({"x": low})
    whole = read_pairs(runs, k=3)
    monkeypatch.setattr("goniometer.geometry.dense_pairs.DIRECT", 8)
    monkeypatch.setattr("goniometer.geometry.top.DIRECT", 8)
    monkeypatch.setattr("goniometer.geometry.dense_pairs.BLOCK", 500)
    top = read_pairs(runs, k=3)
    assert not bool(top.modules[0].whole[:3].any())
    for name in MEASURES:
        assert torch.allclose(whole.values[name], top.values[name], atol=1e-6, equal_nan=True), name
    assert top.runs[0].scopes["all"]["norm"].value == pytest.approx(float(values[0].norm()))
    assert "--exact" in top.runs[0].scopes["all"]["effective_rank"].undefined
    assert whole.runs[0].scopes["all"]["effective_rank"].value > 5
    exact = read_pairs(runs, k=3, exact=True)
    assert exact.runs[0] == whole.runs[0]


def test_a_tall_matrix_that_is_not_held_is_decomposed_by_blocks(monkeypatch):
    """Two routes: TSQR over blocks of rows, and the whole matrix at once."""
    values = [full_rank(seed, shape=(400, 30)) for seed in (1, 2)]
    lying = [Sum((Dense(value / 2), Dense(value / 2))) for value in values]
    whole = read_pairs({f"r{i}": delta({"x": x}) for i, x in enumerate(lying)}, k=3)
    monkeypatch.setattr("goniometer.geometry.dense_pairs.HELD_BYTES", 1)
    monkeypatch.setattr("goniometer.deltas.matrix.BLOCK", 2000)
    blocks = read_pairs({f"r{i}": delta({"x": x}) for i, x in enumerate(lying)}, k=3)
    for name in MEASURES:
        pair = whole.values[name], blocks.values[name]
        assert torch.allclose(*pair, atol=1e-9, equal_nan=True), name
    assert torch.allclose(whole.modules[0].sigma, blocks.modules[0].sigma, rtol=1e-10)


def test_an_adapter_and_the_checkpoint_it_was_merged_into_are_identical():
    x = random_update(1, SHAPE, R)
    readings = read_pairs(
        {"adapter": delta({"x": x}), "merged": delta({"x": Dense(x.dense())})}, k=K
    )
    assert readings.pairs[0].state == "identical"


def test_vectors_have_cosines_and_no_subspaces_and_do_not_limit_k():
    generator = torch.Generator().manual_seed(0)
    bias = [torch.randn(SHAPE[0], 1, generator=generator, dtype=torch.float64) for _ in range(2)]
    runs = {
        f"r{i}": delta({"x": random_update(i, SHAPE, R), "x.bias": Dense(bias[i])})
        for i in range(2)
    }
    readings = read_pairs(runs)
    assert readings.k == 2
    column = [module.module for module in readings.modules].index("x.bias")
    expected = float((bias[0] * bias[1]).sum() / bias[0].norm() / bias[1].norm())
    assert float(readings.values["cosine"][0, column]) == pytest.approx(expected, abs=1e-12)
    for name in ("v1", "angle_left_smallest", "off_subspace_joint", "row_space_overlap"):
        assert bool(readings.values[name][0, column].isnan()), name
    # The whole model's angle is that of the one module that has subspaces.
    scope = readings.pairs[0].scopes["union"].readings["v1"].value
    assert scope == pytest.approx(float(readings.values["v1"][0, 1 - column]))


def test_blocks_of_rows_do_not_change_a_number(monkeypatch):
    matrices = [Dense(full_rank(seed)) for seed in (1, 2)]
    held, top = parts(matrices, 3, exact=False)
    whole = dense_pair_batch(held, top, 3)
    monkeypatch.setattr("goniometer.geometry.dense_pairs.BLOCK", 300)
    blocks = dense_pair_batch(held, top, 3)
    assert torch.allclose(whole.gap, blocks.gap, atol=1e-13)
    for key, value in whole.inside.items():
        assert torch.allclose(value, blocks.inside[key], rtol=1e-12), key


def test_very_many_pairs_keep_the_whole_model_and_say_where_the_rest_is(monkeypatch):
    runs = {f"r{i}": delta({"layers.0.q": random_update(i, SHAPE, 3)}) for i in range(4)}
    few = read_pairs(runs)
    monkeypatch.setattr("goniometer.geometry.readings.DETAILED_PAIRS", 5)
    many = read_pairs(runs)
    assert set(few.pairs[0].scopes) == {"union", "intersection", "layer.0", "projection.q"}
    assert set(many.pairs[0].scopes) == {"union", "intersection"}
    whole, kept = (x.pairs[0].scopes["union"].readings for x in (few, many))
    assert {name: whole[name] for name in kept} == kept
    assert set(whole) - set(kept) == {"angle_left_1", "angle_right_1"}  # a spectrum is detail too


def test_a_delta_that_lies_elsewhere_is_read_once_a_module():
    """The pass over the modules is the only one, fingerprints included."""
    from goniometer.deltas import Outline, Stored

    held = {f"layers.{i}.q": random_update(i, SHAPE, 3) for i in range(3)}
    seen = []

    def load(name):
        seen.append(name)
        return held[name]

    outlines = {name: Outline(SHAPE, 3) for name in held}
    lying = Delta(Stored(outlines, load), Provenance("lying", "test"))
    readings = read_pairs({"a": lying, "b": delta(held)}, k=1)
    assert sorted(seen) == sorted(held)
    assert readings.pairs[0].state == "identical"
    assert readings.runs[0].fingerprint == readings.runs[1].fingerprint


def test_what_cancels_is_a_zero_delta():
    """A run that trained nothing since its start: two equal factors, and rounding between them."""
    start = random_update(1, SHAPE, R)
    mixed_start = LowRank(start.B / 3, start.A * 3, start.scale)
    runs = {
        "untrained": delta({"x": start}).minus(delta({"x": mixed_start})),
        "other": delta({"x": random_update(2, SHAPE, R)}),
    }
    assert read_pairs(runs, k=1).pairs[0].state == "zero delta"


@pytest.mark.parametrize("as_dense", [False, True])
def test_opposite_updates_have_cosine_minus_one_and_no_less(as_dense):
    x, other = random_update(1, SHAPE, R), random_update(2, SHAPE, R)
    near = LowRank(x.B + 1e-9 * other.B, x.A, -x.scale)
    pair = [Dense(m.dense()) if as_dense else m for m in (x, near)]
    values = read_pairs({n: delta({"x": m}) for n, m in zip("ab", pair, strict=True)}, k=1).values
    assert -1 <= float(values["cosine"][0, 0]) < -1 + 1e-12


def test_a_flat_spectrum_is_warned_of_where_only_the_top_is_known(monkeypatch):
    from goniometer.comparison.compare import compare_deltas

    monkeypatch.setattr("goniometer.geometry.dense_pairs.DIRECT", 8)
    monkeypatch.setattr("goniometer.geometry.top.DIRECT", 8)
    generator = torch.Generator().manual_seed(0)
    flat = torch.linalg.qr(torch.randn(700, 600, generator=generator, dtype=torch.float64)).Q
    runs = {"a": delta({"x": Dense(flat)}), "b": delta({"x": Dense(flat + 0.01 * flat.flip(0))})}
    warnings = " ".join(compare_deltas(runs, k=3, draws=100)[0].warnings)
    assert "a: at 1 of 1 modules sigma_4 is within 1 % of sigma_3" in warnings
