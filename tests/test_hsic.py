"""Debiased linear CKA against a plain dense twin, and what it must not change under."""

import itertools
import math

import pytest
import torch
from scipy import stats

from goniometer.behaviour.cka import random_features
from goniometer.behaviour.hsic import LayerFeatures, layer_cka

SIZES = [(60, 8), (30, 50)]  # by features, and by tokens


def layer(features, cuts=None):
    n = len(features[0])
    edges = [0, *(cuts or (n // 4, n // 2, 3 * n // 4)), n]
    groups = tuple(slice(a, b) for a, b in itertools.pairwise(edges))
    return LayerFeatures(lambda run, part: features[run][part], len(features), groups)


def features(n, d, runs=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(runs)]
    drawn[1] = drawn[0] + 0.5 * drawn[1]
    return [(x + 3).to(dtype) for x in drawn]


def hsic(K, L):
    """Song et al. (2012), equation 5, as it is printed."""
    n, one = len(K), torch.ones(len(K), dtype=torch.float64)
    K, L = (M - torch.diag(M.diagonal()) for M in (K, L))
    ends = (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
    return (torch.trace(K @ L) + ends - 2 / (n - 2) * (one @ K @ L @ one)) / (n * (n - 3))


def dense(X, Y):
    K, L = (Z.double() @ Z.double().T for Z in (X, Y))
    return float(hsic(K, L) / (hsic(K, K) * hsic(L, L)).sqrt())


def kornblith(X, Y):
    """Centred Gram matrices by HSIC_0, n x n (Kornblith et al. 2019, equations 3 and 4)."""
    H = torch.eye(len(X), dtype=torch.float64) - 1 / len(X)
    K, L = (H @ Z.double() @ Z.double().T @ H for Z in (X, Y))
    return float((K * L).sum() / (K.norm() * L.norm()))


@pytest.mark.parametrize(("n", "d"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_estimates_are_those_of_a_dense_twin(n, d, dtype):
    own = features(n, d, dtype=dtype)
    for (a, b), found in layer_cka(layer(own)).items():
        assert found.cka == pytest.approx(dense(own[a], own[b]), abs=1e-6)
        assert found.biased == pytest.approx(kornblith(own[a], own[b]), abs=1e-6)
        if dtype == torch.float64:
            assert found.cka == pytest.approx(dense(own[a], own[b]), abs=1e-10)


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_the_interval_is_a_jackknife_over_groups_left_out(n, d):
    own, cuts = features(n, d), (7, 15, 21)
    edges = [0, *cuts, n]
    for (a, b), found in layer_cka(layer(own, cuts)).items():
        z = []
        for start, stop in itertools.pairwise(edges):
            kept = [i for i in range(n) if not start <= i < stop]
            z.append(math.atanh(dense(own[a][kept], own[b][kept])))
        z = torch.tensor(z, dtype=torch.float64)
        reach = stats.t.ppf(0.975, 3) * float((3 / 4 * (z - z.mean()).square().sum()).sqrt())
        centre = math.atanh(dense(own[a], own[b]))
        assert found.low == pytest.approx(math.tanh(centre - reach), abs=1e-8)
        assert found.high == pytest.approx(math.tanh(centre + reach), abs=1e-8)


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_rotations_scales_moves_and_a_common_order_of_tokens_change_nothing(n, d):
    X, Y, _ = features(n, d)
    Q = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(1)).double()).Q
    order = torch.randperm(n, generator=torch.Generator().manual_seed(2))
    expected = layer_cka(layer([X, Y]))[0, 1]
    for moved in ([X @ Q, Y], [7 * X, -0.1 * Y], [X + 100, Y - Q[0]], [X[order], Y[order]]):
        found = layer_cka(layer(moved))[0, 1]
        assert found.cka == pytest.approx(expected.cka, abs=1e-9)
        assert found.biased == pytest.approx(expected.biased, abs=1e-9)
    sheared = layer_cka(layer([X * torch.linspace(1, 9, d).double(), Y]))[0, 1]
    assert sheared.cka < expected.cka - 0.01  # a linear map that is no rotation does
    shuffled = layer_cka(layer([X[order], Y]))[0, 1]
    assert abs(shuffled.cka) < 0.3 < expected.cka


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_equal_features_have_cka_1(n, d):
    X = features(n, d)[0]
    found = layer_cka(layer([X, 3 * X + 1]))[0, 1]
    assert (found.cka, found.low, found.high) == pytest.approx((1, 1, 1), abs=1e-9)


@pytest.mark.parametrize(("n", "d"), [(100, 20), (60, 60)])
def test_random_features_are_0_debiased_and_inflated_by_d_over_n_biased(n, d):
    debiased, biased = random_features(n, d)
    assert debiased.low < 0 < debiased.high
    assert abs(debiased.median) < 0.01
    assert debiased.high == pytest.approx(2 * math.sqrt(2) / n, rel=0.5)
    assert biased.median == pytest.approx(d / (n + d), rel=0.1)


def test_what_cannot_be_compared_has_a_reason():
    X, Y, Z = features(20, 5)
    Y = Y.clone()
    Y[3, 2] = math.nan
    found = layer_cka(layer([X, Y, torch.ones_like(Z) * 0.1, X]))
    assert found[0, 1].undefined == "the activations are not finite"
    assert found[0, 2].undefined == "the activations do not vary between tokens"
    assert found[0, 3].cka == pytest.approx(1)
    few = layer_cka(layer([X[:4], Z[:4]], (1, 2, 3)))[0, 1]  # 3 tokens are left: no estimate
    assert few.cka is not None
    assert few.low is None
    assert few.high is None
