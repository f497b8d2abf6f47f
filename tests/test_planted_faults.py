"""Each planted fault turns the test red that it names: the suite can fail, and says where.

`planted_faults.json` holds one-line mutations. Each is made in a copy of the project, and only the
test that it names is run there, in a process of its own (`fault_process.py`).
"""

import compileall
import json
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FAULTS = json.loads((ROOT / "tests" / "planted_faults.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("src", "tests", "examples", "docs", "scripts"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "mkdocs.yml"):
        shutil.copy(ROOT / name, root)
    # By hash: a fault of the same size within the same second must not meet an older file's code.
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(root / "src", quiet=2, invalidation_mode=mode)
    return root


@pytest.fixture(scope="module")
def runner(copy: Path):
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "fault_process.py"), str(copy)],
        env=os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


def tried(runner: subprocess.Popen, test: str) -> tuple[int, str]:
    """Exit code and output of pytest on one test, in a process of its own."""
    runner.stdin.write(f"{test}\n")
    runner.stdin.flush()
    code, _, output = runner.stdout.readline().strip().partition(" ")
    return int(code), Path(output).read_text(encoding="utf-8")


def test_every_fault_has_its_line_and_its_test():
    """What a moved file leaves behind: the line must stand once, and the test be there."""
    text = {name: (ROOT / name).read_text("utf-8") for name in {f["file"] for f in FAULTS}}
    assert [f["fault"] for f in FAULTS if text[f["file"]].count(f["old"]) != 1] == []
    assert [f["fault"] for f in FAULTS if f["old"] == f["new"]] == []
    for fault in FAULTS:
        file, function = fault["test"].split("[")[0].split("::")
        assert f"def {function}(" in (ROOT / file).read_text("utf-8"), fault["test"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=[fault["fault"] for fault in FAULTS])
def test_a_planted_fault_is_found(copy: Path, runner, fault: dict[str, str]):
    file = copy / fault["file"]
    whole = file.read_text(encoding="utf-8")
    assert whole.count(fault["old"]) == 1, "the line moved: bring planted_faults.json up to date"
    file.write_text(whole.replace(fault["old"], fault["new"]), encoding="utf-8")
    try:
        code, output = tried(runner, fault["test"])
    finally:
        file.write_text(whole, encoding="utf-8")
    if code == 0 and " skipped" in output and " passed" not in output:
        pytest.skip(f"{fault['test']} is skipped on this machine")
    # 1: the test ran and failed. Not found, or an error of collection, are other codes.
    assert code == 1, f"{fault['test']} stayed green\n{output[-2000:]}"


def test_without_a_fault_a_test_is_green(runner):
    """What runs the tests does not turn them red by itself."""
    for test in (
        "tests/test_geometry.py::test_no_cosine_leaves_its_range",
        "tests/contracts/test_peft_formats.py::test_the_update_is_what_peft_merges",
    ):
        code, output = tried(runner, test)
        assert code == 0, output[-2000:]
