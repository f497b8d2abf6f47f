"""A made-up study in which every claim holds, and what each claim says when one thing changes."""

import math
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goniometer.claims import CLAIMS, judge
from goniometer.claims.evidence import exceeds, number, settle
from goniometer.results import (
    Accuracy,
    Band,
    Cell,
    Comparison,
    Floor,
    Paired,
    PairReadings,
    Reading,
    Results,
    RolloutReport,
    RunReadings,
    Scope,
    StudyResults,
)

# Names are the user's: no claim may depend on them. Objectives, learning rates and roles are not.
ARMS = {
    "everything": ("sft", 1e-3), "filtered": ("rft", 1e-3), "mixed": ("rift", 1e-3),
    "dynamic": ("dft", 1e-3), "grouped": ("offline_grpo", 1e-3),
    "preferred": ("dpo", 1e-3), "preferred, slow": ("dpo", 1e-4),
}  # fmt: skip
ORDERS, INITS = ("everything", "order 1", "order 2"), ("everything", "init 1", "init 2")
ORDER, INIT = "same init, other order", "other init, same order"
RUNS = (*ARMS, "order 1", "order 2", "init 1", "init 2")
LAYERS = 7
FIVE = tuple(ARMS)[:5]


def key(a: str, b: str) -> tuple[str, str]:
    return (a, b) if RUNS.index(a) < RUNS.index(b) else (b, a)


class World:
    """The numbers that a test may change before it asks for the results."""

    def __init__(self) -> None:
        pairs = list(combinations(RUNS, 2))
        self.cosine = dict.fromkeys(pairs, 0.55) | {p: 0.05 for p in pairs if "preferred" in p}
        self.cosine |= {p: 0.05 for p in pairs if "preferred, slow" in p}
        self.cosine |= dict.fromkeys(combinations(FIVE[:3], 2), 0.97)
        self.cosine |= {("everything", "grouped"): 0.74}
        self.cosine |= {("preferred", "preferred, slow"): 0.55}
        self.cosine |= dict.fromkeys(combinations(ORDERS, 2), 0.975)
        self.cosine |= {p: 0.07 for p in pairs if {*p} & {*INITS[1:]}}
        self.growth = dict.fromkeys(pairs, 0.0) | {("everything", "grouped"): 0.2}
        self.u1 = dict.fromkeys(pairs, 0.5) | {p: 0.99 for p in pairs if {*p} & {*INITS[1:]}}
        self.v1 = dict.fromkeys(pairs, 0.95) | {p: 0.07 for p in pairs if {*p} & {*INITS[1:]}}
        self.norm = dict.fromkeys(RUNS, 3.0) | {"preferred": 1.5, "preferred, slow": 0.5}
        self.rank = dict.fromkeys(RUNS, 16.0) | {"preferred": 24.0}
        self.low: float | None = 0.96
        self.v1_null = 0.3
        self.verdicts = dict.fromkeys(combinations(FIVE, 2), "equivalent within the margin")
        self.verdicts |= {(a, "preferred"): "different" for a in FIVE}
        self.lead = 0.05  # of DPO
        self.cells: dict[str, dict[str, Any]] = {}

    def results(self) -> Results:
        return Results(title="", versions={}, comparison=self._comparison(), study=self._study())

    def _comparison(self) -> Comparison:
        floors = [
            Floor(kind=kind, runs=runs, cosines=cosines, low=low, rule="")
            for kind, runs, low in ((ORDER, ORDERS, self.low), (INIT, INITS, None))
            for cosines in [tuple(self.cosine[key(*p)] for p in combinations(runs, 2))]
        ]
        bands = {
            "cosine": {"independent": _band(0.01), "shared_A0": _band(0.02)},
            "v1": {"independent": _band(0.05), "shared_A0": _band(self.v1_null)},
        }
        return Comparison(
            k=4, origin=None, seed=0, layers=tuple(range(LAYERS)), projections=(), measures={},
            runs=tuple(self._run(name) for name in RUNS),
            pairs=tuple(self._pair(b, a) for a, b in self.cosine),  # the other way round
            nulls={"ranks": {"union": bands}}, floors=tuple(floors),
        )  # fmt: skip

    def _run(self, name: str) -> RunReadings:
        sizes = {"norm": self.norm[name], "effective_rank": self.rank[name]}
        return RunReadings(
            name=name, source="", fingerprint="", format="", base=None, ranks=(16, 16), modules=28,
            state="ok", scopes={"all": {m: Reading(value=v) for m, v in sizes.items()}},
        )  # fmt: skip

    def _pair(self, a: str, b: str) -> PairReadings:
        cosine = self.cosine[key(a, b)]
        off = math.sqrt(1 - cosine**2)
        whole = {"cosine": cosine, "off_direction": off}
        whole |= {"u1": self.u1[key(a, b)], "v1": self.v1[key(a, b)]}
        scopes = {"union": whole} | {
            f"layer.{i}": {"off_direction": off + self.growth[key(a, b)] * (i == LAYERS - 1)}
            for i in range(LAYERS)
        }
        return PairReadings(
            a=a, b=b, state="comparable", null_group="ranks", verdict="",
            scopes={
                name: Scope(
                    modules=4,
                    energy_share=1,
                    readings={
                        m: Reading(undefined="nothing there")
                        if math.isnan(v)
                        else Reading(value=v)
                        for m, v in readings.items()
                    },
                )
                for name, readings in scopes.items()
            },
        )  # fmt: skip

    def _study(self) -> StudyResults:
        accuracies = {"base": 0.8} | dict.fromkeys(ARMS, 0.85)
        accuracies["preferred"] += self.lead
        return StudyResults(
            config={}, fingerprint="",
            rollouts=RolloutReport(
                prompts_sampled=1, samples_per_prompt=1, prompts_kept=1, rows=1, wrong_sampled=0,
                wrong_kept=0, mixed=0, duplicates=0, truncated=0, ungraded=0,
            ),
            cells=tuple(self._cell(name) for name in RUNS),
            accuracies=tuple(
                Accuracy(run=run, n=100, correct=80, truncated=0, ungraded=0, accuracy=value,
                         low=0.7, high=0.9, changed=None)
                for run, value in accuracies.items()
            ),
            paired=tuple(self._paired(a, b) for a, b in self.verdicts), checks=(),
        )  # fmt: skip

    def _cell(self, name: str) -> Cell:
        objective, rate = ARMS.get(name, ("sft", 1e-3))
        cell = Cell(
            name=name, arm=name, objective=objective, options={},
            role="arm" if name in ARMS else "floor", learning_rate=rate, init_seed=0, order_seed=0,
            state="trained", unit="tokens", steps=1, losses=(), gradient_norms=(), clipped=0,
            nll_right=None, nll_wrong=None, nll_right_base=1, nll_wrong_base=1, ordered_pairs=None,
        )  # fmt: skip
        return cell.model_copy(update=self.cells.get(name, {}))

    def _paired(self, a: str, b: str) -> Paired:
        return Paired(
            a=a, b=b, n=100, both=80, only_a=0, only_b=5, neither=15, dropped=0,
            difference=-self.lead if b == "preferred" else 0.0, low=-0.1, high=0.1, p_exact=0.01,
            p_mid=0.01, p_holm=0.02, margin=0.02, p_equivalence=0.5, p_equivalence_holm=0.5,
            smallest_margin=0.03, verdict=self.verdicts[a, b],
        )  # fmt: skip


def _band(high: float) -> Band:
    return Band(low=-high, median=0, high=high, draws=200)


def tried(world: World, claim: int) -> tuple[str, str]:
    found = {c.number: c for c in judge(world.results())}[claim]
    return found.verdict, found.found


DECIDED = (1, 2, 3, 4, 6, 9, 10, 11, 12)


def test_every_claim_of_the_table_is_tried_once_and_in_order():
    claims = judge(World().results())
    assert [c.number for c in claims] == [row.number for row in CLAIMS] == list(range(1, 13))
    verdicts = {c.number: c.verdict for c in claims}
    assert verdicts == {n: "holds" if n in DECIDED else "not measured" for n in range(1, 13)}
    assert all("does not measure" in c.found for c in claims if c.number in (5, 7, 8))


def test_the_made_up_study_speaks_of_measures_and_objectives_that_exist():
    from goniometer.geometry import MEASURES, SPECTRA
    from goniometer.objectives import OBJECTIVES

    comparison = World().results().comparison
    assert set(comparison.pairs[0].scopes["union"].readings) <= set(MEASURES)
    assert set(comparison.runs[0].scopes["all"]) <= set(SPECTRA)
    assert {objective for objective, _ in ARMS.values()} <= set(OBJECTIVES)


def test_without_a_study_nothing_is_measured_and_the_reason_is_given():
    results = World().results().model_copy(update={"study": None})
    claims = judge(results)
    assert {c.verdict for c in claims} == {"not measured"}
    assert all("no study" in c.found for c in claims if c.number in DECIDED)


DPO_TO = [("everything", "preferred"), ("filtered", "preferred"), ("mixed", "preferred")]
NAN = math.nan


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        (1, {"cosine": {("filtered", "mixed"): 0.94}, "low": 0.90}, "does not hold"),
        (1, {"cosine": {("everything", "filtered"): 0.955}}, "does not hold"),  # below the floor
        (1, {"low": None}, "not measured"),
        (2, {"verdicts": {("mixed", "dynamic"): "undecided"}}, "not measured"),
        (2, {"verdicts": {("mixed", "dynamic"): "different"}}, "does not hold"),
        (2, {"verdicts": {("mixed", "dynamic"): "different but within the margin"}}, "holds"),
        (2, {"verdicts": {("filtered", "preferred"): "undecided"}}, "holds"),  # not of the five
        (3, {"cosine": {("everything", "grouped"): 0.56}}, "not measured"),  # within the tolerance
        (3, {"cosine": {("everything", "grouped"): 0.50}}, "does not hold"),
        (3, {"cosine": {("everything", "dynamic"): 0.73}}, "not measured"),
        (3, {"cosine": {("everything", "grouped"): 0.58}, "low": 0.90}, "not measured"),
        (4, {"cosine": {("everything", "grouped"): 0.965}}, "does not hold"),
        (4, {"growth": {("everything", "grouped"): 0.0}}, "not measured"),
        (4, {"growth": {("everything", "grouped"): -0.3}}, "does not hold"),
        (4, {"growth": {("everything", "grouped"): 0.015}}, "not measured"),
        (4, {"growth": {("order 1", "order 2"): 0.19}}, "not measured"),  # replicates do it too
        (4, {"low": None}, "not measured"),
        (6, {"cosine": {DPO_TO[2]: 0.11}}, "does not hold"),
        (6, {"cosine": {DPO_TO[0]: -0.11}}, "does not hold"),
        (6, {"cosine": {("everything", "preferred, slow"): 0.9}}, "holds"),  # not at SFT's rate
        (6, {"cosine": {("everything", "preferred, slow"): NAN}}, "holds"),
        (6, {"rank": {"preferred": 17.0}}, "not measured"),
        (6, {"rank": {"preferred": 12.0}}, "does not hold"),
        (6, {"norm": {"preferred": 2.8}}, "not measured"),
        (6, {"norm": {"preferred": 6.0}}, "does not hold"),
        (6, {"norm": {"order 1": 9.0}}, "not measured"),  # replicates differ as much
        (6, {"norm": {"preferred": 0.0}}, "not measured"),
        (9, {"v1": {("filtered", "grouped"): 0.89}}, "does not hold"),
        (9, {"v1": {("filtered", "preferred"): 0.2}}, "holds"),
        (9, {"v1_null": 0.96}, "not measured"),  # what the common init gives alone
        (9, {"u1": {("everything", "dynamic"): 0.94}}, "not measured"),
        (9, {"u1": {("everything", "preferred"): 0.99}}, "does not hold"),
        (10, {"cosine": {("everything", "init 1"): 0.54}}, "not measured"),
        (10, {"cosine": {("everything", "init 1"): 0.70}}, "does not hold"),
        (10, {"cosine": {("mixed", "dynamic"): 0.01}}, "does not hold"),
        (10, {"u1": {("everything", "init 1"): 0.8}}, "does not hold"),
        (10, {"v1": {("everything", "init 1"): 0.6}}, "does not hold"),
        (11, {"cosine": {("preferred", "preferred, slow"): 0.961}}, "not measured"),
        (11, {"norm": {"preferred, slow": 1.45}}, "not measured"),
        (11, {"norm": {"preferred, slow": 3.0}}, "does not hold"),
        (12, {"verdicts": {("filtered", "preferred"): "undecided"}}, "not measured"),
        (12, {"verdicts": {("filtered", "preferred"): "equivalent within the margin"}},
         "does not hold"),
        (12, {"verdicts": {("filtered", "preferred"): "different but within the margin"}}, "holds"),
        (12, {"lead": -0.05}, "does not hold"),
    ],
)  # fmt: skip
def test_one_change_decides(claim, change, expected):
    world = World()
    for name, value in change.items():
        if isinstance(value, dict):
            assert getattr(world, name).keys() >= value.keys()
            getattr(world, name).update(value)
        else:
            setattr(world, name, value)
    verdict, found = tried(world, claim)
    assert verdict == expected
    assert found.startswith("undecided: ") <= (verdict == "not measured")


@pytest.mark.parametrize("claim", [1, 3, 4, 6, 10, 11])
def test_every_cosine_stands_beside_its_floor_and_nulls(claim):
    _, found = tried(World(), claim)
    for beside in ("other order .975, bound .960", "other init, same order .070", "null to .020"):
        assert beside in found


@pytest.mark.parametrize("claim", DECIDED)
def test_an_arm_that_did_not_train_is_no_evidence(claim):
    world = World()
    for arm in ("mixed", "preferred"):
        world.cells[arm] = {"state": "diverged"}
    verdict, found = tried(world, claim)
    if claim == 4:
        assert verdict == "holds"  # needs neither
    else:
        assert verdict == "not measured"
        assert "diverged" in found or "at the learning rate" in found or "two learning" in found


def test_cells_are_found_by_what_they_train():
    """SFT on correct rows is not the paper's SFT; the arm that follows it is."""
    world = World()
    world.cells["filtered"] = {"objective": "sft", "options": {"rows": "correct"}}
    world.cells["mixed"] = {"objective": "rft"}
    assert "no trained arm of rift" in tried(world, 1)[1]
    world.cells["everything"] = {"options": {"rows": "correct"}}
    assert "no trained arm of sft" in tried(world, 3)[1]


def test_the_arm_of_a_claim_is_the_one_at_the_learning_rate_of_sft():
    world = World()
    world.cells = {"preferred": {"learning_rate": 1e-4}, "preferred, slow": {"learning_rate": 1e-3}}
    assert tried(world, 6)[1].startswith("undecided: preferred, slow: cosine .050, rank x 1,")
    world.cells["preferred, slow"] = {"learning_rate": 2e-3}
    assert tried(world, 6)[1] == "no arm of dpo at the learning rate of sft, 0.001"


def test_an_undefined_reading_and_a_missing_pair_are_reasons():
    world = World()
    world.v1["everything", "filtered"] = NAN
    assert tried(world, 9) == (
        "not measured", "v1 of everything and filtered is undefined: nothing there",
    )  # fmt: skip
    del world.verdicts["everything", "filtered"]
    assert tried(world, 2)[1] == "everything and filtered have no paired scores"


def test_without_nulls_input_agreement_is_not_decided():
    results = World().results()
    bare = results.comparison.model_copy(update={"nulls": {}})
    claim = judge(results.model_copy(update={"comparison": bare}))[8]
    assert (claim.verdict, "no shared_A0 null" in claim.found) == ("not measured", True)


def test_without_floors_no_claim_about_a_cosine_is_decided():
    results = World().results()
    bare = results.comparison.model_copy(update={"floors": ()})
    claims = judge(results.model_copy(update={"comparison": bare}))
    assert {c.number for c in claims if c.verdict != "not measured"} == {2, 9, 12}


@given(st.lists(st.sampled_from([True, False, None]), max_size=6))
def test_a_claim_holds_only_where_every_part_does(parts):
    assert (settle(*parts) == "holds") == all(part is True for part in parts)
    assert (settle(*parts) == "does not hold") == (False in parts)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_what_is_within_the_tolerance_is_neither(a, b, tolerance):
    one, other = exceeds(a, b, tolerance), exceeds(b, a, tolerance)
    assert (one is None) == (other is None)
    assert one is None or one is not other
    assert exceeds(a, a, tolerance) is None


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
    assert tried(world, claim)[0] == "holds"
    world.cells[cell] = change
    assert tried(world, claim)[0] == "not measured"


def test_rates_of_a_grid_are_rates_and_arms_with_a_floor_go_first():
    world = World()
    world.cells["mixed"] = {
        "objective": "sft", "role": "grid", "arm": "everything", "learning_rate": 1e-4,
    }  # fmt: skip
    assert "mixed to everything, 10x the rate" in tried(world, 11)[1]
    for moved in ({"seed": 1}, {"wrong_share": 0.5}):
        world.cells["mixed"] |= moved
        assert "preferred, slow to preferred" in tried(world, 11)[1]


def test_one_pair_of_inits_decides_nothing(monkeypatch):
    monkeypatch.setattr("tests.test_claims.INITS", INITS[:2])
    verdict, found = tried(World(), 10)
    assert verdict == "not measured"
    assert "one pair of inits decides nothing" in found
