"""The tutorial's commands run and end as it says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_tutorial_runs(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "run_tutorial.py"), str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ran = [line for line in done.stderr.splitlines() if line.startswith("ran (")]
    assert len(ran) > 8
    assert any(line.startswith("ran (1)") for line in ran), "a gate that trips is part of it"
    assert (tmp_path / "work" / "report" / "report.html").is_file()
    assert (tmp_path / "work" / "paired" / "paired.json").is_file()


def test_a_command_that_ends_otherwise_is_told(tmp_path):
    page = "```sh\npython fails.py\n```\n"
    code = (
        "import run_tutorial, sys, pathlib\n"
        f"run_tutorial.PAGE = pathlib.Path({str(tmp_path / 'page.md')!r})\n"
        f"print(run_tutorial.main(pathlib.Path({str(tmp_path)!r}), whole=False))"
    )
    (tmp_path / "page.md").write_text(page)
    (tmp_path / "fails.py").write_text("raise SystemExit(3)\n")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=ROOT / "scripts",
    )  # fmt: skip
    assert "exit code 3, not 0: python fails.py" in done.stdout
