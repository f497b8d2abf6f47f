"""Claims about directions where the grid has seeds: of arms, not of their first runs."""

import pytest

from goniometer.claims import judge
from goniometer.statistics.cross_seed import cross_seed
from tests.claims_world import REPEAT, World

DPO_TO = [("everything", "preferred"), ("filtered", "preferred"), ("mixed", "preferred")]


def cross(a: str, b: str, *values: float) -> dict[tuple[str, str, str], float]:
    """Cosines of two arms between seeds s != t, in order."""
    seeds = ("", " seed 1", " seed 2")
    ends = [(a + s, b + t) for s in seeds for t in seeds if s != t]
    return {("cosine", *pair): value for pair, value in zip(ends, values, strict=True)}


def test_the_corrected_cosine_and_its_jackknife_are_those_of_cross_seed():
    world = World(3)
    world.seeded |= cross("everything", "filtered", 0.30, 0.34, 0.28, 0.36, 0.33, 0.35)
    cosines = {
        (p.a, p.b): p.scopes["union"].readings["cosine"].value
        for p in world.results().comparison.pairs
    }
    runs = [[arm + s for s in ("", " seed 1", " seed 2")] for arm in ("everything", "filtered")]
    oracle = cross_seed("everything", "filtered", *runs, cosines)
    found = world.claim(1).parts[0]
    assert found.estimate.value == pytest.approx(oracle.corrected.value)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    assert (found.floor, found.n, found.interval) == (1, 3, "seeds (jackknife)")
    assert found.null == pytest.approx(0.01 / REPEAT)


def rho(a: str, b: str, value: float) -> dict[tuple[str, str, str], float]:
    """One cosine across all seeds, such that the corrected one is `value`."""
    return cross(a, b, *[REPEAT * value] * 6)


@pytest.mark.parametrize(
    ("claim", "seeded", "expected"),
    [
        # The first runs' cosine is .97 throughout: the seeds say otherwise.
        (1, rho("everything", "filtered", 0.90), "does not hold"),
        (1, rho("everything", "filtered", 0.96), "holds"),
        (1, cross("everything", "filtered", 0.36, 0.33, 0.36, 0.36, 0.33, 0.36), "undecided"),
        (3, rho("everything", "grouped", 0.56), "does not hold"),  # surely not .02 above
        (3, cross("everything", "grouped", 0.25, 0.2, 0.3, 0.1, 0.3, 0.2), "undecided"),
        (4, rho("everything", "grouped", 0.99), "does not hold"),
        (4, rho("everything", "grouped", -0.2), "does not hold"),
        (4, cross("everything", "grouped", -0.1, 0.1, 0.1, 0.0, -0.1, 0.1), "undecided"),
        (6, rho("everything", "preferred", 0.2), "does not hold"),
        (6, rho("everything", "preferred", 0.09), "holds"),
        (6, cross("everything", "preferred", 0.1, -0.1, 0.1, 0.1, -0.1, 0.1), "undecided"),
        (10, {("u1", "dynamic", "dynamic seed 2"): 0.5}, "undecided"),
        (10, {("cosine", "mixed seed 1", "dynamic seed 1"): -0.4}, "undecided"),
        (11, rho("preferred", "preferred, slow", 0.99), "does not hold"),
        (11, rho("preferred", "preferred, slow", 0.97), "holds"),
    ],
)  # fmt: skip
def test_seeds_decide(claim, seeded, expected):
    world = World(3)
    assert world.claim(claim).verdict == "holds"
    assert world.change({"seeded": seeded}).claim(claim).verdict == expected


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        (6, {"norm": {"preferred": 6.0}}, "does not hold"),
        (6, {"rank": {"preferred": 12.0}}, "does not hold"),
        (9, {"v1": {("filtered", "grouped"): 0.89}}, "does not hold"),
        (9, {"u1": {("everything", "preferred"): 0.99}}, "does not hold"),
        (10, {"cosine": {("mixed", "dynamic"): 0.3}}, "does not hold"),  # less than repeats
        (10, {"cosine": {("mixed", "dynamic"): 0.385}}, "holds"),
    ],
)
def test_an_effect_of_every_seed_decides(claim, change, expected):
    assert World(3).change(change).claim(claim).verdict == expected


def test_a_part_is_refuted_by_its_interval_widened_for_the_number_of_parts():
    """The same interval refutes where the claim has one part, and leaves open among thirteen."""
    world = World(3)
    for run, value in ((" seed 1", 0.80), (" seed 2", 0.85)):
        world.seeded["v1", f"filtered{run}", f"grouped{run}"] = value
    world.v1["filtered", "grouped"] = 0.80
    claim = world.claim(9)
    part = next(p for p in claim.parts if p.what == "v1 of filtered and grouped")
    assert part.high < 0.90
    assert part.holds is None


def test_two_seeds_are_too_few_and_the_first_run_speaks():
    assert {p.interval for p in World(2).claim(1).parts} == {"none: one run of each"}


def test_a_seed_that_one_arm_lost_is_left_out_of_its_pairs():
    world = World(4).change({"cells": {"filtered seed 3": {"state": "diverged"}}})
    assert [p.n for p in world.claim(1).parts] == [3, 4, 3]


def test_runs_that_moved_something_else_are_no_seeds():
    world = World(3)
    for moved in ({"learning_rate": 1e-5}, {"wrong_share": 0.5}):
        world.cells = {"filtered seed 1": moved}
        assert "none: one run of each" in {p.interval for p in world.claim(1).parts}


def test_where_repeats_share_nothing_there_is_no_corrected_cosine():
    world = World(3)
    world.seeded |= cross("filtered", "filtered", -0.1, 0.0, -0.1, 0.0, 0.0, 0.0)
    claim = judge(world.results())[0]
    assert claim.verdict == "undecided"  # SFT and RIFT have theirs
    assert "have nothing in common" in (claim.parts[0].estimate.undefined or "")


def test_layers_of_other_seeds_that_were_not_read_leave_the_first_seed_with_no_interval():
    results = World(3).results()
    pairs = tuple(
        p.model_copy(update={"scopes": {"union": p.scopes["union"]}}) if "seed" in p.a + p.b else p
        for p in results.comparison.pairs
    )
    bare = results.comparison.model_copy(update={"pairs": pairs})
    claim = judge(results.model_copy(update={"comparison": bare}))[3]
    assert claim.parts[2].interval == "none: of other seeds no layer was read"
    assert claim.parts[2].low is None
