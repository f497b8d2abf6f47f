"""The corrected cosine of two arms across seeds, on planted truths."""

from itertools import combinations

import numpy as np
import pytest

from goniometer.statistics.cross_seed import cross_seed


def cosines_of(vectors):
    return {
        (a, b): float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
        for (a, x), (b, y) in combinations(vectors.items(), 2)
    }


def planted(truth, noise_a, noise_b, seeds, shared=0.0, size=20_000):
    """Runs X_s = x + noise, Y_s = y + noise; `shared` is what both have of one seed."""
    rng = np.random.default_rng(0)
    x, other = (v / np.linalg.norm(v) for v in rng.standard_normal((2, size)))
    y = truth * x + (1 - truth**2) ** 0.5 * other
    vectors = {}
    for seed in range(seeds):
        common = shared * rng.standard_normal(size) / size**0.5
        for name, centre, noise in (("X", x, noise_a), ("Y", y, noise_b)):
            vectors[f"{name} {seed}"] = (
                centre + common + noise * rng.standard_normal(size) / size**0.5
            )
    names = [[f"{name} {seed}" for seed in range(seeds)] for name in "XY"]
    return names, cosines_of(vectors)


@pytest.mark.parametrize("truth", [0.9, 0.4, 0.0])
@pytest.mark.parametrize("shared", [0.0, 1.5])
def test_the_corrected_cosine_is_that_of_the_truths(truth, shared):
    (xs, ys), cosines = planted(truth, noise_a=1.0, noise_b=2.0, seeds=6, shared=shared)
    found = cross_seed("X", "Y", xs, ys, cosines)
    assert found.corrected.value == pytest.approx(truth, abs=0.03)
    assert found.low < found.corrected.value < found.high
    assert (found.a, found.b, found.seeds) == ("X", "Y", 6)
    assert (len(found.cosines), len(found.repeats_a), len(found.repeats_b)) == (30, 15, 15)
    if truth == 0.9:
        assert max(found.cosines) < 0.5  # what the noise leaves of it
    if shared:
        same_seed = [cosines[f"X {s}", f"Y {s}"] for s in range(6)]
        assert min(same_seed) > max(found.cosines)  # which is why s = t is left out


def test_two_seeds_by_hand():
    cosines = {
        ("x", "x2"): 0.5, ("y", "y2"): 0.8,
        ("x", "y2"): 0.3, ("x2", "y"): 0.5, ("x", "y"): 0.99, ("x2", "y2"): 0.99,
    }  # fmt: skip
    found = cross_seed("x", "y", ["x", "x2"], ["y", "y2"], cosines)
    assert found.cosines == (0.3, 0.5)
    assert found.corrected.value == pytest.approx(0.4 / (0.5 * 0.8) ** 0.5)
    assert found.low is found.high is None


def test_the_interval_is_the_jackknife_s():
    (xs, ys), cosines = planted(0.6, 1.0, 1.0, seeds=3)
    found = cross_seed("X", "Y", xs, ys, cosines)
    estimates = []
    for left in range(3):
        rest = [s for s in range(3) if s != left]
        one = cross_seed("X", "Y", [xs[s] for s in rest], [ys[s] for s in rest], cosines)
        estimates.append(one.corrected.value)
    error = np.sqrt(2 / 3 * np.sum((estimates - np.mean(estimates)) ** 2))
    half = 4.302652729696142 * error  # t(.975, 2)
    assert (found.low, found.high) == pytest.approx(
        (found.corrected.value - half, found.corrected.value + half)
    )


def test_the_interval_covers_the_truth():
    """Of studies with three noisy seeds; the range of the estimates covers three in four."""
    inside = 0
    for study in range(60):
        rng = np.random.default_rng(study)
        x, y = rng.standard_normal((2, 400))
        x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
        y = 0.5 * x + 0.75**0.5 * (y - (x @ y) * x)
        vectors = {
            f"{name} {seed}": v + 1.5 * rng.standard_normal(400) / 20
            for name, v in (("X", x), ("Y", y))
            for seed in range(3)
        }
        names = [[f"{name} {seed}" for seed in range(3)] for name in "XY"]
        found = cross_seed("X", "Y", *names, cosines_of(vectors))
        inside += found.low <= 0.5 <= found.high
    assert inside >= 54


def test_undefined_where_repeats_have_nothing_in_common_or_a_run_no_cosine():
    names = ["x", "x2"], ["y", "y2"]
    cosines = dict.fromkeys(combinations(["x", "x2", "y", "y2"], 2), 0.5)
    found = cross_seed("x", "y", *names, cosines | {("x", "x2"): -0.1})
    assert found.corrected.undefined == "repeats of one arm have nothing in common"
    found = cross_seed("x", "y", *names, cosines | {("x", "y2"): None})
    assert found.corrected.undefined == "a run has no cosine"
    assert found.cosines == (0.5,)
    assert cross_seed("x", "y", ["x"], ["y"], cosines).corrected.undefined == "one seed"
