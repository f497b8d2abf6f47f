"""Coverage of the seed floor's bound, by simulation: how often one more pair lies above it.

    python bench/floor_coverage.py --sets 10000

Each run is a common direction and noise of its own in 400 dimensions; the noise's size varies from
run to run with coefficient of variation cv. Nominal is 95 %. `lowest seen` is the bound that one
would take without a model: the lowest cosine of the replicates.
"""

import argparse
from itertools import combinations

import numpy as np

from goniometer.statistics import floor_low

DIMENSIONS, BATCH = 400, 500


def cosines(rng: np.random.Generator, runs: int, size: float, cv: float, sets: int) -> np.ndarray:
    """Draw [sets runs runs] cosines of runs that differ by noise of relative norm `size`."""
    spread = np.sqrt(np.log1p(cv**2))
    sizes = size * np.exp(spread * rng.standard_normal((sets, runs, 1)) - spread**2 / 2)
    update = rng.standard_normal((sets, runs, DIMENSIONS)) * sizes / np.sqrt(DIMENSIONS)
    common = rng.standard_normal((sets, 1, DIMENSIONS))
    update += common / np.linalg.norm(common, axis=-1, keepdims=True)
    update /= np.linalg.norm(update, axis=2, keepdims=True)
    return np.asarray(update @ update.transpose(0, 2, 1))


def coverage(rng: np.random.Generator, n: int, size: float, cv: float, sets: int) -> str:
    """Count how often the cosine of two new runs, and of one, is not below the bound."""
    pairs = list(combinations(range(n), 2))
    two = one = lowest = 0
    lows = []
    for _ in range(sets // BATCH):
        for found in cosines(rng, n + 2, size, cv, BATCH):
            seen = {(str(a), str(b)): float(found[a, b]) for a, b in pairs}
            low = floor_low(seen, tuple(map(str, range(n))))
            assert low is not None
            two += bool(found[n, n + 1] >= low)
            one += bool(found[0, n] >= low)
            lowest += bool(found[n, n + 1] >= min(seen.values()))
            lows.append(low)
    total = len(lows)
    what = f"{n} replicates, cosine {1 / (1 + size**2):.3f}, cv {cv:.2f}"
    return (
        f"{what}: two new runs {two / total:.1%}, "
        f"one new run {one / total:.1%}, lowest seen {lowest / total:.1%}; "
        f"median bound {np.median(lows):.3f}"
    )


def main() -> None:
    """Print one line for each number of replicates, noise and variation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=10000)
    sets = parser.parse_args().sets
    rng = np.random.default_rng(1)
    for n in (3, 4, 6):
        for size in (0.2, 0.5):
            for cv in (0.0, 0.1, 0.2):
                print(coverage(rng, n, size, cv, sets), flush=True)


if __name__ == "__main__":
    main()
