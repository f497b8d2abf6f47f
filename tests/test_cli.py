"""Whole commands as a user runs them: real processes, exit codes, one line for bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from goniometer.results import read_results
from tests.adapters import edit_config, edit_tensors, save_adapter

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
    (tmp_path / "results.json").write_bytes((out / "results.json").read_bytes())
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
        (("report", tmp_path), "no such file"),
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
