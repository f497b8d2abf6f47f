"""Which folders are the checkpoints of one run: transformers' layout, lists, gaps and oddities."""

import pytest

from goniometer.errors import GoniometerError
from goniometer.steps import find_checkpoints


def run(root, *names, own=None):
    for name in names:
        (root / name).mkdir(parents=True)
    if own:
        (root / own).touch()
    return str(root)


def test_checkpoints_stand_in_the_order_of_their_steps(tmp_path):
    """Numbers, not names: 1000 comes after 500; gaps are gaps."""
    source = run(tmp_path / "r", "checkpoint-1000", "checkpoint-500", "checkpoint-75", "runs")
    found = find_checkpoints({"r": source})
    assert found.steps("r") == {"step 75": 75, "step 500": 500, "step 1000": 1000}
    assert list(found.sources) == ["step 75", "step 500", "step 1000"]
    assert found.sources["step 500"] == str(tmp_path / "r" / "checkpoint-500")
    assert found.warnings == ()


def test_each_run_is_a_trajectory_of_its_own(tmp_path):
    runs = {
        name: run(tmp_path / name, *(f"checkpoint-{n}" for n in steps))
        for name, steps in (("sft", (1, 2, 3)), ("dpo", (10, 20, 30, 40)))
    }
    found = find_checkpoints(runs)
    assert list(found.of) == ["sft", "dpo"]
    assert list(found.steps("dpo")) == ["dpo step 10", "dpo step 20", "dpo step 30", "dpo step 40"]
    assert len(found.sources) == 7


@pytest.mark.parametrize("style", ["step_{}", "global_step_{}", "step-{}", "checkpoint_{}"])
def test_other_names_of_steps(tmp_path, style):
    source = run(tmp_path / "r", *(style.format(n) for n in (30, 4, 100)))
    assert list(find_checkpoints({"r": source}).steps("r").values()) == [4, 30, 100]


def test_what_is_no_step_is_left_out_and_said(tmp_path):
    names = [f"checkpoint-{n}" for n in (1, 2, 3)]
    source = run(tmp_path / "r", *names, "checkpoint-best", "logs", own="adapter_config.json")
    found = find_checkpoints({"r": source})
    assert len(found.sources) == 3
    assert found.warnings == (
        "r: without a step, so left out: checkpoint-best",
        "r: its own weights, beside the checkpoints, are no step and left out",
    )


def test_a_list_is_one_run(tmp_path):
    """By the steps in the folders' names, where all have one, else in the order given."""
    run(tmp_path / "r", "checkpoint-100", "checkpoint-20", "checkpoint-3", "final", "x", "seed7")

    def listed(*names):
        return find_checkpoints({name: str(tmp_path / "r" / name) for name in names})

    found = listed("checkpoint-100", "checkpoint-20", "checkpoint-3")
    assert found.steps("r") == {"checkpoint-3": 3, "checkpoint-20": 20, "checkpoint-100": 100}
    found = listed("checkpoint-100", "checkpoint-20", "final")
    assert found.steps("r") == {"checkpoint-100": 1, "checkpoint-20": 2, "final": 3}
    assert listed("seed7", "x", "final").steps("r") == {"seed7": 1, "x": 2, "final": 3}


def test_refusals(tmp_path):
    two = run(tmp_path / "two", "checkpoint-1", "checkpoint-2")
    twice = run(tmp_path / "twice", "checkpoint-1", "checkpoint-01", "checkpoint-2", "step-3")
    three = run(tmp_path / "three", *(f"checkpoint-{n}" for n in (1, 2, 3)))
    none = run(tmp_path / "none", "logs")
    for runs, message in (
        ({"r": two}, r"two: too few checkpoints.*found 2, expected .* 3 or more"),
        ({"r": twice}, r"checkpoint-01.*step 1: two checkpoints of one step"),
        ({"a": three, "b": none}, r"none: no subfolder checkpoint-N here"),
        ({"b": none}, r"none: no subfolder checkpoint-N here. Give"),
        ({"a": str(tmp_path / "absent")}, "absent: no such folder"),
        (
            {str(i): f"{tmp_path}/{i}/checkpoint-5" for i in range(3)},
            "step 5: two checkpoints of one step",
        ),
    ):
        with pytest.raises(GoniometerError, match=message):
            find_checkpoints(runs)
