"""The top of a large matrix: what NumPy's whole decomposition says, by fewer passes."""

import numpy as np
import pytest
import torch

from goniometer.deltas import Dense, LowRank
from goniometer.geometry import top as module
from goniometer.geometry.top import top_svd

M, N = 700, 560


def frames(seed: int, m: int = M, n: int = N, r: int = N) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(x, r, generator=generator, dtype=torch.float64) for x in (m, n)]
    return torch.linalg.qr(draw[0]).Q, torch.linalg.qr(draw[1]).Q


def with_spectrum(S: torch.Tensor, seed: int = 0) -> Dense:
    U, V = frames(seed, r=len(S))
    return Dense((U * S) @ V.T)


def degrees(X: torch.Tensor, Y: torch.Tensor) -> float:
    """The largest principal angle, from the sine."""
    sine = np.linalg.norm(X.numpy() - Y.numpy() @ (Y.numpy().T @ X.numpy()), 2)
    return float(np.degrees(np.arcsin(min(1.0, sine))))


SPECTRA = {
    "decaying": 1.0 / torch.arange(1, N + 1, dtype=torch.float64),
    "falling fast": torch.logspace(0, -12, N, dtype=torch.float64),
    "steps over a flat floor": torch.cat(
        [torch.linspace(2.0, 1.5, 6).double(), torch.ones(N - 6, dtype=torch.float64)]
    ),
}


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("turned", [False, True])
def test_the_top_is_that_of_the_whole_decomposition(spectrum: str, turned: bool):
    matrix = with_spectrum(SPECTRA[spectrum])
    if turned:
        matrix = Dense(matrix.value.T.contiguous())
    found = top_svd(matrix, 6)
    u, s, vt = np.linalg.svd(matrix.value.numpy(), full_matrices=False)
    assert not found.whole
    assert found.residual <= module.TOLERANCE
    assert found.residual > 0
    np.testing.assert_allclose(found.S, s[:6], rtol=1e-9)
    assert degrees(found.U, torch.from_numpy(u[:, :6])) < 1e-3
    assert degrees(found.V, torch.from_numpy(vt[:6].T)) < 1e-3
    assert found.energy == pytest.approx((s**2).sum(), rel=1e-12)
    assert found.share == pytest.approx((s[:6] ** 2).sum() / (s**2).sum(), rel=1e-9)


def test_noise_alone_states_a_residual_that_holds():
    """Singular values of noise lie close together: what is not found to the end is said to be."""
    generator = torch.Generator().manual_seed(3)
    value = torch.randn(900, 800, generator=generator, dtype=torch.float64)
    found, S = top_svd(Dense(value), 10), np.linalg.svd(value.numpy(), compute_uv=False)
    true = ((value.T @ found.U - found.V * found.S).norm(dim=0) / found.S[0]).numpy()
    np.testing.assert_allclose(found.residuals, true, rtol=1e-6, atol=1e-12)
    assert np.abs(value @ found.V - found.U * found.S).max() < 1e-10
    nearest = [np.abs(S - s).min() for s in found.S.numpy()]
    assert (np.array(nearest) <= found.residual * float(found.S[0]) + 1e-9).all()
    np.testing.assert_allclose(found.S, S[:10], rtol=1e-2)


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_a_matrix_of_low_rank_is_whole(rank: int):
    matrix = with_spectrum(torch.linspace(1.0, 0.5, rank).double())
    found = top_svd(matrix, 6)
    assert found.whole
    assert len(found.S) == rank
    rebuilt = (found.U * found.S) @ found.V.T
    assert torch.allclose(rebuilt, matrix.value, atol=1e-13)
    assert found.share == pytest.approx(1.0, abs=1e-12)


def test_a_rank_above_k_is_not_whole():
    found = top_svd(with_spectrum(torch.linspace(1.0, 0.5, 7).double()), 6)
    assert not found.whole
    assert len(found.S) == 6


@pytest.mark.parametrize("shape", [(M, N), (40, 30)])
def test_of_zero_there_is_nothing(shape: tuple[int, int]):
    found = top_svd(Dense(torch.zeros(shape)), 5)
    assert found.U.shape == (shape[0], 0)
    assert found.V.shape == (shape[1], 0)
    assert (found.energy, found.whole, found.residual, found.share) == (0.0, True, 0.0, 1.0)


def test_a_vector_is_a_matrix_of_one_column():
    found = top_svd(Dense(torch.tensor([[3.0], [-4.0]])), 5)
    assert found.S.tolist() == pytest.approx([5.0])
    assert torch.allclose((found.U * found.S) @ found.V.T, torch.tensor([[3.0], [-4.0]]).double())
    assert found.whole


def test_direct_where_small_low_rank_or_asked_for(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("iterated")

    monkeypatch.setattr(module, "_iterated", refuse)
    large = with_spectrum(SPECTRA["decaying"])
    U, V = frames(1, r=20)
    low = LowRank(U, V.T, 2.0)
    for matrix, exact in ((Dense(large.value[:, :512]), False), (low, False), (large, True)):
        found = top_svd(matrix, 4, exact=exact)
        S = np.linalg.svd(matrix.dense().numpy(), compute_uv=False)
        np.testing.assert_allclose(found.S, S[:4], rtol=1e-12)
        assert found.energy == pytest.approx((S**2).sum(), rel=1e-12)
        assert found.residual == 0.0
    with pytest.raises(AssertionError, match="iterated"):
        top_svd(large, 4)


def test_equal_seeds_give_equal_bytes_and_nothing_global_is_drawn():
    matrix = with_spectrum(SPECTRA["decaying"])
    state = torch.random.get_rng_state()
    first, second = top_svd(matrix, 3, seed=7), top_svd(matrix, 3, seed=7)
    assert torch.equal(first.U, second.U)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(first.U, top_svd(matrix, 3, seed=8).U)


def test_blocks_of_rows_are_not_seen_in_the_numbers(monkeypatch):
    matrix = with_spectrum(SPECTRA["decaying"])
    whole = top_svd(matrix, 3)
    monkeypatch.setattr("goniometer.deltas.matrix.BLOCK", 50 * N)
    assert len(list(matrix.blocks())) > 1
    parts = top_svd(matrix, 3)
    assert torch.allclose(parts.S, whole.S, rtol=1e-10)
    assert parts.energy == pytest.approx(whole.energy, rel=1e-12)
