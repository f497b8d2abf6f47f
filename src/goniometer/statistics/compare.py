"""All pairs of a set of runs on the same problems: what may be said of their scores."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

from goniometer.errors import GoniometerError
from goniometer.results import Paired
from goniometer.statistics.counts import Counts, mcnemar_exact, mcnemar_mid_p
from goniometer.statistics.tango import equivalence_p, smallest_margin, tango_interval

LEVEL = 0.05

Verdict = Literal[
    "different", "different but within the margin", "equivalent within the margin", "undecided"
]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjustment (Scand J Statist 6, 1979): family-wise, any dependence."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return tuple(adjusted)


def compare_all(runs: Mapping[str, Mapping[str, str]], margin: float) -> tuple[Paired, ...]:
    """Compare every pair of runs; both families of p-values are Holm-adjusted over all pairs.

    Args:
        runs: run -> problem id -> grade text, the same problems in each.
        margin: the difference of accuracies within which two runs count as equivalent.

    Raises:
        GoniometerError: two runs have different problems, a text is no grade, a pair has no
            problem that both have graded, or the margin is not between 0 and 1.
    """
    pairs = list(combinations(runs, 2))
    tables = [Counts.of_grades(a, runs[a], b, runs[b]) for a, b in pairs]
    exact = [mcnemar_exact(counts) for counts, _ in tables]
    equivalence = [equivalence_p(counts, margin) for counts, _ in tables]
    rows = zip(pairs, tables, exact, holm(exact), equivalence, holm(equivalence), strict=True)
    return tuple(
        _row(names, counts, dropped, margin, (p, p_holm), (p_equal, p_equal_holm))
        for names, (counts, dropped), p, p_holm, p_equal, p_equal_holm in rows
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


def _row(
    names: tuple[str, str],
    counts: Counts,
    dropped: int,
    margin: float,
    exact: tuple[float, float],
    equivalence: tuple[float, float],
) -> Paired:
    """Put one pair's numbers together; p-values come as (unadjusted, Holm)."""
    low, high = tango_interval(counts)
    return Paired(
        a=names[0],
        b=names[1],
        n=counts.n,
        both=counts.both,
        only_a=counts.only_a,
        only_b=counts.only_b,
        neither=counts.neither,
        dropped=dropped,
        difference=counts.difference,
        low=low,
        high=high,
        p_exact=exact[0],
        p_mid=mcnemar_mid_p(counts),
        p_holm=exact[1],
        margin=margin,
        p_equivalence=equivalence[0],
        p_equivalence_holm=equivalence[1],
        smallest_margin=smallest_margin(counts, LEVEL),
        verdict=verdict(exact[1], equivalence[1]),
    )


def verdict(p_difference: float, p_equivalence: float) -> Verdict:
    """One of four verdicts from the two Holm-adjusted p-values; every outcome has exactly one."""
    if p_difference < LEVEL:
        within = p_equivalence < LEVEL
        return "different but within the margin" if within else "different"
    return "equivalent within the margin" if p_equivalence < LEVEL else "undecided"
