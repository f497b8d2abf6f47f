"""A small study as a file, and how it is refused, for tests of bad input."""

from pathlib import Path

import yaml

from tests.conftest import Command

ARMS = [
    {"name": "SFT", "objective": "sft"},
    {"name": "RFT", "objective": "rft"},
    {"name": "GRPO", "objective": "offline_grpo"},
    {"name": "DPO", "objective": "dpo"},
]
SMALL = {
    "name": "small",
    "rollouts": {"prompts": 16, "held_out_prompts": 8},
    "training": {"steps": 2},
    "evaluation": {"problems": 20},
    "arms": ARMS,
}


def study_file(folder: Path, **sections: object) -> Path:
    tree: dict[str, object] = dict(SMALL)
    for name, section in sections.items():
        old = tree.get(name)
        tree[name] = (
            old | section if isinstance(old, dict) and isinstance(section, dict) else section
        )
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def refused(command: Command, study: Path) -> list[str]:
    """Run it into a folder that is not there; return its lines, after what holds for all."""
    out = study.parent / "out"
    code, printed, lines = command("study", study, "-o", out)
    assert code == 2
    assert printed == ""
    assert not out.exists()
    assert lines
    assert all(line.startswith("goniometer: ") for line in lines), lines
    return [line.removeprefix("goniometer: ") for line in lines]
