"""The README says what is there: the map of the tree is the disk's, and its files exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a git checkout"
)
def test_the_map_of_the_tree_is_what_the_disk_says():
    command = [sys.executable, str(ROOT / "scripts" / "readme_tree.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run scripts/readme_tree.py"


def test_links_and_pictures_are_there():
    for document in (ROOT / "README.md", ROOT / "docs" / "log.md", ROOT / "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_code_file_starts_with_what_it_is():
    for path in (ROOT / "src").rglob("*.py"):
        assert path.read_text(encoding="utf-8").startswith('"""'), path
