"""Claims: the table, how parts become a verdict, and what is no evidence."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goniometer.claims import CLAIMS, judge
from goniometer.claims.parts import Estimate, exceeds, number, part, settle
from goniometer.results import ClaimPart, Reading
from tests.claims_world import ARMS, NAN, World

MODEL = (5, 7, 8)  # need the model
DECIDED = tuple(n for n in range(1, 13) if n not in MODEL)


def test_every_claim_of_the_table_is_tried_once_and_in_order():
    claims = judge(World().results())
    assert [c.number for c in claims] == [row.number for row in CLAIMS] == list(range(1, 13))
    verdicts = {c.number: c.verdict for c in claims}
    assert verdicts == {n: "holds" if n in DECIDED else "not measured" for n in range(1, 13)}
    assert all("run `goniometer study`" in claims[n - 1].found for n in MODEL)


@pytest.mark.parametrize("seeds", [1, 3])
def test_with_paths_and_similarity_every_claim_holds(seeds):
    claims = judge(World(seeds).with_behaviour().results())
    assert {c.verdict for c in claims} == {"holds"}


def test_the_made_up_study_speaks_of_measures_and_objectives_that_exist():
    from goniometer.geometry import MEASURES, SPECTRA
    from goniometer.objectives import OBJECTIVES

    comparison = World().results().comparison
    assert set(comparison.pairs[0].scopes["union"].readings) <= set(MEASURES)
    assert set(comparison.runs[0].scopes["all"]) <= set(SPECTRA)
    assert {objective for objective, _ in ARMS.values()} <= set(OBJECTIVES)


WORLDS = {
    "one run an arm": World,
    "three seeds": lambda: World(3),
    "with the model": lambda: World().with_behaviour(),
    "no floor": lambda: World().change({"low": None}),
    "an arm lost": lambda: World(3).change({"cells": {"mixed": {"state": "diverged"}}}),
    "no v1": lambda: World().change({"v1": {("everything", "filtered"): NAN}}),
    "a large norm": lambda: World(3).change({"norm": {"preferred": 9.0}}),
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_verdict_follows_from_its_parts_and_no_part_is_decided_without_a_floor(name):
    for claim in judge(WORLDS[name]().results()):
        assert claim.parts
        assert claim.verdict == settle(claim.parts)
        for p in claim.parts:
            assert p.holds is None or p.floor is not None
            assert p.holds is None or p.estimate.value is not None
            assert (p.low is None) == (p.high is None) == p.interval.startswith("none")
            if p.low is not None:
                assert p.low <= p.estimate.value <= p.high
                assert p.n is not None
            # Modules and layers of one run are no sample of runs.
            assert not p.interval.startswith(("modules", "layers"))


@pytest.mark.parametrize("holds", [True, False])
def test_a_part_without_a_floor_is_open(holds):
    assert part("", Estimate(0.5), holds).holds is None
    assert part("", Estimate(0.5), holds, floor=0.0).holds is holds


def test_without_a_study_nothing_is_measured_and_the_reason_is_given():
    claims = judge(World().results().model_copy(update={"study": None}))
    assert {c.verdict for c in claims} == {"not measured"}
    assert all("no study" in c.found for c in claims)
    assert all("no study" in (c.parts[0].estimate.undefined or "") for c in claims)


@pytest.mark.parametrize("claim", [1, 3, 4, 6, 10, 11])
def test_every_cosine_stands_beside_its_floor_and_nulls(claim):
    found = World().claim(claim).found
    for beside in ("other order .975, bound .960", "other init, same order .070", "null to .020"):
        assert beside in found


@pytest.mark.parametrize("claim", range(1, 13))
def test_an_arm_that_did_not_train_is_no_evidence(claim):
    world = World().with_behaviour()
    for arm in ("mixed", "preferred"):
        world.cells[arm] = {"state": "diverged"}
    found = world.claim(claim)
    if claim in (4, 5):
        assert found.verdict == "holds"  # need neither
    else:
        assert found.verdict == "not measured"
        assert any(
            s in found.found for s in ("diverged", "at the learning rate", "two learning rates")
        )


def test_cells_are_found_by_what_they_train():
    """SFT on correct rows is not the paper's SFT; the arm that follows it is."""
    world = World()
    world.cells["filtered"] = {"objective": "sft", "options": {"rows": "correct"}}
    world.cells["mixed"] = {"objective": "rft"}
    assert "no trained arm of rift" in world.claim(1).found
    world.cells["everything"] = {"options": {"rows": "correct"}}
    assert "no trained arm of sft" in world.claim(3).found


def test_the_arm_of_a_claim_is_the_one_at_the_learning_rate_of_sft():
    world = World()
    world.cells = {"preferred": {"learning_rate": 1e-4}, "preferred, slow": {"learning_rate": 1e-3}}
    assert world.claim(6).found.startswith("preferred, slow: cosine .050, rank x 1,")
    world.cells["preferred, slow"] = {"learning_rate": 2e-3}
    assert world.claim(6).found == "no arm of dpo at the learning rate of sft, 0.001"


def test_an_undefined_reading_leaves_its_part_open_and_gives_the_reason():
    world = World().change({"v1": {("everything", "filtered"): NAN}})
    claim = world.claim(9)
    reasons = [p.estimate.undefined for p in claim.parts if p.estimate.undefined]
    assert claim.verdict == "undecided"  # the other parts have their numbers
    assert reasons == ["v1 of everything and filtered is undefined: nothing there"]
    del world.verdicts["everything", "filtered"]
    assert world.claim(2).found == "everything and filtered have no paired scores"


def test_without_nulls_input_agreement_is_not_decided():
    results = World().results()
    bare = results.comparison.model_copy(update={"nulls": {}})
    claim = judge(results.model_copy(update={"comparison": bare}))[8]
    assert claim.verdict == "not measured"
    assert all("no shared_A0 null" in (p.estimate.undefined or "") for p in claim.parts)


def test_without_floors_and_seeds_no_claim_is_decided():
    results = World().with_behaviour().results()
    bare = results.comparison.model_copy(update={"floors": ()})
    claims = judge(results.model_copy(update={"comparison": bare}))
    verdicts = {c.number: c.verdict for c in claims}
    # Paths and activations have floors of their own: two runs of one arm. Claim 10 asks for another
    # init's cosines, which a floor holds.
    unread = {10: "not measured"}
    assert verdicts == dict.fromkeys(DECIDED, "undecided") | dict.fromkeys(MODEL, "holds") | unread


def test_the_verdict_over_all_states_of_up_to_four_parts():
    """Against a rule by counting; what only the order of parts makes different is no difference."""
    states = {
        "shown": ClaimPart(what="", estimate=Reading(value=1.0), holds=True),
        "refuted": ClaimPart(what="", estimate=Reading(value=0.0), holds=False),
        "open": ClaimPart(what="", estimate=Reading(value=0.0)),
        "unread": ClaimPart(what="", estimate=Reading(undefined="nothing there")),
    }
    seen = Counter()
    for n in range(5):
        for told in product(states, repeat=n):
            shown, refuted, _, unread = (told.count(state) for state in states)
            if refuted:
                expected = "does not hold"
            elif unread == n:  # no part at all, too
                expected = "not measured"
            else:
                expected = "holds" if shown == n else "undecided"
            assert settle([states[state] for state in told]) == expected, told
            seen[expected] += 1
    # Of n parts: 4^n - 3^n, 1, 1 (n > 0) and what is left.
    assert seen == {"does not hold": 220, "not measured": 5, "holds": 4, "undecided": 112}


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_what_is_within_the_tolerance_is_neither(a, b, tolerance):
    one, other = exceeds(a, b, tolerance), exceeds(b, a, tolerance)
    assert (one is None) == (other is None)
    assert one is None or one is not other
    assert exceeds(a, a, tolerance) is None


@given(st.floats(-2, 2), st.floats(0, 1), st.floats(-2, 2), st.integers(1, 30))
def test_an_interval_decides_only_what_lies_beyond_it(value, half, threshold, parts):
    found = Estimate(value, value - half, value + half, n=3, freedom=2)
    above, below = found.above(threshold, parts), found.below(threshold, parts)
    assert (above is True) == (found.low > threshold)
    assert above is not False or found.high < threshold
    assert not (above is True and below is True)
    assert parts == 1 or found.above(threshold, 1) is False or above is not False
    assert Estimate(value).above(threshold) is None


@pytest.mark.parametrize(
    ("value", "text"), [(0.9771, ".977"), (-0.05, "-.050"), (1, "1"), (24.54, "24.5"), (0, ".000")]
)
def test_numbers_as_the_paper_prints_them(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("cell", "change", "claim"),
    [
        ("filtered", {"regime": "full"}, 1),
        ("filtered", {"options": {"deduplicate": "equations"}}, 1),
        ("grouped", {"options": {"variant": "ratio_clipped"}}, 4),
        ("preferred", {"options": {"length_normalised": True}}, 6),
        ("preferred, slow", {"regime": "full"}, 11),
    ],
)
def test_another_regime_or_variant_is_not_what_the_paper_means(cell, change, claim):
    world = World()
    assert world.claim(claim).verdict == "holds"
    world.cells[cell] = change
    assert world.claim(claim).verdict == "not measured"
