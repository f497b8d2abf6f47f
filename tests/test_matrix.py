"""The delta algebra: closed, gauge-free, and the same as the dense matrices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goniometer.deltas import Dense, LowRank
from goniometer.deltas.matrix import orthonormalise


def low_rank(seed: int, m: int = 23, n: int = 17, r: int = 5, scale: float = 0.7) -> LowRank:
    generator = torch.Generator().manual_seed(seed)
    B = torch.randn(m, r, generator=generator, dtype=torch.float64)
    A = torch.randn(r, n, generator=generator, dtype=torch.float64)
    return LowRank(B, A, scale)


@given(st.integers(0, 10_000), st.floats(-3, 3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_algebra_agrees_with_dense(seed: int, factor: float, as_dense: bool):
    x, y = low_rank(seed), low_rank(seed + 1, r=3, scale=1.3)
    other = Dense(y.dense()) if as_dense else y
    assert torch.allclose((x + other).dense(), x.dense() + y.dense(), atol=1e-12)
    assert torch.allclose((x - other).dense(), x.dense() - y.dense(), atol=1e-12)
    assert torch.allclose(x.scaled(factor).dense(), factor * x.dense(), atol=1e-12)
    expected = float((x.dense() * y.dense()).sum())
    assert x.inner(other) == pytest.approx(expected, rel=1e-11)
    assert other.inner(x) == pytest.approx(expected, rel=1e-11)


def test_low_rank_is_closed_under_sum():
    total = low_rank(0) + low_rank(1) - low_rank(2)
    assert isinstance(total, LowRank)
    assert total.rank == 15


@pytest.mark.parametrize("as_dense", [False, True])
def test_svd_rebuilds_the_matrix_with_orthonormal_factors(as_dense: bool):
    x = low_rank(3)
    svd = (Dense(x.dense()) if as_dense else x).svd()
    assert len(svd.S) == 5
    assert torch.allclose(svd.U @ torch.diag(svd.S) @ svd.V.T, x.dense(), atol=1e-12)
    eye = torch.eye(5, dtype=torch.float64)
    assert torch.allclose(svd.U.T @ svd.U, eye, atol=1e-13)
    assert torch.allclose(svd.V.T @ svd.V, eye, atol=1e-13)
    assert torch.allclose(svd.S, torch.linalg.svdvals(x.dense())[:5], atol=1e-12)


def test_zero_padding_adds_no_rank():
    x = low_rank(4)
    padded = LowRank(
        torch.nn.functional.pad(x.B, (0, 3)), torch.nn.functional.pad(x.A, (0, 0, 0, 3)), x.scale
    )
    assert torch.allclose(padded.svd().S, x.svd().S, rtol=1e-12)


def test_a_zero_update_has_rank_zero():
    x = low_rank(5)
    assert len(LowRank(torch.zeros_like(x.B), x.A, x.scale).svd().S) == 0


def test_shapes_that_differ_do_not_add():
    with pytest.raises(ValueError, match="shapes differ"):
        low_rank(0) + low_rank(1, m=9)


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e9, 1e15])
def test_orthonormalise_holds_at_every_condition(condition: float):
    generator = torch.Generator().manual_seed(0)
    U, _ = torch.linalg.qr(torch.randn(50, 6, generator=generator, dtype=torch.float64))
    W, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    X = U @ torch.diag(torch.logspace(0, -torch.log10(torch.tensor(condition)), 6).double()) @ W
    Q, R = orthonormalise(X)
    assert torch.allclose(Q.T @ Q, torch.eye(6, dtype=torch.float64), atol=1e-13)
    assert torch.allclose(Q @ R, X, atol=1e-14)


def test_orthonormalise_holds_where_no_diagonal_tells_of_the_condition():
    """A triangle of -1s: condition near 1e16, and a tame diagonal of its Cholesky factor."""
    r = 58
    T = torch.eye(r, dtype=torch.float64) - torch.ones(r, r, dtype=torch.float64).triu(1)
    Q, R = orthonormalise(T)
    assert torch.allclose(Q.T @ Q, torch.eye(r, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(Q @ R, T, atol=1e-12)


def test_orthonormalise_takes_more_columns_than_rows():
    X = torch.randn(3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    Q, R = orthonormalise(X)
    assert Q.shape == (3, 3)
    assert torch.allclose(Q @ R, X, atol=1e-13)
