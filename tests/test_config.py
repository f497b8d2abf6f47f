"""A study file: defaults resolved, faults named with file, key and the nearest right one."""

from pathlib import Path

import pytest

from goniometer.config import Study
from goniometer.errors import GoniometerError
from goniometer.study_file import read_study

EXAMPLE = Path(__file__).parent.parent / "examples" / "arithmetic.yaml"


def test_the_example_is_the_default_study():
    study = read_study(EXAMPLE)
    plain = Study(name=study.name, arms=study.arms, floors=study.floors)
    same = study.model_copy(update={"geometry": plain.geometry})
    assert same.model_dump() == plain.model_dump()


def test_the_fingerprint_is_of_the_resolved_settings(tmp_path: Path):
    study = read_study(EXAMPLE)
    spelt = tmp_path / "spelt.yaml"
    spelt.write_text(EXAMPLE.read_text() + "\nseed: 0\n".replace("seed: 0", ""))
    assert read_study(spelt).fingerprint == study.fingerprint
    assert study.model_copy(update={"seed": 1}).fingerprint != study.fingerprint


FAULTS = {
    "steps:": ("stepz:", r"training.stepz: unknown key. Did you mean 'steps'\?"),
    "arms:": ("armz:", r"armz: unknown key. Did you mean 'arms'\?"),
    "prompts: 800": ("prompts: -1", "rollouts.prompts: .*greater than 0; found -1"),
    "temperature: 1.0": (
        "temperature: 1.0e-40",
        "rollouts.temperature: .*greater than or equal to 0.01; found 1e-40",
    ),
    "objective: rft": (
        "objektive: rft",
        r"arms.1.objektive: unknown key. Did you mean 'objective'\?",
    ),
    "arms: [SFT": ("arms: [SFX", "floors.arms: no arm is called 'SFX'"),
    "name: RIFT": ("name: SFT", "the name 'SFT' stands twice"),
    "margin: 0.02": ("margin: .nan", "evaluation.margin"),
    "arms:\n": ("arms: [\n", "line [0-9]+: not valid YAML"),
}


@pytest.mark.parametrize("right", FAULTS)
def test_faults_are_named(tmp_path: Path, right: str):
    wrong, message = FAULTS[right]
    text = EXAMPLE.read_text()
    assert right in text
    path = tmp_path / "study.yaml"
    path.write_text(text.replace(right, wrong, 1))
    with pytest.raises(GoniometerError, match=message) as error:
        read_study(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_what_is_no_study_is_refused(tmp_path: Path):
    with pytest.raises(GoniometerError, match="no such study file"):
        read_study(tmp_path / "absent.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(GoniometerError, match="not a study; found list"):
        read_study(tmp_path / "list.yaml")


def test_all_faults_are_named_at_once(tmp_path: Path):
    """The misspelt keys first; the key that one of them stands for is not missing besides."""
    changed = EXAMPLE.read_text()
    for right, wrong in (("steps:", "stepz:"), ("objective: dft", "objektive: dft")):
        changed = changed.replace(right, wrong, 1)
    changed = changed.replace("prompts: 800", "prompts: -1").replace("clip: 1.0", "clip: none")
    path = tmp_path / "study.yaml"
    path.write_text(changed)
    with pytest.raises(GoniometerError) as error:
        read_study(path)
    keys = [str(fault).split(": ")[1] for fault in error.value.faults]
    assert keys == ["training.stepz", "arms.3.objektive", "rollouts.prompts", "training.clip"]
    assert str(error.value).split("\n") == [str(fault) for fault in error.value.faults]


def test_all_names_that_are_no_arm_are_named_at_once(tmp_path: Path):
    path = tmp_path / "study.yaml"
    path.write_text(
        EXAMPLE.read_text().replace("arms: [SFT, RFT]", "arms: [SFX, RFT]")
        + "\nmatch: {to: SFY, arms: [DPO]}\ngrid: {learning_rate_arms: [SFZ]}\n"
    )
    with pytest.raises(GoniometerError) as error:
        read_study(path)
    assert len(error.value.faults) == 3
    for name in ("SFX", "SFY", "SFZ"):
        assert f"no arm is called {name!r}" in str(error.value)


def test_paths_without_a_midpoint_and_an_arm_called_base_are_refused(tmp_path: Path):
    path = tmp_path / "study.yaml"
    path.write_text(EXAMPLE.read_text() + "\npaths: {positions: 10}\n")
    with pytest.raises(GoniometerError) as error:
        read_study(path)
    assert "paths.positions: an odd number, so that the midpoint is one of them" in str(error.value)
    path.write_text(EXAMPLE.read_text().replace("name: DFT", "name: base"))
    with pytest.raises(GoniometerError) as error:
        read_study(path)
    assert "'base' is what the base is called" in str(error.value)
    path.write_text(EXAMPLE.read_text() + "\npaths: null\nsimilarity: null\n")
    assert read_study(path).paths is None


def test_without_the_default_s_arms_the_first_two_are_repeated():
    def repeated(*names: str, **more: object) -> tuple[str, ...] | None:
        arms = [{"name": name, "objective": "sft"} for name in names]
        floors = Study(name="s", arms=arms, **more).floors
        return floors and floors.arms

    assert repeated("A", "B", "C") == ("A", "B")
    assert repeated("A") == ("A",)
    assert repeated("A", "SFT") == ("A", "SFT")
    assert repeated("A", "RFT", "SFT") == ("SFT", "RFT")
    assert repeated("A", "B", floors={"orders": 4}) == ("A", "B")
    assert repeated("A", "B", floors={"arms": ["B"]}) == ("B",)
    assert repeated("A", "B", floors=None) is None
