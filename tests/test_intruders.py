"""Spectra, rotations and intruders: planted values, float64 twins, and updates of chance."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

from goniometer.deltas import Dense, LowRank
from goniometer.geometry import intruders
from goniometer.geometry.base_spectrum import (
    Spectrum,
    decompose_base,
    gram_of,
    rotation,
    spectral_shift,
    tuned_spectrum,
)
from goniometer.geometry.intruders import (
    EPSILON,
    Spread,
    count_intruders,
    largest_cosines,
    random_directions,
    spread,
)

SHAPES = [(60, 40), (40, 60), (50, 50)]
K = 6


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def frame(seed: int, rows: int, columns: int) -> torch.Tensor:
    return torch.linalg.qr(normal(seed, rows, columns)).Q


def decaying(shape: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """A weight with well separated top singular values over a flat rest."""
    s = min(shape)
    S = 0.3 + 3.0 * 0.7 ** torch.arange(s, dtype=torch.float64)
    return (frame(seed, shape[0], s) * S) @ frame(seed + 1, shape[1], s).T


def spectrum(W: torch.Tensor, k: int = K) -> Spectrum:
    return decompose_base(W, k).spectrum


def slow_intruders(W0: torch.Tensor, W1: torch.Tensor, k: int) -> int:
    """Algorithm 1 of arXiv 2410.21228, a vector at a time."""
    old, new = (np.linalg.svd(W.numpy(), full_matrices=False)[0] for W in (W0, W1))
    count = 0
    for j in range(k):
        best = max(abs(float(new[:, j] @ old[:, i])) for i in range(old.shape[1]))
        count += best < EPSILON
    return count


def intruder_count(W0: torch.Tensor, W1: torch.Tensor, k: int = K) -> int:
    base = decompose_base(W0, k)
    after = tuned_spectrum(base, Dense(W1 - W0), W1 - W0, k)
    return count_intruders(largest_cosines(base, after.U))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_spectrum_is_that_of_the_svd(shape: tuple[int, int]):
    W = decaying(shape)
    found = spectrum(W, K)
    u, s, vt = np.linalg.svd(W.numpy(), full_matrices=False)
    np.testing.assert_allclose(found.S, s, rtol=1e-12)
    for mine, theirs in ((found.U, u), (found.V, vt.T)):
        assert np.abs(np.abs((mine.numpy() * theirs[:, :K]).sum(0)) - 1).max() < 1e-12
    assert torch.allclose(W @ found.V, found.U * found.S[:K], atol=1e-12)
    assert found.rank == min(shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("low_rank", [True, False])
def test_a_tuned_weight_has_the_spectrum_of_its_sum(shape: tuple[int, int], low_rank: bool):
    W0 = decaying(shape)
    update = LowRank(normal(3, shape[0], 4).float(), normal(4, 4, shape[1]).float(), -0.03)
    dW = update.dense()
    base = decompose_base(W0, 20)
    found = tuned_spectrum(base, update if low_rank else Dense(dW), dW, K)
    u, s, vt = np.linalg.svd((W0 + dW).numpy(), full_matrices=False)
    np.testing.assert_allclose(found.S, s, rtol=0, atol=1e-12 * s[0])
    for mine, theirs in ((found.U, u), (found.V, vt.T)):
        assert np.abs(np.abs((mine.numpy() * theirs[:, :K]).sum(0)) - 1).max() < 1e-12
    assert torch.allclose(base.gram, gram_of(W0))


def test_a_rank_below_k_is_said():
    found = spectrum(frame(0, 30, 3) @ frame(1, 20, 3).T, K)
    assert found.rank == 3
    assert found.U.shape == (30, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_rotations_of_the_whole_leave_the_spectrum(shape: tuple[int, int]):
    W0 = decaying(shape)
    turned = frame(5, shape[0], shape[0]) @ W0 @ frame(6, shape[1], shape[1])
    assert spectral_shift(spectrum(W0, K).S, spectrum(turned, K).S) < 1e-13


def test_a_scaled_weight_shifts_by_the_scale_and_no_shift_exceeds_the_relative_norm():
    W0 = decaying((60, 40))
    S0 = spectrum(W0, K).S
    assert spectral_shift(S0, spectrum(1.01 * W0, K).S) == pytest.approx(0.01, rel=1e-10)
    dW = 0.1 * normal(3, 60, 40)
    s0, s1 = (np.linalg.svd(W.numpy(), compute_uv=False) for W in (W0, W0 + dW))
    shift = spectral_shift(S0, spectrum(W0 + dW, K).S)
    assert shift == pytest.approx(np.linalg.norm(s1 - s0) / np.linalg.norm(s0), rel=1e-10)
    assert shift <= float(dW.norm() / W0.norm())


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 1e-3, 0.4, 5.0, 60.0, 90.0])
def test_a_planted_rotation_comes_back(degrees: float):
    """Turn one of the top k left vectors out of their span: one angle is known, the rest are 0."""
    shape = (60, 40)
    S = 3.0 * 0.7 ** torch.arange(K, dtype=torch.float64)
    U, V = frame(0, 60, K + 1), frame(1, 40, K)
    turn = math.radians(degrees)
    moved = U[:, :K].clone()
    moved[:, 2] = math.cos(turn) * U[:, 2] + math.sin(turn) * U[:, K]
    before, after = (spectrum((u * S) @ V.T, K) for u in (U[:, :K], moved))
    assert before.U.shape == (shape[0], K)
    largest, median = rotation(before.U, after.U)
    assert largest == pytest.approx(degrees, rel=1e-5, abs=1e-8)
    assert median == pytest.approx(0.0, abs=1e-6)
    assert rotation(before.V, after.V)[0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-3, 0.05, 1.0])
def test_rotations_are_scipys_angles(shape: tuple[int, int], scale: float):
    W0 = decaying(shape)
    W1 = W0 + scale * normal(9, *shape)
    before, after = spectrum(W0, K), spectrum(W1, K)
    for mine, other in ((before.U, after.U), (before.V, after.V)):
        expected = np.degrees(subspace_angles(mine.numpy(), other.numpy()))
        largest, median = rotation(mine, other)
        assert largest == pytest.approx(expected.max(), rel=1e-8)
        assert median == pytest.approx(np.median(expected), rel=1e-6)


@pytest.mark.parametrize("shape", [(200, 150), (150, 200), (180, 180)])
def test_a_large_new_direction_is_one_intruder_and_a_tiny_update_none(shape: tuple[int, int]):
    W0 = decaying(shape)
    x, y = frame(20, shape[0], 1), frame(21, shape[1], 1)
    assert intruder_count(W0, W0 + 20.0 * x @ y.T) == 1
    assert intruder_count(W0, W0 + 1e-3 * normal(4, *shape)) == 0
    assert intruder_count(W0, W0) == 0


def test_a_new_direction_in_the_span_of_one_old_vector_is_no_intruder():
    W0 = decaying((60, 40))
    u = spectrum(W0, 30).U[:, 25:26]
    assert intruder_count(W0, W0 + 5.0 * u @ frame(21, 40, 1).T) == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_counts_are_those_of_the_algorithm(shape: tuple[int, int]):
    W0 = decaying(shape)
    counts = []
    for seed in range(12):
        W1 = W0 + (0.05 + 0.05 * seed) * normal(100 + seed, *shape)
        counts.append(intruder_count(W0, W1))
        assert counts[-1] == slow_intruders(W0, W1, K)
    assert len(set(counts)) > 1


def test_columns_beyond_the_rank_of_the_base_are_no_vectors_of_it():
    """A direction outside a wide base of low rank is new, whatever a full basis holds there."""
    W0 = (frame(0, 40, 8) * torch.linspace(3, 1, 8).double()) @ frame(1, 60, 8).T
    x = decompose_base(W0, K).shorter[:, -1:]
    assert intruder_count(W0, W0 + 9.0 * x @ frame(3, 60, 1).T) == 1


@pytest.mark.parametrize("shape", [(200, 150), (150, 200), (180, 180), (700, 500), (500, 700)])
def test_the_null_of_a_large_random_direction_has_the_intruder(shape: tuple[int, int]):
    S0 = spectrum(decaying(shape), K).S
    drawn = random_directions(
        S0, shape, Spread(torch.tensor([20.0]).double(), 0.0), K, np.random.default_rng(0)
    )
    assert drawn.intruders.tolist() == [1.0] * intruders.DRAWS_LOW_RANK
    tiny = Spread(torch.tensor([1e-3]).double(), 0.0)
    none = random_directions(S0, shape, tiny, K, np.random.default_rng(0))
    assert none.intruders.sum() == 0
    assert float(none.left.max()) < 0.5


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("shape", [(330, 300), (300, 330)])
def test_independent_random_updates_fall_inside_their_null(
    monkeypatch, shape: tuple[int, int], direct: bool
):
    """Updates made by matrices of the base's own coordinates, as real ones are."""
    monkeypatch.setattr(intruders, "DIRECT", 1000 if direct else 240)
    W0 = decaying(shape)
    before = spectrum(W0, K)
    S = torch.linspace(1.0, 0.1, 8).double()
    drawn = random_directions(before.S, shape, Spread(S, 0.0), K, np.random.default_rng(1))
    counts, angles = [], []
    for seed in range(10):
        dW = (frame(50 + seed, shape[0], 8) * S) @ frame(80 + seed, shape[1], 8).T
        after = spectrum(W0 + dW, K)
        counts.append(intruder_count(W0, W0 + dW))
        angles.append([rotation(before.U, after.U)[0], rotation(before.V, after.V)[0]])
    found = torch.tensor(angles).double().mean(0)
    assert float(drawn.intruders.mean()) == pytest.approx(np.mean(counts), abs=0.3)
    assert float(drawn.left[:, 0].mean()) == pytest.approx(float(found[0]), rel=0.1)
    assert float(drawn.right[:, 0].mean()) == pytest.approx(float(found[1]), rel=0.1)


def test_a_dense_update_keeps_its_top_and_its_energy():
    x, y = frame(0, 700, 40), frame(1, 600, 40)
    update = Dense((x * torch.linspace(5, 4, 40).double()) @ y.T + 1e-2 * normal(2, 700, 600))
    kept = spread(update)
    S = np.linalg.svd(update.value.numpy(), compute_uv=False)
    np.testing.assert_allclose(kept.S, S[: intruders.KEPT], rtol=1e-6)
    assert kept.rest == pytest.approx(np.linalg.norm(S[intruders.KEPT :]), rel=1e-6)
    low = spread(LowRank(x, y.T, 2.0))
    assert low.rest == 0.0
    assert low.S.tolist() == pytest.approx([2.0] * 40)


def test_the_null_of_white_noise_turns_subspaces_as_white_noise_does():
    shape = (400, 300)
    W0 = decaying(shape)
    before = spectrum(W0, K)
    noise = Spread(torch.zeros(0).double(), 4.0)
    drawn = random_directions(before.S, shape, noise, K, np.random.default_rng(2))
    assert len(drawn.intruders) == intruders.DRAWS_DENSE
    dW = normal(7, *shape)
    after = spectrum(W0 + 4.0 * dW / dW.norm(), K)
    largest, median = rotation(before.U, after.U)
    assert float(drawn.left[:, 0].mean()) == pytest.approx(largest, rel=0.25)
    assert float(drawn.left[:, 1].mean()) == pytest.approx(median, rel=0.25)
