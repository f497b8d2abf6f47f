"""From a study to its cells: what is planned, what is one run, what cannot be."""

import sys

import pytest

from goniometer.config import Study
from goniometer.errors import GoniometerError
from goniometer.study.cells import FIRST_SEED
from goniometer.study.plan import make_plan
from goniometer.study.trained import objective_key

ARMS = [
    {"name": "SFT", "objective": "sft"},
    {"name": "RFT", "objective": "rft"},
    {"name": "DPO", "objective": "dpo", "learning_rate": 1e-3},
    {"name": "DPO slow", "objective": "dpo"},
]


def plan_of(arms=ARMS, floors=None, **grid):
    return make_plan(Study(name="s", arms=arms, floors=floors, grid=grid))


def names(plan, role="grid"):
    return [cell.name for cell in plan.cells if cell.role == role]


def test_a_grid_moves_one_factor_at_a_time_from_its_arm():
    plan = plan_of(seeds=2, learning_rates=(3e-5,), wrong_shares=(0.5,))
    arms = {cell.name: cell for cell in plan.cells if cell.role == "arm"}
    assert list(arms) == ["SFT", "RFT", "DPO", "DPO slow"]
    assert "SFT seed 2" in names(plan)
    assert "RFT lr 3e-05" in names(plan)
    assert "DPO wrong 50%" in names(plan)
    for cell in plan.cells:
        arm = arms[cell.arm]
        moved = {
            "seed": (cell.init, cell.order) != (arm.init, arm.order),
            "rate": cell.learning_rate != arm.learning_rate,
            "share": cell.wrong_share != arm.wrong_share,
        }
        assert sum(moved.values()) == (cell.role == "grid"), cell.name
        assert moved["seed"] == bool(cell.seed)
        assert cell.objective == arm.objective


def test_a_seed_is_of_all_arms_and_no_replicate_of_a_floor():
    plan = plan_of(seeds=3, floors={"arms": ["RFT", "SFT"], "orders": 3, "inits": 3})
    by_name = {cell.name: cell for cell in plan.cells}
    assert by_name["SFT seed 3"].init == by_name["DPO seed 3"].init == FIRST_SEED + 2
    floors = [cell for cell in plan.cells if cell.role == "floor"]
    assert {c.init for c in floors} | {c.order for c in floors} == {0, 1, 2}
    assert plan.seeds("SFT") == ("SFT", "SFT seed 2", "SFT seed 3")
    replicates = plan.replicates
    assert replicates.same_init[0] == ("RFT", "RFT order 2", "RFT order 3")
    assert replicates.other_init == (("RFT", "RFT init 2", "RFT init 3"),)
    assert replicates.repeat("SFT seed 2", "SFT order 2")
    assert not replicates.repeat("SFT seed 2", "RFT seed 2")


def test_one_run_is_planned_once():
    plan = plan_of(learning_rates=(1e-3, 3e-4, 1e-3))
    # DPO at 3e-4 is DPO slow and DPO slow at 1e-3 is DPO; SFT has 3e-4 itself.
    assert names(plan) == ["SFT lr 0.001", "RFT lr 0.001"]
    assert plan_of(learning_rates=(1e-3,), learning_rate_arms=("RFT",)).cells[-1].arm == "RFT"
    assert not plan_of(learning_rates=(1e-3,)).replicates.repeat("SFT", "SFT lr 0.001")


def test_an_arm_that_cannot_be_trained_at_a_share_is_refused_where_it_was_named():
    with pytest.raises(GoniometerError) as error:
        plan_of(wrong_shares=(0.0,), wrong_share_arms=("SFT", "DPO"))
    line = "grid.wrong_share_arms: DPO cannot be trained at 0% wrong rows: dpo selects nothing"
    assert line in str(error.value)


def test_an_arm_that_cannot_be_trained_at_a_share_is_left_out_where_none_was_named():
    plan = plan_of(wrong_shares=(0.0, 1.0))
    assert names(plan) == ["SFT wrong 0%", "RFT wrong 0%", "SFT wrong 100%"]
    assert "DPO has no cell at 0% wrong rows: dpo selects nothing without wrong rows" in plan.notes
    assert "RFT has no cell at 100% wrong rows: rft selects nothing without right rows" in (
        plan.notes
    )


def test_a_share_that_so_few_rows_cannot_have_is_the_nearest_one():
    """Of four rows a prompt, one in ten wrong is none: there is nothing for DPO to pair."""
    plan = plan_of(wrong_shares=(0.1, 0.2))
    assert "DPO wrong 20%" in names(plan)
    assert "DPO has no cell at 10% wrong rows: dpo selects nothing without wrong rows" in plan.notes


def test_equal_rewards_that_weigh_nothing_are_no_training():
    arms = [{"name": "G", "objective": "offline_grpo", "options": {"bias": 0.0}}, ARMS[0]]
    assert names(plan_of(arms, wrong_shares=(0.0,))) == ["SFT wrong 0%"]


def test_names_are_unique():
    arms = [*ARMS, {"name": "SFT seed 2", "objective": "rift"}]
    with pytest.raises(GoniometerError, match="another run that is planned; found 'SFT seed 2'"):
        plan_of(arms, seeds=2)
    assert len(plan_of(arms).cells) == 5


def test_full_fine_tuning_has_no_init_to_repeat():
    arms = [ARMS[0] | {"regime": "full"}, ARMS[1]]
    plan = plan_of(arms, floors={"arms": ["SFT"], "orders": 2, "inits": 3})
    assert names(plan, "floor") == ["SFT order 2"]
    assert plan.cells[0].regime == "full"


def test_one_run_under_two_names_is_refused():
    """The second's default is written out; later, its seeds would be taken for the first's."""
    twin = {"name": "RIFT too", "objective": "rift", "options": {"wrong_reward": -0.2}}
    with pytest.raises(GoniometerError, match="the arms 'RIFT' and 'RIFT too' are one run"):
        plan_of([{"name": "RIFT", "objective": "rift"}, twin], seeds=3)


OWN = """
from dataclasses import dataclass
from goniometer.objectives import AbstractObjective
from goniometer.objectives.sft import SFT

@dataclass(frozen=True)
class Own(AbstractObjective):
    name, unit, strength = "own", "tokens", 1.0
    def select(self, rollouts):
        return SFT().select(rollouts)
    def loss(self, batch):
        return SFT().loss(batch)LOSS
"""


def test_another_loss_of_ones_own_is_another_cell(tmp_path, monkeypatch):
    def key(folder: str, loss: str) -> list[str]:
        place = tmp_path / folder
        place.mkdir()
        (place / "own_objective.py").write_text(OWN.replace("LOSS", loss))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(place)
            (cell,) = plan_of([{"name": "Own", "objective": "own_objective:Own"}]).cells
            found = objective_key(cell)
            del sys.modules["own_objective"]
            with pytest.raises(GoniometerError, match="own_objective:Own cannot be read"):
                objective_key(cell)
        return found

    one, same, other = key("a", ""), key("b", ""), key("c", "  # 2")
    assert one == same
    assert one[:2] == other[:2]
    assert one[2] != other[2]
    # Cells of what ships with us are found by name and options, as ever.
    dpo = plan_of().cells[2]
    assert objective_key(dpo) == ["dpo", repr(dpo.objective)]
