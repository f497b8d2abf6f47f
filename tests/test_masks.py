"""Which weights change: counts against a slow twin, planted masks, and what chance gives."""

import numpy as np
import pytest
import torch

from goniometer.geometry.masks import (
    NO_ENTRIES,
    PRINCIPAL_SHARE,
    UNCHANGED,
    count_entries,
    overlap,
    principal_mask,
)


def normal(seed: int, *shape: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def slow_shares(W0: torch.Tensor, W1: torch.Tensor) -> tuple[float, float]:
    """Unchanged and equal, an entry at a time, from the definitions."""
    unchanged = equal = 0
    for w0, w1 in zip(W0.flatten().tolist(), W1.flatten().tolist(), strict=True):
        unchanged += abs(w1 - w0) <= UNCHANGED * max(abs(w0), abs(w1))
        equal += w0 == w1
    return unchanged, equal


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1e-3, 1e-2, 1.0])
def test_counts_are_those_of_the_definition(scale: float):
    W0, dW = normal(0, 30, 20), normal(1, 30, 20, scale=scale)
    found = count_entries(W0, dW)
    fp32, bf16 = (
        slow_shares(W0.to(kind).double(), (W0 + dW).float().to(kind).double())
        for kind in (torch.float32, torch.bfloat16)
    )
    assert (found.unchanged_fp32, found.equal_fp32) == fp32
    assert (found.unchanged_bf16, found.equal_bf16) == bf16
    assert found.entries == 600
    assert found.update == pytest.approx(float((dW**2).sum()))
    assert found.base == pytest.approx(float((W0**2).sum()))


def test_between_bfloat16_numbers_unchanged_is_equal_and_between_float32_it_is_not():
    found = count_entries(normal(0, 200, 100), normal(1, 200, 100, scale=1e-3))
    assert found.unchanged_bf16 == found.equal_bf16 > 0
    assert found.unchanged_fp32 > found.equal_fp32


def test_counts_of_blocks_add_up():
    W0, dW = normal(0, 30, 20), normal(1, 30, 20, scale=1e-3)
    parts = sum((count_entries(W0[a : a + 7], dW[a : a + 7]) for a in range(0, 30, 7)), NO_ENTRIES)
    whole = count_entries(W0, dW)
    assert parts.unchanged_fp32 == whole.unchanged_fp32
    assert parts.equal_bf16 == whole.equal_bf16
    assert parts.entries == whole.entries
    assert parts.update == pytest.approx(whole.update, rel=1e-12)


def test_the_principal_mask_is_the_top_of_the_low_rank_approximation():
    W0 = normal(0, 40, 30)
    U, S, Vt = np.linalg.svd(W0.numpy())
    approximation = np.abs((U[:, :5] * S[:5]) @ Vt[:5])
    kept = int(PRINCIPAL_SHARE * 1200)
    expected = np.zeros(1200, dtype=bool)
    expected[np.argsort(-approximation.flatten())[:kept]] = True
    found = principal_mask(*(torch.from_numpy(x) for x in (U[:, :5], S[:5], Vt[:5].T.copy())))
    assert (found.numpy().flatten() == expected).all()


def test_values_without_vectors_are_no_part_of_a_principal_mask():
    U, S, V = normal(1, 12, 1), torch.tensor([2.0, 1e-9]).double(), normal(2, 8, 1)
    assert torch.equal(principal_mask(U, S, V), principal_mask(U, S[:1], V))


@pytest.mark.parametrize("inside", [0.0, 0.25, 1.0])
def test_a_planted_overlap_comes_back(inside: float):
    """Of 80 weights that change, a known share lies in the mask."""
    W0 = torch.ones(40, 30, dtype=torch.float64)
    mask = (torch.arange(1200) < 600).reshape(40, 30)
    dW = torch.zeros(1200, dtype=torch.float64)
    dW[: round(80 * inside)] = 1.0
    dW[600 : 600 + 80 - round(80 * inside)] = 1.0
    found = overlap(mask, W0, dW.reshape(40, 30), draws=50, rng=rng())
    assert found is not None
    assert found.value == pytest.approx(inside)


def test_no_change_in_bfloat16_has_no_overlap():
    W0 = normal(0, 20, 20)
    mask = torch.ones(20, 20, dtype=torch.bool)
    assert overlap(mask, W0, torch.zeros_like(W0), draws=5, rng=rng()) is None
    assert overlap(mask, W0, 1e-9 * W0, draws=5, rng=rng()) is None


def test_masks_that_are_independent_overlap_as_their_null_says():
    W0 = torch.ones(100, 80, dtype=torch.float64)
    inside = 0
    for seed in range(40):
        mask = normal(seed, 100, 80) > 0.3
        dW = (normal(1000 + seed, 100, 80) > 1.2).double()
        found = overlap(mask, W0, dW, draws=400, rng=rng(seed))
        low, high = np.quantile(found.independent, [0.025, 0.975])
        inside += low <= found.value <= high
        assert float(found.independent.mean()) == pytest.approx(
            float(mask.double().mean()), abs=0.01
        )
    assert 33 <= inside <= 40


def test_rounding_alone_depletes_large_weights_and_only_the_shuffled_null_has_that_in_it():
    """An update that knows nothing of the base: under the mask's share, and as its shuffles are."""
    W0 = normal(0, 300, 200)
    mask = W0.abs() > W0.abs().median()
    dW = normal(1, 300, 200, scale=2e-3)
    found = overlap(mask, W0, dW, draws=200, rng=rng())
    assert found.value < float(found.independent.min()) - 0.1
    assert found.value == pytest.approx(float(found.shuffled.mean()), abs=0.02)


def test_an_update_of_the_principal_weights_is_over_both_nulls():
    W0 = normal(0, 300, 200)
    mask = W0.abs() > W0.abs().median()
    found = overlap(mask, W0, 0.05 * W0 * mask, draws=200, rng=rng())
    assert found.value == 1.0
    assert float(found.independent.max()) < 0.6
    assert float(found.shuffled.max()) < 0.6
