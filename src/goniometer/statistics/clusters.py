"""Paired outcomes where problems come in clusters: several samples a problem, or one template.

Problems of one cluster are not independent: n of them say less than n. With d_k = (only a) -
(only b) of cluster k, n_k its problems, K clusters and D = sum d_k / n:

- difference: under H0 the two runs are alike in every cluster, so that each d_k may as well have
  the other sign. The exact p counts all 2^K signs; its variance sum d_k^2 is that of Obuchowski's
  test (Stat Med 17, 1998, 1495), and for clusters of one problem it is McNemar's exact p.
- interval, equivalence: Tango's, on counts divided by the design effect (Rao and Scott, Biometrics
  48, 1992, 577), the between-cluster variance K/(K-1) sum (d_k - n_k D)^2 over the b + c - n D^2
  of independent problems, one at least; quantiles of Student's t with K - 1 degrees of freedom.

Eliasziw and Donner (Stat Med 10, 1991, 1981) is the parametric form of the same: one correlation
for all clusters. We take the clusters as they are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Int

from goniometer.errors import GoniometerError
from goniometer.statistics.counts import Counts


@final
@dataclass(frozen=True, eq=False)
class Clustered:
    """A 2x2 table with its clusters; `only_a`, `only_b` and `n` are the effective ones."""

    counts: Counts
    sums: Int[np.ndarray, " clusters"]  # only a less only b, by cluster
    sizes: Int[np.ndarray, " clusters"]  # problems that both have graded

    def __post_init__(self) -> None:
        """Refuse fewer clusters than a variance needs."""
        if len(self.sizes) < 2:
            raise GoniometerError(
                "all problems are of one cluster",
                found=f"{self.counts.n} problems",
                expected="two clusters at least",
                fix="leave the clusters out, or name finer ones",
            )

    @cached_property
    def design_effect(self) -> float:
        """How many times larger the variance of the difference is than of independent problems.

        Where no variance is seen (no discordant problem) nothing tells how alike the problems of
        a cluster are: a cluster then counts as one problem.
        """
        clusters, counts = len(self.sizes), self.counts
        independent = counts.only_a + counts.only_b - counts.n * counts.difference**2
        if independent <= 0:
            return counts.n / clusters
        rest = self.sums - self.sizes * counts.difference
        found = clusters / (clusters - 1) * float(rest @ rest)
        return max(1.0, found / independent)

    @property
    def n(self) -> float:
        """How many independent problems these are worth."""
        return self.counts.n / self.design_effect

    @property
    def only_a(self) -> float:
        """Effective count of problems that only a has right."""
        return self.counts.only_a / self.design_effect

    @property
    def only_b(self) -> float:
        """Effective count of problems that only b has right."""
        return self.counts.only_b / self.design_effect

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance between clusters."""
        return len(self.sizes) - 1.0

    @cached_property
    def sign_flip(self) -> tuple[float, float]:
        """Exact and mid p over all signs of the clusters' sums."""
        return sign_flip(self.sums)

    @property
    def obuchowski_p(self) -> float:
        """Obuchowski's test: (K-1)/K (sum d_k)^2 / sum d_k^2 as chi-square; 1 where all d_k are 0.

        With weights n_k as in the difference of accuracies; for comparison, as it is not exact.
        """
        squares = int(self.sums @ self.sums)
        if squares == 0:
            return 1.0
        shrink = self.freedom / len(self.sizes)
        return math.erfc(math.sqrt(shrink * float(self.sums.sum()) ** 2 / squares / 2))


def sign_flip(sums: Int[np.ndarray, " clusters"]) -> tuple[float, float]:
    """Two-sided exact and mid p of sum d_k over all equally likely signs of the d_k.

    The distribution is a convolution of binomials, one for each distinct |d_k|: all terms are
    positive, so small p-values keep their digits. Mid p counts half of what is as far as the
    observed; both are 1 where all d_k are 0.
    """
    from scipy.stats import binom

    sizes, repeats = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    if len(sizes) == 0:
        return 1.0, 1.0
    chance = np.ones(1)
    for step, times in sorted(zip(sizes, repeats, strict=True), key=lambda row: -row[1]):
        wider = np.zeros(len(chance) + step * times)
        for k, weight in enumerate(binom.pmf(np.arange(times + 1), times, 0.5)):
            wider[k * step : k * step + len(chance)] += weight * chance
        chance = wider
    # Entry i is the chance that the sum is 2 i - total.
    total, observed = len(chance) - 1, abs(int(sums.sum()))
    far = np.abs(2 * np.arange(total + 1) - total)
    beyond, level = chance[far > observed].sum(), chance[far == observed].sum()
    return min(1.0, float(beyond + level)), float(beyond + level / 2)


def clustered(
    counts: Counts,
    difference: Int[np.ndarray, " graded"],
    problems: Sequence[str],
    clusters: Mapping[str, str],
) -> Clustered | None:
    """Group the problems that both runs have graded.

    Args:
        counts: their table.
        difference: of each, right in a less right in b.
        problems: their ids.
        clusters: problem id -> cluster; more problems than these may be named.

    Returns:
        The clusters, or None where each holds one problem: these are independent.

    Raises:
        GoniometerError: a problem has no cluster, or there is but one.
    """
    index = cluster_index(problems, clusters)
    sizes = np.bincount(index)
    if len(sizes) == len(problems) > 1:
        return None
    sums = np.bincount(index, weights=difference).round().astype(np.int64)
    return Clustered(counts, sums, sizes)


def cluster_index(
    problems: Sequence[str], clusters: Mapping[str, str]
) -> Int[np.ndarray, " problems"]:
    """The number of each problem's cluster, from 0 on.

    Raises:
        GoniometerError: a problem has no cluster.
    """
    missing = [problem for problem in problems if problem not in clusters]
    if missing:
        raise GoniometerError(
            "problems without a cluster", key=missing[0], found=f"{len(missing)} of {len(problems)}"
        )
    return np.unique([clusters[problem] for problem in problems], return_inverse=True)[1]
