"""The studies of examples/: each is read and planned, and the largest is run with a tiny model."""

import json
from pathlib import Path

import pytest
import yaml

from goniometer.config import Study
from goniometer.results import read_results
from goniometer.rollouts import sources
from goniometer.study.preflight import examine
from goniometer.study_file import read_study
from tests.conftest import Command
from tests.rollouts_factory import make_rollouts
from tests.test_cli import goniometer
from tests.tiny_model import tiny_network, tiny_tokenizer

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.yaml"))
# But for the sweep by which the common learning rate was chosen.
PRESETS = [path.stem for path in EXAMPLES if path.stem != "learning_rate"]


def example(name: str) -> Study:
    return read_study(next(path for path in EXAMPLES if path.stem == name))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_can_be_planned(path: Path, tmp_path: Path):
    """Nothing is wrong with it; what it needs may be elsewhere, but not what ships with us."""
    study = read_study(path)
    found = examine(study, tmp_path / "out", fetch=False)
    assert not found.faults.found
    assert len(found.plan.cells) >= len(study.arms)
    if study.models.base.startswith("embedded:"):
        assert not found.absent.found
        assert not found.warnings


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_both_floors(name: str, tmp_path: Path):
    """Another order of the same init, three runs for an interval, and another init."""
    plan = examine(example(name), tmp_path, fetch=False).plan
    assert all(len(group) >= 3 for group in plan.replicates.same_init)
    assert all(len(group) >= 2 for group in plan.replicates.other_init)


def test_the_paper_protocol_is_that_of_the_paper():
    """Numbers as arXiv 2606.23740 prints them, by the names that they have here."""
    study = example("qwen3-4b")
    training, adapter = study.training, study.adapter
    assert (adapter.rank, adapter.alpha, study.seed) == (32, 64, 42)
    assert set(adapter.target_modules) == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert training.prompts_per_step * study.rollouts.rows_per_prompt == 32
    assert (training.steps, training.updates, training.warm_up) == (1500, 1000, 0.05)
    assert (training.weight_decay, training.clip, training.precision) == (0.01, 1.0, "bf16")
    rates = {arm.name: arm.learning_rate or training.learning_rate for arm in study.arms}
    assert rates.pop("DPO") == 5e-7
    assert set(rates) == {"SFT", "RFT", "RIFT", "DFT", "Offline GRPO"}
    assert set(rates.values()) == {5e-6}
    small = example("paper")
    assert {a.name: (a.objective, a.options.get("variant")) for a in small.arms} == {
        a.name: (a.objective, a.options.get("variant")) for a in study.arms
    }
    assert small.training.updates * 3 == small.training.steps * 2


def test_plan_of_a_model_that_is_not_here(command: Command, tmp_path: Path):
    """Cells, rows, steps, tokens, memory, disk; no hours; what is missing; exit code 0."""
    path = next(path for path in EXAMPLES if path.stem == "qwen3-4b")
    code, printed, lines = command("study", path, "--plan", "-o", tmp_path / "out")
    assert (code, lines) == (0, [])
    for text in (
        "11 cells",
        "4,022,468,096 weights",
        "1000 steps a cell of 8 prompts, 32 rows",
        "scheduled for 1500",
        "train offline_grpo",
        "8.0 GB",
        "hours: not measured: the model is not here",
        "not here: Qwen/Qwen3-4B-Instruct-2507@main",
        "not here: deepscaler-rollouts.parquet",
    ):
        assert text in printed, text
    code, printed, lines = command("study", path, "-o", tmp_path / "out")
    assert (code, printed, len(lines)) == (2, "", 3)
    assert not (tmp_path / "out").exists()


def test_hours_of_another_machine_are_those_of_its_speed(command: Command, tmp_path: Path):
    """Twice as fast a machine takes half as long; both speeds are needed."""
    path = next(path for path in EXAMPLES if path.stem == "qwen3-4b")
    plan = ("study", path, "--plan", "-o", tmp_path / "out")
    hours = []
    for flops, written in ((2e5, 2000), (4e5, 4000)):
        code, printed, _ = command(*plan, "--flops", flops, "--tokens-per-second", written)
        assert code == 0
        hours.append(float(printed.partition("hours: ")[2].partition(" ")[0]))
        assert f"if {flops:g} GFLOP/s in steps and {written} tokens/s written, as given" in printed
    assert hours[0] == pytest.approx(2 * hours[1], rel=1e-3)
    code, _, (line,) = command(*plan, "--flops", 1)
    assert (code, line) == (
        2, "goniometer: --tokens-per-second: hours take both speeds. Give --tokens-per-second too"
    )  # fmt: skip
    code, _, (line,) = command(*plan, "--flops", 0, "--tokens-per-second", 1)
    assert (code, line) == (2, "goniometer: --flops: no speed; found 0.0, expected above 0")


def test_a_plan_measures_where_the_model_is_here(command: Command, tmp_path: Path):
    """Steps and completions are timed, and nothing is left behind."""
    tree = yaml.safe_load(next(p for p in EXAMPLES if p.stem == "arithmetic").read_text())
    tree["evaluation"]["batch_size"] = 4
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
    code, printed, _ = command("study", tmp_path / "study.yaml", "--plan", "-o", tmp_path / "out")
    assert code == 0
    hours = float(printed.partition("hours: ")[2].partition(" ")[0])
    assert hours > 0
    assert "GFLOP/s in steps" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


@pytest.mark.slow
def test_the_largest_preset_runs_with_random_weights(tmp_path: Path):
    """Qwen3 of two layers, tokens of its own, rollouts of a file: all arms to the report."""
    network, tokenizer = tiny_network(words=300).float(), tiny_tokenizer(words=300)
    network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    sources.save(make_rollouts(["+-+-"] * 12), tmp_path / "rollouts.parquet")
    for name, end in (("train.jsonl", 8), ("test.jsonl", 9)):
        problems = ({"question": f"w{n} w{end}", "answer": f"w{n}\n#### {n}"} for n in range(40))
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in problems))
    tree = yaml.safe_load(next(p for p in EXAMPLES if p.stem == "qwen3-4b").read_text())
    files = {name: str(tmp_path / name) for name in ("train.jsonl", "test.jsonl")}
    tree["task"] |= {"file": files["train.jsonl"], "test_file": files["test.jsonl"]}
    tree["models"] |= {"base": str(tmp_path / "model"), "device": "cpu"}
    tree["rollouts"] |= {"file": str(tmp_path / "rollouts.parquet"), "prompts": 8}
    tree["rollouts"] |= {"held_out_prompts": 4, "max_new_tokens": 16}
    tree["training"] |= {"steps": 3, "stop_after": 2, "micro_batches": 2}
    tree["adapter"] |= {"rank": 8, "alpha": 16}
    tree["evaluation"] |= {"problems": 8, "max_new_tokens": 4, "batch_size": 8}
    tree["divergence"] = {"prompts": 4, "max_new_tokens": 4}
    tree["geometry"] = {"k": 2, "draws": 100}
    tree["paths"] = {"problems": 2, "positions": 3, "draws": 100}
    tree["similarity"] = {"prompts": 4, "tokens": 16, "inputs": False}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
    result = goniometer("study", tmp_path / "study.yaml", "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr[-2000:]
    results = read_results(tmp_path / "out" / "report" / "results.json")
    assert results.study is not None
    assert len(results.study.cells) == 11
    assert {(cell.steps, cell.state) for cell in results.study.cells} == {(2, "trained")}
