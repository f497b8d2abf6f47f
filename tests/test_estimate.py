"""What a plan says a study will take, against what torch counts and what files weigh."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from goniometer.config import Adapter, Regime, Study, Training
from goniometer.model import LanguageModel, network_of, token_logprobs
from goniometer.objectives.sft import SFT
from goniometer.study.cells import CellPlan
from goniometer.study.estimate.lengths import Lengths
from goniometer.study.estimate.measure import Speed
from goniometer.study.estimate.memory import disk_of, memory_of
from goniometer.study.estimate.size import size_of
from goniometer.study.estimate.work import rows_of_prompt, work_of
from goniometer.study.plan import Plan, make_plan
from goniometer.study.preflight import examine
from goniometer.study_file import read_study
from goniometer.training.adapter import attach, save
from goniometer.training.full import unfrozen
from goniometer.training.loop import train
from tests.rollouts_factory import make_rollouts
from tests.tiny_model import VOCABULARY, tiny_model

EXAMPLES = Path(__file__).parent.parent / "examples"
ADAPTER = Adapter(rank=4, alpha=8)
REGIMES: tuple[Regime, ...] = ("lora", "attention", "full")
PROMPT, COMPLETION, ROWS = 20, 12, 6


def cell_of(regime: Regime) -> CellPlan:
    return CellPlan("SFT", "SFT", "arm", "sft", {}, SFT(), 1e-3, regime)


def plan_of(name: str) -> Plan:
    return examine(read_study(EXAMPLES / name), Path("absent"), fetch=False).plan


def step(network: torch.nn.Module) -> None:
    prompts, completions = [[5] * PROMPT] * ROWS, [[6] * COMPLETION] * ROWS
    logprobs, _ = token_logprobs(network, prompts, completions, 0)
    logprobs.sum().backward()


class Trainable:
    """A network of which a regime's weights move, as training makes it."""

    def __init__(self, regime: Regime, model: LanguageModel) -> None:
        self.regime, self.model = regime, model

    def __enter__(self) -> torch.nn.Module:
        if self.regime == "lora":
            return attach(self.model.network, ADAPTER, 0)
        self.context = unfrozen(self.model.network, self.regime)
        return self.context.__enter__().network

    def __exit__(self, *error: object) -> None:
        if self.regime != "lora":
            self.context.__exit__(None, None, None)


@pytest.mark.parametrize("regime", REGIMES)
def test_weights_that_move_are_those_that_training_moves(regime: Regime):
    model = tiny_model()
    size = size_of(model.network)
    with Trainable(regime, model) as network:
        moving = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    assert size.trainable(regime, ADAPTER) == moving


@pytest.mark.parametrize("regime", REGIMES)
def test_operations_of_a_step_are_those_that_torch_counts(regime: Regime):
    """Attention scores are left out here and counted apart by torch; all else is equal.

    The head is tied and frozen but in `full`; a first layer's input needs no gradient unless the
    embedding learns, which leaves torch a little below.
    """
    model = tiny_model(dtype=torch.float32)
    size = size_of(model.network)
    with Trainable(regime, model) as network, FlopCounterMode(display=False) as counter:
        step(network)
    counted = counter.get_flop_counts()["Global"]
    multiplied = sum(count for name, count in counted.items() if "attention" not in str(name))
    body, head = size.training_flops(cell_of(regime), ADAPTER)
    stated = ROWS * ((PROMPT + COMPLETION) * body + COMPLETION * head)
    assert 0.9 * stated <= multiplied <= 1.01 * stated, multiplied / stated


@pytest.mark.parametrize("regime", REGIMES)
def test_elements_kept_for_the_backward_pass_are_those_that_autograd_saves(regime: Regime):
    model = tiny_model(dtype=torch.float32)
    kept: dict[int, int] = {}
    with Trainable(regime, model) as network:
        weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes() // 4
            return tensor

        prompts, completions = [[5] * PROMPT] * ROWS, [[6] * COMPLETION] * ROWS
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            token_logprobs(network, prompts, completions, 0)
    stated = (size_of(model.network).kept or {})[regime] * ROWS * (PROMPT + COMPLETION)
    assert stated == pytest.approx(sum(kept.values()), rel=0.25)


def test_a_skeleton_has_the_size_of_the_network():
    model = tiny_model()
    config = model.network.config.to_dict()
    assert size_of(network_of(config, "test")) == size_of(model.network)


def test_the_size_of_qwen3_4b_is_known_from_its_config():
    """Summed by hand from the shapes of arXiv 2505.09388, table 1, and its tied embedding."""
    found = examine(read_study(EXAMPLES / "qwen3-4b.yaml"), Path("absent"), fetch=False)
    size = found.size
    assert size is not None
    attention = 2 * 2560 * 4096 + 2 * 2560 * 1024
    layer = attention + 3 * 2560 * 9728 + 2 * 2560 + 2 * 128
    assert size.parameters == 151936 * 2560 + 36 * layer + 2560
    assert size.attention == 36 * attention
    adapter = found.study.adapter
    assert adapter.rank == 32
    assert size.adapter(adapter) == 36 * 32 * (2 * (2560 + 4096) + 2 * (2560 + 1024))
    cells = len(found.plan.cells)
    assert disk_of(found.plan, size, found.lengths).cells == cells * 4 * size.adapter(adapter)


def test_an_adapter_weighs_what_is_planned(tmp_path: Path):
    model = tiny_model(dtype=torch.float32)
    size = size_of(model.network)
    save(attach(model.network, ADAPTER, 0), tmp_path, "base")
    written = (tmp_path / "adapter_model.safetensors").stat().st_size
    assert 4 * size.adapter(ADAPTER) <= written <= 4 * size.adapter(ADAPTER) + 5000


def test_rows_and_steps_of_the_embedded_study():
    """Four rows a prompt, half of them wrong: RFT takes two, DPO two pairs; 100 steps of 8."""
    plan = plan_of("arithmetic.yaml")
    rows = {cell.name: rows_of_prompt(cell, plan) for cell in plan.cells}
    assert {rows[name] for name in ("SFT", "RIFT", "DFT", "Offline GRPO", "DPO")} == {4.0}
    assert rows["RFT"] == 2.0
    size = size_of(tiny_model().network)
    stages = {s.name: s for s in work_of(plan, size, Lengths(30, 20, 60, "test"))}
    assert stages["train sft"].runs == 4
    assert stages["train sft"].rows == 4 * 100 * 8 * 4
    assert stages["train sft"].tokens == stages["train sft"].rows * 50
    assert stages["evaluate, greedy"].rows == (len(plan.cells) + 1) * 2000
    text = stages["reference log-probs"]
    assert text.flops == 2 * (size.body + size.head) * 3200 * 50


def test_memory_grows_with_what_moves():
    plan = plan_of("arithmetic.yaml")
    size, lengths = size_of(tiny_model().network), Lengths(30, 20, 60, "test")
    lora, full = (memory_of(cell_of(r), plan, size, lengths) for r in ("lora", "full"))
    assert full.optimiser == 2 * full.gradients == 8 * size.parameters
    assert lora.weights == full.weights == 4 * size.parameters
    tokens = 8 * 4 * 60
    assert lora.activations == 4 * tokens * cast("dict[str, int]", size.kept)["lora"]
    assert lora.logits == 3 * 4 * tokens * VOCABULARY


def test_training_that_stops_early_is_the_start_of_the_schedule():
    """The same steps at the same rates as those of the whole schedule."""
    rollouts = make_rollouts(["+-+-"] * 8)
    whole = Training(steps=6, prompts_per_step=4)
    records = []
    for settings in (whole, whole.model_copy(update={"stop_after": 4})):
        network = attach(tiny_model().network, ADAPTER, 0)
        records.append(
            train(
                network,
                SFT(),
                rollouts,
                settings,
                learning_rate=1e-2,
                order_seed=0,
                columns={},
                pad_token=0,
                on_step=lambda step, loss: None,
            )
        )
    assert records[1].losses == records[0].losses[:4]
    assert (records[1].state, records[1].steps) == ("trained", 4)


def test_paths_and_activations_are_counted_and_can_be_left_out():
    """Eight runs: 361 distinct points of 36 paths and 28 sums; the base and what inputs give."""
    plan, size, lengths = (
        plan_of("arithmetic.yaml"),
        size_of(tiny_model().network),
        Lengths(20, 12, 32, ""),
    )
    assert plan.together == (
        ("SFT", "RFT", "RIFT", "DFT", "Offline GRPO", "DPO", "DPO lr/10", "SFT init 2"),
        ("SFT", "SFT init 2"),
    )
    found = {stage.name: (stage.runs, stage.rows) for stage in work_of(plan, size, lengths)}
    assert found["losses along paths"] == (361, 361 * 64)
    assert found["activations"] == (10, 10 * 128)
    none = plan.study.model_copy(update={"paths": None, "similarity": None})
    left = {stage.name for stage in work_of(replace(plan, study=none), size, lengths)}
    assert found.keys() - left == {"losses along paths", "activations"}


def test_processes_share_cells_and_points_and_nothing_else():
    size, lengths = size_of(tiny_model().network), Lengths(20, 12, 32, "")
    stages = work_of(plan_of("arithmetic.yaml"), size, lengths)
    speed = Speed(flops=1e6, written=10.0)
    shared = {one.name for one in stages if one.shared}
    assert {"evaluate, greedy", "held-out likelihood", "KL from the base", "train sft"} <= shared
    assert "losses along paths" in shared
    assert not shared & {"sample rollouts", "reference log-probs", "activations"}
    alone = sum(speed.hours(one) for one in stages)
    parted = sum(speed.hours(one) for one in stages if one.shared)
    assert speed.waited(stages, 1) == pytest.approx(alone)
    assert speed.waited(stages, 4) == pytest.approx(alone - parted * 3 / 4)


def test_what_an_arm_samples_for_itself_and_each_share_of_wrong_rows_is_work():
    """Eight arms' grid: Online GRPO and its two seeds sample; rows as sampled, of 0 and of 50 %."""
    plan, size = make_plan(read_study(EXAMPLES / "grid.yaml")), size_of(tiny_model().network)
    stages = {one.name: one for one in work_of(plan, size, Lengths(30, 20, 60, "test"))}
    sampled = stages["sample while training"]
    assert (sampled.kind, sampled.runs, sampled.shared) == ("generate", 3, True)
    assert sampled.rows == stages["train online_grpo"].rows == 3 * 100 * 8 * 4
    assert sampled.tokens == sampled.rows * 20
    reference = stages["reference log-probs"]
    assert (reference.runs, reference.rows) == (3, 3 * 800 * 4)


def test_the_disk_holds_all_samples_columns_of_each_share_and_what_is_matched():
    plan, size = make_plan(read_study(EXAMPLES / "grid.yaml")), size_of(tiny_model().network)
    lengths = Lengths(30, 20, 60, "test")
    whole = disk_of(plan, size, lengths)
    rows = 800 * 8 + (800 + 200) * 4
    columns = 3 * 800 * 4 * 64  # of the reference, for DPO
    assert whole.rollouts == rows * (30 + 64) * 8 + columns * 26
    alone = replace(plan, study=plan.study.model_copy(update={"match": None, "paths": None}))
    less = disk_of(alone, size, lengths)
    assert whole.scores - less.scores == 4 * 2000 * 64 * 4
    assert whole.paths > less.paths == 0
    assert whole.total - less.total == whole.scores - less.scores + whole.paths


@pytest.mark.parametrize(("behaviour", "scored"), [("given", False), ("base", True)])
def test_log_probs_that_the_rows_bring_are_no_work(behaviour: str, scored: bool):
    arm = {"name": "G", "objective": "offline_grpo", "options": {"variant": "ratio_clipped"}}
    study = Study(name="s", arms=[arm], floors=None, rollouts={"behaviour": behaviour})
    stages = work_of(make_plan(study), size_of(tiny_model().network), Lengths(30, 20, 60, "test"))
    assert ("behaviour log-probs" in {one.name for one in stages}) == scored
