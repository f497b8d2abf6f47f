"""Claims that need the model: losses along paths, similarity of activations."""

import pytest

from tests.claims_world import NAN, World

GRPO = ("everything", "grouped")
RIFT, SFT = ("mixed", "preferred"), ("everything", "preferred")
SEEDS = ("everything", "init 1")
ORDER = ("everything", "order 1")
HUMP = (1.0, 1.1, 1.3, 1.1, 0.9)
COLLAPSED = (1.0, 0.97, 0.95, 0.94, 0.93, 0.5, 0.45)


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        (5, {"segments": {GRPO: HUMP}, "monotone": {GRPO: False}}, "does not hold"),
        # A valley is not monotone, and one basin.
        (5, {"segments": {GRPO: (1.0, 0.8, 0.7, 0.8, 0.9)}, "monotone": {GRPO: False}}, "holds"),
        # A hump beside the midpoint, and one after a valley.
        (5, {"segments": {GRPO: (1.0, 1.2, 0.9, 0.9, 0.9)}, "monotone": {GRPO: False}},
         "does not hold"),
        (5, {"segments": {GRPO: (1.0, 0.8, 0.8, 0.9, 0.8)}, "monotone": {GRPO: False}},
         "does not hold"),
        (5, {"monotone": {GRPO: None}}, "undecided"),
        # Turns that are not sure are not none.
        (5, {"segments": {GRPO: (1.0, 0.9, 0.95, 0.93, 0.92)}}, "undecided"),
        # A repeat has the same barrier.
        (5, {"segments": {GRPO: HUMP, SEEDS: HUMP}, "monotone": {GRPO: False}}, "undecided"),
        (5, {"segments": {GRPO: (1.0, 1.0, 0.972, 0.93, 0.92)}}, "undecided"),  # midpoint open
        (7, {"segments": {RIFT: (1.0, 1.2, 1.25, 1.3, 1.5)}}, "does not hold"),  # the chord
        (7, {"segments": {SFT: (1.0, 1.0, 1.008, 1.0, 1.0)}}, "undecided"),
        (7, {"segments": {SEEDS: (1, 2, 5, 3, 1)}}, "undecided"),  # seeds stand apart as far
        (7, {"segments": {SFT: (1.0, 1.0, NAN, 1.0, 1.0)}}, "undecided"),
        (10, {"segments": {SEEDS: HUMP}}, "does not hold"),
        (10, {"segments": {ORDER: HUMP}}, "holds"),  # of one init
        (8, {"cka": {("base", "preferred"): (0.99,) * 7}}, "does not hold"),
        (8, {"cka": {SFT: (1.0, 0.97, 0.95, 0.94, 0.93, 0.70, 0.70)}}, "undecided"),
        (8, {"cka": {SFT: (0.5,) * 7}}, "does not hold"),  # low, but falls nowhere
        (8, {"cka": {SEEDS: COLLAPSED}}, "undecided"),  # two seeds collapse too
        (8, {"cka": {("everything", "mixed"): (0.999,) * 6 + (0.95,)}}, "does not hold"),
        (8, {"cka": {("everything", "mixed"): (0.999,) * 6 + (0.991,)}}, "undecided"),
        (8, {"cka": {("everything", "mixed"): (0.5, *(0.999,) * 6)}}, "holds"),  # the embedding
        (8, {"ceiling": None}, "undecided"),
    ],
)  # fmt: skip
def test_one_change_decides(claim, change, expected):
    world = World().with_behaviour()
    assert world.claim(claim).verdict == "holds"
    assert world.change(change).claim(claim).verdict == expected


def test_a_hump_is_absent_only_where_the_draws_say_so():
    found = World().with_behaviour().change({"hump_high": {GRPO: 0.5}}).claim(5)
    assert found.verdict == "undecided"
    assert [part.holds for part in found.parts] == [None, True]


@pytest.mark.parametrize("claim", [5, 7])
def test_without_a_path_between_repeats_there_is_no_floor_and_no_verdict(claim):
    world = World().with_behaviour()
    del world.segments[SEEDS], world.segments[ORDER]
    found = world.claim(claim)
    assert found.verdict == "undecided"
    assert "no floor" in found.found
    assert {p.floor for p in found.parts} == {None}


def test_paths_between_other_things_are_no_floor():
    """Two rates of one objective are no repeats."""
    world = World().with_behaviour()
    del world.segments[SEEDS], world.segments[ORDER]
    world.segments["preferred", "preferred, slow"] = (1.0,) * 5
    assert world.claim(7).verdict == "undecided"


def test_every_seed_with_a_path_counts():
    world = World(3).with_behaviour()
    world.segments["mixed seed 1", "preferred seed 1"] = (1.0,) * 5
    found = world.claim(7)
    assert len(found.parts) == 3
    assert found.verdict == "does not hold"


def test_paths_that_were_not_measured_are_named():
    world = World().with_behaviour()
    del world.segments[GRPO]
    assert world.claim(5).found == "no path between everything and grouped was measured"
    world.segments = {}
    assert "the loss along paths was not measured" in world.claim(7).found
    assert "no path between seeds measured" in world.claim(10).found
    world.with_behaviour().cka = {}
    assert "the similarity of activations was not measured" in world.claim(8).found


def test_the_mean_over_layers_takes_the_mean_of_the_ends_and_stands_beside_the_null():
    late = World().with_behaviour().claim(8).parts[0]
    assert late.estimate.value == pytest.approx((0.5 + 0.45) / 2)
    assert (late.low, late.high) == pytest.approx((0.471, 0.479))
    assert (late.null, late.floor, late.n) == (0.01, pytest.approx(0.991), 50)


def test_where_two_seeds_collapse_too_nothing_is_shown_of_dpo():
    parts = World().with_behaviour().change({"cka": {SEEDS: COLLAPSED}}).claim(8).parts
    assert [p.holds for p in parts] == [None] * 4 + [True]
