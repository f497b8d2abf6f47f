"""Whole commands as a user runs them: real processes, exit codes, one line for bad input."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest
import torch

from goniometer.results import read_results, to_json
from tests.adapters import edit_config, edit_tensors, save_adapter
from tests.results_factory import results

SRC = Path(__file__).parent.parent / "src"


def goniometer(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "goniometer", *map(str, arguments)]
    env = os.environ | {"PYTHONPATH": str(SRC), "HF_HUB_OFFLINE": "1"} | environment
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=env, check=False
    )


@pytest.fixture(scope="module")
def adapters(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("adapters")
    for name, seed, options in (
        ("a", 1, {}),
        ("b", 2, {"r": 6, "use_rslora": True}),
        ("part", 3, {"target_modules": ["q_proj"]}),
        ("again", 1, {}),
        ("zero", 4, {}),
    ):
        save_adapter(root / name, seed=seed, **options)
    edit_tensors(root / "zero", lambda t: {k: v * 0 if "lora_B" in k else v for k, v in t.items()})
    return root


@pytest.fixture(scope="module")
def compared(adapters: Path):
    out = adapters / "report"
    runs = [adapters / name for name in ("a", "b", "part", "again", "zero")]
    return goniometer("compare", *runs, "-o", out), out


def test_compare_writes_its_folder_and_prints_a_table(compared):
    result, out = compared
    assert result.returncode == 0, result.stderr
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "results.json",
        "modules.parquet",
        "report.html",
        "summary.md",
        "manifest.json",
    }
    assert f"report: {out / 'report.html'}" in result.stdout
    for state in ("identical", "zero delta", "only in"):
        assert state in result.stdout


def test_states_are_states_in_json_and_table(compared):
    _, out = compared
    results = read_results(out / "results.json")
    states = {(pair.a, pair.b): pair.state for pair in results.comparison.pairs}
    assert states[("a", "again")] == "identical"
    assert states[("a", "zero")] == "zero delta"
    assert states[("a", "part")] == "comparable"
    table = pq.read_table(out / "modules.parquet").to_pandas()
    of_pair = table[(table.a == "a") & (table.b == "zero")]
    assert of_pair.cosine.isna().all()
    assert (of_pair.undefined == "zero delta").all()
    only = table[(table.a == "a") & (table.b == "part") & (table.projection == "v_proj")]
    assert (only.undefined == "module only in a").all()
    assert len(table) == 4 * 4 + 2 + 4 * 10


def test_report_rebuilds_from_the_folder_alone(compared, tmp_path: Path):
    _, out = compared
    for name in ("results.json", "modules.parquet"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    result = goniometer("report", tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "report.html").read_bytes() == (out / "report.html").read_bytes()


def test_equal_inputs_give_equal_bytes(compared, adapters: Path, tmp_path: Path):
    _, out = compared
    runs = [adapters / name for name in ("a", "b", "part", "again", "zero")]
    goniometer("compare", *runs, "-o", tmp_path / "report")
    for name in ("results.json", "modules.parquet", "report.html", "summary.md"):
        assert (tmp_path / "report" / name).read_bytes() == (out / name).read_bytes(), name


def test_origin_is_subtracted(compared, adapters: Path, tmp_path: Path):
    arguments = [
        adapters / "a",
        adapters / "b",
        "--origin",
        adapters / "part",
        "-o",
        tmp_path / "o",
    ]
    assert goniometer("compare", *arguments).returncode == 0
    results = read_results(tmp_path / "o" / "results.json")
    assert results.comparison.origin == str(adapters / "part")
    assert results.comparison.runs[0].scopes["all"]["norm"].value != pytest.approx(
        read_results(adapters / "report" / "results.json")
        .comparison.runs[0]
        .scopes["all"]["norm"]
        .value
    )


def test_names(adapters: Path, tmp_path: Path):
    for parent in ("x", "y"):
        (tmp_path / parent).mkdir()
        (tmp_path / parent / "final").symlink_to(adapters / "a")
    runs = [f"mine={adapters / 'b'}", adapters / "a", adapters / "zero"]
    goniometer("compare", *runs, "-o", tmp_path / "out")
    names = [run.name for run in read_results(tmp_path / "out" / "results.json").comparison.runs]
    assert names == ["mine", "a", "zero"]


def test_help_does_not_import_torch():
    code = (
        "import sys; sys.argv = ['goniometer', '--help']\n"
        "from goniometer.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('heavy', sorted({'torch', 'transformers', 'pandas', 'altair'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "heavy []" in result.stdout
    assert "compare" in result.stdout


# Bad input: one line, exit code 2, nothing written.


def _truncate(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:300])


def _infinite(folder: Path) -> None:
    edit_tensors(folder, lambda t: {k: v.fill_(torch.inf) for k, v in t.items()})


def _pickle(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


BROKEN = {
    "truncated": (_truncate, "not a whole safetensors file"),
    "infinite": (_infinite, "NaN or Inf"),
    "unknown type": (lambda f: edit_config(f, peft_type="NEW"), "peft_type: cannot be read"),
    "dora": (lambda f: edit_config(f, use_dora=True), "DoRA's lora_magnitude_vector is missing"),
    "pickle": (_pickle, "a pickle can run code"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_adapter_is_one_line_and_exit_code_2(adapters: Path, tmp_path: Path, fault: str):
    edit, message = BROKEN[fault]
    save_adapter(tmp_path / "broken")
    edit(tmp_path / "broken")
    result = goniometer("compare", adapters / "a", tmp_path / "broken", "-o", tmp_path / "out")
    _is_one_line(result, message)
    assert not (tmp_path / "out").exists()


def _is_one_line(result: subprocess.CompletedProcess[str], message: str) -> None:
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("goniometer:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in result.stderr


def test_other_bad_input(adapters: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    a, b = adapters / "a", adapters / "b"
    for arguments, message in (
        (("compare", a, adapters / "absent"), "no such folder"),
        (("compare", a), "nothing to compare; found 1 run"),
        (("compare", a, b, "-k", "9"), "k: larger than the smallest rank; found 9"),
        (("compare", a, b, "-o", tmp_path / "mine"), "not written by goniometer"),
        (("compare", a, b, "-o", "/proc/nowhere"), "cannot be written"),
        (("compare", f"x={a}", f"x={b}"), "two runs have one name"),
        (("compare", a, b, "--base", tmp_path), "no model here"),
        (("study", tmp_path / "absent.yaml"), "no such study file"),
        (("report", tmp_path), "no results here"),
    ):
        out = () if "-o" in arguments or arguments[0] != "compare" else ("-o", tmp_path / "out")
        _is_one_line(goniometer(*arguments, *out), message)
        assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_line(adapters: Path):
    """/dev/full is the full disk that every machine has; as a parent it is no folder either."""
    result = goniometer("compare", adapters / "a", adapters / "b", "-o", "/dev/full/out")
    _is_one_line(result, "/dev/full")


def test_results_of_another_schema_are_refused(compared, tmp_path: Path):
    _, out = compared
    tree = json.loads((out / "results.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps(tree | {"schema_version": 99}))
    _is_one_line(goniometer("report", tmp_path), "schema_version")


def test_figures_may_be_asked_for_in_both_formats(command, tmp_path: Path, monkeypatch):
    found = results(runs=("SFT", "DPO"), layers=1)
    (tmp_path / "results.json").write_text(to_json(found))
    asked = []
    monkeypatch.setattr(
        "goniometer.report.build", lambda _, home, figures: asked.append(list(figures)) or home
    )
    for given in ([], ["svg"], ["svg", "png"]):
        options = [word for form in given for word in ("--figures", form)]
        assert command("report", tmp_path, *options)[0] == 0
        assert asked.pop() == given
    code, _, lines = command("report", tmp_path, "--figures", "gif")
    assert code != 0
    assert "gif" in " ".join(lines)
    assert not asked


def test_results_are_of_the_schema_that_is_printed(compared):
    _, out = compared
    printed = goniometer("schema")
    assert printed.returncode == 0
    schema = json.loads(printed.stdout)
    jsonschema.validate(json.loads((out / "results.json").read_text()), schema)


def test_tables_stand_beside_the_results(compared):
    _, out = compared
    pairs = (out / "pairs.csv").read_text().splitlines()
    assert pairs[0].startswith("a,b,scope,state,verdict,null_group,modules,energy_share,angle_")
    assert pairs[0].endswith(",undefined")
    assert sum(",union," in line for line in pairs) == 10
    assert (out / "runs.csv").read_text().startswith("run,scope,state,format,base,source,")


# Gates: exit code 1, which is neither success nor bad input.


def test_a_gate_that_trips_is_exit_code_1_and_the_report_is_written(adapters, tmp_path):
    arguments = ["compare", f"a={adapters / 'a'}", f"b={adapters / 'b'}", "-o", tmp_path / "out"]
    passed = goniometer(*arguments, "--fail-on", "cosine>0.9", "--fail-on", "norm>1e6")
    assert passed.returncode == 0, passed.stderr
    failed = goniometer(*arguments, "--fail-on", "cosine>0.9", "--fail-on", "b,a:cosine<0.9")
    assert failed.returncode == 1
    lines = [line for line in failed.stderr.splitlines() if "gate tripped" in line]
    assert len(lines) == 1
    assert "b,a:cosine<0.9: b, a: cosine" in lines[0]
    assert " below 0.9" in lines[0]
    assert (tmp_path / "out" / "report.html").is_file()
    assert "report:" in failed.stdout


def test_what_is_not_measured_is_no_pass(adapters, tmp_path):
    runs = [adapters / "a", adapters / "zero"]
    result = goniometer("compare", *runs, "-o", tmp_path / "out", "--fail-on", "cosine>2")
    assert result.returncode == 1
    assert "undefined (zero delta), which is no pass" in result.stderr


def test_a_gate_that_cannot_be_read_is_said_before_any_work(adapters, tmp_path):
    out = tmp_path / "out"
    runs = [adapters / "a", adapters / "b", "-o", out]
    for gate, message in (
        ("cosin<0.9", "no such measure; found 'cosin'. Did you mean 'cosine'?"),
        ("cosine", "not a gate"),
        ("relative_norm>1", "a measure against the base, which is not measured here. Give --base"),
    ):
        _is_one_line(goniometer("compare", *runs, "--fail-on", gate), message)
        assert not out.exists()
    # Scopes are known when the runs are read: the report is there, and it is no pass either.
    result = goniometer("compare", *runs, "--fail-on", "projection.o_proj:cosine<0.9")
    _is_one_line(result, "no such scope; found 'projection.o_proj'")
    assert (out / "report.html").is_file()


def test_interrupted_is_exit_code_130(adapters, tmp_path):
    code = (
        "import sys; from unittest.mock import patch; import goniometer.console.compare\n"
        "from goniometer.cli import main\n"
        f"sys.argv = ['goniometer', 'compare', 'a', 'b', '-o', {str(tmp_path / 'out')!r}]\n"
        "with patch('goniometer.console.compare.compared', side_effect=KeyboardInterrupt): main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 130
    assert "Traceback" not in result.stderr


def test_over_steps(adapters, tmp_path):
    """A folder as transformers' Trainer leaves it, and the same checkpoints as a list."""
    folder = tmp_path / "run"
    for step, name in ((100, "b"), (20, "a"), (3, "zero")):
        shutil.copytree(adapters / name, folder / f"checkpoint-{step}")
    result = goniometer("compare", "--over", "steps", folder, "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "run over steps" in result.stdout
    assert "rank-1 share" in result.stdout
    found = read_results(tmp_path / "out" / "results.json")
    (one,) = found.trajectories
    assert [step.step for step in one.steps] == [3, 20, 100]
    assert one.steps[0].cosine_to_final.undefined == "zero delta"
    cosine = found.comparison.pairs[2].scopes["union"].readings["cosine"]
    assert one.steps[1].cosine_to_final == cosine
    assert found.comparison.pairs[2].verdict == "steps of one run"
    assert len((tmp_path / "out" / "steps.csv").read_text().splitlines()) == 4
    listed = [folder / f"checkpoint-{n}" for n in (100, 20, 3)]
    goniometer("compare", "--over", "steps", *listed, "-o", tmp_path / "list")
    again = read_results(tmp_path / "list" / "results.json").trajectories[0]
    assert [s.norm for s in again.steps] == [s.norm for s in one.steps]
    few = goniometer("compare", "--over", "steps", *listed[:2], "-o", tmp_path / "few")
    _is_one_line(few, "too few checkpoints for a trajectory; found 2")
