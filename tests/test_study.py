"""A whole study, small but real: the embedded models, six objectives, killed and resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from goniometer.deltas import read
from goniometer.errors import GoniometerError
from goniometer.results import Results, read_results
from goniometer.study.plan import make_plan
from goniometer.study_file import read_study
from tests.test_cli import SRC, goniometer

EXAMPLE = Path(__file__).parent.parent / "examples" / "arithmetic.yaml"
SMALL = {
    "rollouts": {"prompts": 16, "held_out_prompts": 8},
    "training": {"steps": 4},
    "evaluation": {"problems": 40},
    "paths": {"problems": 4, "positions": 3, "draws": 100},
    "similarity": {"prompts": 8, "tokens": 64},
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Path:
    tree = yaml.safe_load(EXAMPLE.read_text()) | {"name": "small"}
    tree |= {section: tree.get(section, {}) | changes for section, changes in SMALL.items()}
    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture(scope="module")
def whole(settings: Path) -> Path:
    out = settings.parent / "whole"
    result = goniometer("study", settings, "-o", out)
    assert result.returncode == 0, result.stderr
    assert str(out / "report" / "report.html") in result.stdout
    return out


@pytest.fixture(scope="module")
def results(whole: Path) -> Results:
    return read_results(whole / "report" / "results.json")


@pytest.mark.slow
def test_a_study_has_all_its_parts(results: Results):
    study = results.study
    assert study is not None
    arms = [cell.name for cell in study.cells if cell.role == "arm"]
    assert arms == ["SFT", "RFT", "RIFT", "DFT", "Offline GRPO", "DPO", "DPO lr/10"]
    assert [cell.name for cell in study.cells if cell.role == "floor"] == [
        "SFT order 2",
        "SFT order 3",
        "SFT init 2",
        "RFT order 2",
        "RFT order 3",
    ]
    assert study.accuracies[0].run == "base"
    assert all(accuracy.n == 40 for accuracy in study.accuracies)
    assert len(study.paired) == 8 * 7 / 2
    for pair in study.paired:
        assert pair.both + pair.only_a + pair.only_b + pair.neither == pair.n == 40
    found = [(floor.arm, floor.kind, len(floor.cosines)) for floor in results.comparison.floors]
    assert found == [
        ("SFT", "same init, other order", 3),
        ("RFT", "same init, other order", 3),
        ("SFT", "other init, same order", 1),
    ]
    assert len(study.claims) == 12
    # What needs the model is there before claims are judged.
    found = {claim.number: claim.found for claim in study.claims if claim.number in {5, 7}}
    assert all(text.startswith("midpoint above the chord") for text in found.values()), found
    assert results.behaviour.similarity.ceiling == ("SFT", "SFT init 2")
    assert len(results.behaviour.connectivity.segments) == 8 + 8 * 7 / 2
    assert study.checks
    assert all(pair.verdict != "not decided" for pair in results.comparison.pairs)


@pytest.mark.slow
def test_seeds_are_what_they_say(whole: Path):
    """Same init: A starts alike, so right-hand directions agree; another init has another A."""
    deltas = {folder.name.rsplit("-", 1)[0]: read(folder) for folder in (whole / "cells").iterdir()}
    module = next(iter(deltas["sft"]))

    def distance(a: str, b: str) -> float:
        x, y = deltas[a][module].A, deltas[b][module].A
        return float((x - y).norm() / x.norm())

    assert distance("sft", "dpo") < 0.2
    assert distance("sft", "sft-order-2") < 0.2
    assert distance("sft", "sft-init-2") > 1


@pytest.mark.slow
def test_a_second_run_does_nothing_again(settings: Path, whole: Path):
    before = {p: p.stat().st_mtime_ns for p in (whole / "cells").rglob("*") if p.is_file()}
    result = goniometer("study", settings, "-o", whole)
    assert result.returncode == 0
    assert "train ·" not in result.stderr
    assert "losses along paths" not in result.stderr
    assert "similarity of activations" not in result.stderr
    assert before == {p: p.stat().st_mtime_ns for p in (whole / "cells").rglob("*") if p.is_file()}


def _kill_when(settings: Path, out: Path, reached) -> None:
    command = [sys.executable, "-m", "goniometer", "study", str(settings), "-o", str(out)]
    env = os.environ | {"PYTHONPATH": str(SRC)}
    process = subprocess.Popen(
        command, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not reached(out) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.poll() is None, "it ended before the moment to be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_study_killed_at_any_moment_ends_with_the_same_bytes(settings: Path, whole: Path):
    out = settings.parent / "apart" / "killed"  # else it would take what `whole` has
    moments = [
        lambda o: list(o.glob("rollouts/.partial-*")),
        lambda o: len(list(o.glob("cells/*/manifest.json"))) >= 2,
        lambda o: len(list(o.glob("evaluation/*/manifest.json"))) >= 3,
        lambda o: list(o.glob("paths/*/manifest.json")),
        lambda o: list(o.glob(".partial-*/results.json")),
    ]
    for reached in moments:
        _kill_when(settings, out, reached)
    assert not (out / "report").exists()
    assert goniometer("study", settings, "-o", out).returncode == 0
    for name in ("results.json", "modules.parquet", "report.html", "summary.md"):
        assert (out / "report" / name).read_bytes() == (whole / "report" / name).read_bytes(), name
    assert not list(out.rglob(".partial-*"))


@pytest.mark.slow
def test_rollouts_of_a_file_train_without_a_teacher(settings: Path, whole: Path, tmp_path: Path):
    tree = yaml.safe_load(settings.read_text())
    file = next(whole.glob("rollouts/*/train.parquet"))
    tree["rollouts"] |= {"file": str(file), "prompts": 10, "held_out_prompts": 6}
    tree["models"]["teacher"] = "/nowhere"
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
    assert goniometer("train", tmp_path / "study.yaml", "-o", tmp_path / "out").returncode == 0
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 12
    tree["rollouts"] |= {"held_out_prompts": 7}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
    result = goniometer("train", tmp_path / "study.yaml", "-o", tmp_path / "out")
    assert result.returncode == 2
    assert "found 16, expected 17" in result.stderr
    lines = tmp_path / "rollouts.jsonl"
    lines.write_text('{"problem_id": "a"}\n')
    tree["rollouts"] |= {"file": str(lines)}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
    result = goniometer("train", tmp_path / "study.yaml", "-o", tmp_path / "out")
    assert result.returncode == 2
    assert "line 1" in result.stderr
    assert "Traceback" not in result.stderr


FAULTS = {
    "objective: rft": ("objective: rtf", "unknown objective 'rtf'. Did you mean 'rft'?"),
    "beta: 0.1}}": ("betta: 0.1}}", "options.betta: unknown option. Did you mean 'beta'?"),
    "task: {name: arithmetic}": ("task: {name: gsm9k}", "task.name: unknown task"),
    "prompts: 800": ("prompts: 4", "rollouts.prompts: fewer prompts than one step takes"),
}


@pytest.mark.parametrize("right", FAULTS)
def test_a_study_that_cannot_work_says_so_before_any_work(tmp_path: Path, right: str):
    wrong, message = FAULTS[right]
    text = EXAMPLE.read_text()
    assert right in text
    (tmp_path / "study.yaml").write_text(text.replace(right, wrong, 1))
    with pytest.raises(GoniometerError) as error:
        make_plan(read_study(tmp_path / "study.yaml"))
    assert message in str(error.value)


@pytest.mark.slow
def test_models_and_modules_that_are_not_there(settings: Path, tmp_path: Path):
    text = settings.read_text()
    for right, wrong, message in (
        ("embedded:base", "/nowhere/model", "no such model folder"),
        ("embedded:base", "embedded:bass", "no such embedded model"),
    ):
        assert right in text
        (tmp_path / "study.yaml").write_text(text.replace(right, wrong))
        result = goniometer("study", tmp_path / "study.yaml", "-o", tmp_path / "out")
        assert result.returncode == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr
