"""Claims of studies with one run an arm: one change decides, refutes or leaves open."""

import pytest

from goniometer.claims import judge
from goniometer.results import Band, InputNulls
from tests.claims_world import INITS, NAN, World

DPO_TO = [("everything", "preferred"), ("filtered", "preferred"), ("mixed", "preferred")]
ORDERS = [("everything", "order 1"), ("everything", "order 2"), ("order 1", "order 2")]


def tried(world: World, claim: int) -> tuple[str, str]:
    found = world.claim(claim)
    return found.verdict, found.found


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        (1, {"cosine": {("filtered", "mixed"): 0.94}, "low": 0.90}, "undecided"),
        (1, {"cosine": {("filtered", "mixed"): 0.89}, "low": 0.90}, "does not hold"),
        (1, {"cosine": {("everything", "filtered"): 0.955}}, "does not hold"),  # below the floor
        (1, {"low": None}, "undecided"),
        (3, {"cosine": {("everything", "grouped"): 0.56}}, "undecided"),  # within the tolerance
        (3, {"cosine": {("everything", "grouped"): 0.50}}, "does not hold"),
        (3, {"cosine": {("everything", "dynamic"): 0.73}}, "undecided"),
        (3, {"cosine": {("everything", "grouped"): 0.58}, "low": 0.90}, "undecided"),
        # One order is shared: a cosine above the floor of other orders may still be below a repeat.
        (4, {"cosine": {("everything", "grouped"): 0.965}}, "undecided"),
        (4, {"cosine": {("everything", "grouped"): 0.015}}, "undecided"),  # within the null
        (4, {"cosine": {("everything", "grouped"): -0.3}}, "does not hold"),  # nothing to add to
        (4, {"growth": {("everything", "grouped"): 0.0}}, "undecided"),
        (4, {"growth": {("everything", "grouped"): -0.3}}, "does not hold"),
        (4, {"growth": {("everything", "grouped"): 0.015}}, "undecided"),
        (4, {"growth": {("order 1", "order 2"): 0.19}}, "undecided"),  # replicates do it too
        (4, {"low": None}, "undecided"),
        (6, {"cosine": {DPO_TO[2]: 0.11}}, "does not hold"),
        (6, {"cosine": {DPO_TO[0]: -0.11}}, "does not hold"),
        (6, {"low": 0.09}, "undecided"),  # a repeat may be near-orthogonal too
        (6, {"cosine": {("everything", "preferred, slow"): 0.9}}, "holds"),  # not at SFT's rate
        (6, {"cosine": {("everything", "preferred, slow"): NAN}}, "holds"),
        (6, {"rank": {"preferred": 17.0}}, "undecided"),
        (6, {"rank": {"preferred": 12.0}}, "does not hold"),
        (6, {"norm": {"preferred": 2.8}}, "undecided"),
        (6, {"norm": {"preferred": 6.0}}, "does not hold"),
        (6, {"norm": {"order 1": 9.0}}, "undecided"),  # replicates differ as much
        (6, {"norm": {"preferred": 0.0}}, "undecided"),
        (9, {"v1": {("filtered", "grouped"): 0.89}}, "does not hold"),
        (9, {"v1": dict.fromkeys([("filtered", "grouped"), *ORDERS], 0.89)}, "undecided"),
        (9, {"v1": {("filtered", "preferred"): 0.2}}, "holds"),
        (9, {"v1_null": 0.96}, "undecided"),  # what the common init gives alone
        (9, {"u1": {("everything", "dynamic"): 0.94}}, "undecided"),
        (9, {"u1": {("everything", "preferred"): 0.99}}, "does not hold"),
        (9, {"u1": {("order 1", "order 2"): 0.50}}, "undecided"),  # replicates differ as much
        (10, {"cosine": {("everything", "init 1"): 0.54}}, "undecided"),
        (10, {"cosine": {("everything", "init 1"): 0.70}}, "does not hold"),
        (10, {"cosine": {("mixed", "dynamic"): 0.01}}, "does not hold"),
        (10, {"u1": {("everything", "init 1"): 0.8}}, "does not hold"),
        (10, {"v1": {("everything", "init 1"): 0.6}}, "does not hold"),
        (11, {"cosine": {("preferred", "preferred, slow"): 0.961}}, "undecided"),
        (11, {"norm": {"preferred, slow": 1.45}}, "undecided"),
        (11, {"norm": {"preferred, slow": 3.0}}, "does not hold"),
    ],
)  # fmt: skip
def test_one_change_decides(claim, change, expected):
    verdict, found = tried(World().change(change), claim)
    assert verdict == expected
    assert not found.startswith("undecided")  # the verdict says it


def test_what_the_inputs_alone_give_is_a_null_of_v1():
    results = World().with_behaviour().results()
    null = Band(low=0.9, median=0.93, high=0.96, draws=200)
    nulls = InputNulls(
        modules=(), whole={"covariance": {"v1": null}}, k=4, tokens=10, prompts=2,
        positions="every token",
    )  # fmt: skip
    similarity = results.behaviour.similarity.model_copy(update={"input_nulls": nulls})
    behaviour = results.behaviour.model_copy(update={"similarity": similarity})
    claim = judge(results.model_copy(update={"behaviour": behaviour}))[8]
    assert claim.verdict == "undecided"
    assert {p.null for p in claim.parts if p.what.startswith("v1 of")} == {0.96}


def test_the_floor_of_a_pair_is_that_of_its_own_arms():
    results = World().change({"cosine": {("filtered", "mixed"): 0.97}}).results()
    first = results.comparison.floors[0]
    own = first.model_copy(update={"runs": ("mixed", *first.runs[1:]), "low": 0.98})
    floors = (*results.comparison.floors, own)
    comparison = results.comparison.model_copy(update={"floors": floors})
    claim = judge(results.model_copy(update={"comparison": comparison}))[0]
    # SFT and RFT: SFT's; SFT and RIFT: the lower of both; RFT and RIFT: RIFT's.
    assert [p.floor for p in claim.parts] == [0.96, 0.96, 0.98]
    assert [p.holds for p in claim.parts] == [True, True, False]


def test_rates_of_a_grid_are_rates_and_arms_with_a_floor_go_first():
    world = World()
    world.cells["mixed"] = {
        "objective": "sft", "role": "grid", "arm": "everything", "learning_rate": 1e-4,
    }  # fmt: skip
    assert "mixed to everything, 10x the rate" in tried(world, 11)[1]
    for moved in ({"seed": 1}, {"wrong_share": 0.5}):
        world.cells["mixed"] |= moved
        assert "preferred, slow to preferred" in tried(world, 11)[1]


def test_every_tenfold_pair_of_rates_counts_and_without_one_the_widest():
    world = World()
    slower = {"objective": "sft", "role": "grid", "arm": "everything"}
    world.cells["mixed"] = slower | {"learning_rate": 1e-4}
    world.cells["filtered"] = slower | {"learning_rate": 2e-4}
    assert [p.what for p in world.claim(11).parts] == [
        "cosine of mixed and everything", "norm of everything over that of mixed",
        "cosine of preferred, slow and preferred", "norm of preferred over that of preferred, slow",
    ]  # fmt: skip
    world.cells["mixed"] = slower | {"learning_rate": 5e-4}
    world.cells["preferred, slow"] = {"learning_rate": 5e-4}
    assert "filtered to everything, 5x the rate" in tried(world, 11)[1]


def test_one_pair_of_inits_decides_nothing():
    found = World(inits=INITS[:2]).claim(10)
    assert found.verdict == "undecided"
    assert {p.interval for p in found.parts} == {"none: one pair of inits decides nothing"}
    assert {p.holds for p in found.parts} == {None}
