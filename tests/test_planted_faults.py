"""Each planted fault turns the test red that it names: the suite can fail, and says where.

`planted_faults.json` holds one-line mutations. Each is made in a copy of the project, and only the
test that it names is run there, in a process of its own.
"""

import json
import os
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
    for name in ("src", "tests", "examples"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=[fault["fault"] for fault in FAULTS])
def test_a_planted_fault_is_found(copy: Path, fault: dict[str, str]):
    file = copy / fault["file"]
    whole = file.read_text(encoding="utf-8")
    assert whole.count(fault["old"]) == 1, "the line moved: bring planted_faults.json up to date"
    file.write_text(whole.replace(fault["old"], fault["new"]), encoding="utf-8")
    try:
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", fault["test"]],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        file.write_text(whole, encoding="utf-8")
    # 1: the test ran and failed. Not found, or an error of collection, are other codes.
    assert result.returncode == 1, f"{fault['test']} stayed green\n{result.stdout[-2000:]}"
