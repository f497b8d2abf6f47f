"""Claims about accuracies: problems, seeds, and the floor between repeats."""

from statistics import fmean, stdev

import pytest
from scipy import stats

from goniometer.claims import judge
from goniometer.results import Interval, SeedDifference
from tests.claims_world import FIVE, World

ALIKE, HIGHEST = 2, 12
PAIR = ("mixed", "dynamic")


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        (2, {"verdicts": {PAIR: "undecided"}}, "undecided"),
        (2, {"verdicts": {PAIR: "different"}, "accuracy": {"mixed": 0.9}}, "does not hold"),
        # Different runs, by less than two runs of one arm come out apart.
        (2, {"verdicts": {PAIR: "different"}, "accuracy": {"mixed": 0.86}}, "undecided"),
        (2, {"verdicts": {PAIR: "different but within the margin"}}, "holds"),
        (2, {"verdicts": {("filtered", "preferred"): "undecided"}}, "holds"),  # not of the five
        # Equivalent runs of arms whose repeats come out three points apart.
        (2, {"accuracy": {"order 1": 0.86}}, "undecided"),
        (12, {"verdicts": {("filtered", "preferred"): "undecided"}}, "undecided"),
        (12, {"verdicts": {("filtered", "preferred"): "equivalent within the margin"}},
         "undecided"),
        (12, {"verdicts": {("filtered", "preferred"): "different but within the margin"}}, "holds"),
        (12, {"accuracy": {"preferred": 0.80}}, "does not hold"),
        (12, {"accuracy": {"preferred": 0.86}}, "undecided"),  # repeats differ as much
        (12, {"accuracy": {"preferred": 0.84}}, "undecided"),
    ],
)  # fmt: skip
def test_one_run_an_arm(claim, change, expected):
    found = World().change(change).claim(claim)
    assert found.verdict == expected
    assert {p.interval for p in found.parts} == {"problems (Tango), one run of each"}


def test_the_floor_is_how_far_apart_two_repeats_come_out():
    """The 95 % prediction interval of a difference of two more runs, by SciPy."""
    world = World()
    values = [world.accuracy[run] for run in ("everything", "order 1", "order 2")]
    oracle = stats.t.ppf(0.975, 2) * stdev(values) * 2**0.5
    (floor,) = {p.floor for p in world.claim(ALIKE).parts}
    assert floor == pytest.approx(oracle)


def seeded(shift: dict[str, float], seeds: int = 3) -> World:
    """Three seeds, of which some runs are moved."""
    world = World(seeds)
    world.accuracy |= shift
    return world


def test_over_seeds_the_interval_is_students_and_the_sign_that_of_the_part():
    world = seeded({"preferred seed 1": 0.91, "preferred seed 2": 0.93})
    claim = world.claim(HIGHEST)
    accuracies = {row.run: row.accuracy for row in world.results().study.accuracies}
    for arm, found in zip(FIVE, claim.parts, strict=True):
        runs = [(f"preferred{s}", f"{arm}{s}") for s in ("", " seed 1", " seed 2")]
        values = [accuracies[a] - accuracies[b] for a, b in runs]
        oracle = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert found.estimate.value == pytest.approx(fmean(values))
        assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
        assert (found.n, found.interval) == (3, "seeds (Student), the problems fixed")


@pytest.mark.parametrize(
    ("claim", "shift", "expected"),
    [
        (HIGHEST, {}, "holds"),
        # A lead of the first seed's runs alone is not one of the methods.
        (HIGHEST, {"preferred seed 1": 0.86, "preferred seed 2": 0.845}, "undecided"),
        (HIGHEST, {"preferred seed 1": 0.80, "preferred seed 2": 0.80}, "undecided"),
        (HIGHEST, {"preferred": 0.80}, "does not hold"),
        (ALIKE, {}, "holds"),
        (ALIKE, {"mixed seed 1": 0.90}, "undecided"),
    ],
)
def test_methods_do_not_rest_on_the_first_seed(claim, shift, expected):
    world = seeded(shift)
    if shift == {"preferred": 0.80}:  # and all its repeats
        world.accuracy |= {f"preferred seed {s}": 0.80 for s in (1, 2)}
    assert world.claim(claim).verdict == expected


def hierarchical(low: float, high: float) -> str:
    """Claim 2's verdict where one pair's hierarchical interval is this, the others' narrow."""
    results = World(5).results()
    rows = tuple(
        SeedDifference(
            a=b, b=a, n=100, dropped=0, differences=(0.0,) * 5, mean=0.0,
            interval=Interval(low=ends[0], high=ends[1], over="seeds, then problems", draws=10),
        )
        for i, a in enumerate(FIVE) for b in FIVE[i + 1:]
        for ends in [(low, high) if (a, b) == PAIR else (-0.001, 0.001)]
    )  # fmt: skip
    study = results.study.model_copy(update={"seed_differences": rows})
    claim = judge(results.model_copy(update={"study": study}))[ALIKE - 1]
    part = next(p for p in claim.parts if "mixed less dynamic" in p.what)
    assert (part.low, part.high) == (-high, -low)  # of the pair the other way round
    assert part.interval == "seeds, then problems"
    return claim.verdict


def test_from_five_seeds_up_the_hierarchical_interval_decides():
    assert hierarchical(-0.01, 0.015) == "holds"
    assert hierarchical(-0.01, 0.025) == "undecided"
