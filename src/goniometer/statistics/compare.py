"""All pairs of a set of runs on the same problems: what may be said of their scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, final

import numpy as np
from jaxtyping import Int8

from goniometer.errors import GoniometerError
from goniometer.results import Interval, Paired
from goniometer.seeds import derive
from goniometer.statistics.bootstrap import (
    DRAWS,
    bootstrap_limits,
    percentile_interval,
    resampled_sums,
)
from goniometer.statistics.clusters import Clustered, clustered
from goniometer.statistics.counts import Counts, mcnemar_exact, mcnemar_mid_p
from goniometer.statistics.multiplicity import holm, smallest_margins_holm
from goniometer.statistics.outcomes import Outcomes
from goniometer.statistics.tango import equivalence_p, smallest_margin, tango_interval

LEVEL = 0.05

Verdict = Literal[
    "different", "different but within the margin", "equivalent within the margin", "undecided"
]


@final
@dataclass(frozen=True)
class Pair:
    """Two runs' table, with its clusters where the problems have some."""

    a: str
    b: str
    counts: Counts
    dropped: int
    clusters: Clustered | None

    @property
    def table(self) -> Counts | Clustered:
        """What the interval and the equivalence test take."""
        return self.counts if self.clusters is None else self.clusters

    @property
    def p_exact(self) -> float:
        """Exact McNemar, or over the signs of whole clusters."""
        return mcnemar_exact(self.counts) if self.clusters is None else self.clusters.sign_flip[0]

    @property
    def p_mid(self) -> float:
        """The mid-p of the same."""
        return mcnemar_mid_p(self.counts) if self.clusters is None else self.clusters.sign_flip[1]


def compare_all(
    runs: Mapping[str, Mapping[str, str]],
    margin: float,
    clusters: Mapping[str, str] | None = None,
) -> tuple[Paired, ...]:
    """Compare every pair of runs; both families of p-values are Holm-adjusted over all pairs.

    Args:
        runs: run -> problem id -> grade text, the same problems in each.
        margin: the difference of accuracies within which two runs count as equivalent.
        clusters: problem id -> cluster, where problems are not independent of each other: samples
            of one problem, problems of one template. Each test is then one of clusters.

    Raises:
        GoniometerError: two runs have different problems, a text is no grade, a pair has no
            problem that both have graded, a problem has no cluster, all have one, or the margin
            is not between 0 and 1.
    """
    outcomes = Outcomes.of_grades(runs)
    pairs = [_pair(outcomes, a, b, clusters) for a, b in combinations(runs, 2)]
    exact = [pair.p_exact for pair in pairs]
    equivalence = [equivalence_p(pair.table, margin) for pair in pairs]
    margins = smallest_margins_holm([pair.table for pair in pairs], LEVEL)
    rows = zip(
        pairs, exact, holm(exact), equivalence, holm(equivalence), margins, strict=True
    )  # fmt: skip
    return tuple(
        _row(pair, (p, p_holm), margin, (p_equal, p_equal_holm), needed)
        for pair, p, p_holm, p_equal, p_equal_holm, needed in rows
    )


def paired(
    name_a: str,
    grades_a: Mapping[str, str],
    name_b: str,
    grades_b: Mapping[str, str],
    margin: float,
) -> Paired:
    """Compare two runs alone: a family of one pair, so Holm changes nothing.

    Raises:
        GoniometerError: as `compare_all`, or both runs have one name.
    """
    if name_a == name_b:
        raise GoniometerError("two runs of one name cannot be told apart", found=name_a)
    return compare_all({name_a: grades_a, name_b: grades_b}, margin)[0]


def _pair(outcomes: Outcomes, a: str, b: str, clusters: Mapping[str, str] | None) -> Pair:
    counts, dropped = outcomes.counts(a, b)
    if clusters is None:
        return Pair(a, b, counts, dropped, None)
    graded = outcomes.graded(a, b)
    difference: Int8[np.ndarray, " graded"] = (outcomes.of(a) - outcomes.of(b))[graded]
    kept = [outcomes.problems[i] for i in np.flatnonzero(graded)]
    return Pair(a, b, counts, dropped, clustered(counts, difference, kept, clusters))


def _row(
    pair: Pair,
    exact: tuple[float, float],
    margin: float,
    equivalence: tuple[float, float],
    margin_holm: float,
) -> Paired:
    """Put one pair's numbers together; p-values come as (unadjusted, Holm)."""
    low, high = tango_interval(pair.table)
    counts, clusters = pair.counts, pair.clusters
    return Paired(
        a=pair.a,
        b=pair.b,
        n=counts.n,
        both=counts.both,
        only_a=counts.only_a,
        only_b=counts.only_b,
        neither=counts.neither,
        dropped=pair.dropped,
        difference=counts.difference,
        low=low,
        high=high,
        p_exact=exact[0],
        p_mid=pair.p_mid,
        p_holm=exact[1],
        margin=margin,
        p_equivalence=equivalence[0],
        p_equivalence_holm=equivalence[1],
        smallest_margin=smallest_margin(pair.table, LEVEL),
        smallest_margin_holm=margin_holm,
        verdict=verdict(exact[1], equivalence[1]),
        bootstrap=bootstrap_interval(pair),
        clusters=None if clusters is None else len(clusters.sizes),
        design_effect=None if clusters is None else clusters.design_effect,
        p_obuchowski=None if clusters is None else clusters.obuchowski_p,
    )


def bootstrap_interval(pair: Pair, draws: int = DRAWS) -> Interval:
    """Percentile interval of the difference: of problems without a draw, of clusters by draws."""
    counts, clusters = pair.counts, pair.clusters
    over = "problems" if clusters is None else "clusters"
    discordant = counts.only_a + counts.only_b
    if discordant == 0 or abs(counts.only_a - counts.only_b) == counts.n:
        return Interval(undefined="every problem has one difference: no resample varies", over=over)
    if clusters is None:
        b, c = np.array([counts.only_a]), np.array([counts.only_b])
        low, high = bootstrap_limits(b, c, counts.n)[0].tolist()
        return Interval(low=low, high=high, over=over)
    rng = np.random.default_rng(derive("clusters", pair.a, pair.b, counts))
    sums = resampled_sums(np.stack([clusters.sums, clusters.sizes], axis=1), draws, rng)
    low, high = percentile_interval(sums[:, 0] / sums[:, 1])
    return Interval(low=low, high=high, over=over, draws=draws)


def verdict(p_difference: float, p_equivalence: float) -> Verdict:
    """One of four verdicts from the two Holm-adjusted p-values; every outcome has exactly one."""
    if p_difference < LEVEL:
        within = p_equivalence < LEVEL
        return "different but within the margin" if within else "different"
    return "equivalent within the margin" if p_equivalence < LEVEL else "undecided"
