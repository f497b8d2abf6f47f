"""Rollouts before any training: what each arm needs of them, and what they may not hold."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from goniometer.errors import GoniometerError
from goniometer.objectives import OBJECTIVES, build
from goniometer.rollouts import RolloutSet, sources
from goniometer.seeds import derive
from goniometer.study.preflight import check_rollouts, examine
from goniometer.study.preflight.rollouts import nothing_to_learn
from goniometer.study_file import read_study
from goniometer.tasks import TASKS
from tests.conftest import Command
from tests.rollouts_factory import make_rollouts
from tests.small_study import ARMS, refused, study_file


def file_of(groups: Sequence[str], folder: Path) -> Path:
    path = folder / "rollouts.parquet"
    sources.save(make_rollouts(groups), path)
    return path


NOTHING = "has nothing to train on: "
UNMIXED = "no prompt has both right and wrong rows"


@pytest.mark.parametrize(
    ("groups", "lines"),
    [
        (["--"] * 24, {"RFT: rft": "no row is correct", "DPO: dpo": "no row is correct"}),
        (["++", "--"] * 12, {"GRPO: offline_grpo": UNMIXED, "DPO: dpo": UNMIXED}),
    ],
)
def test_a_file_without_what_arms_need(
    tmp_path: Path, command: Command, groups: list[str], lines: dict[str, str]
):
    """The mixture that is wanted is said too; SFT alone could train on such rows."""
    file = file_of(groups, tmp_path)
    study = study_file(tmp_path, rollouts={"file": str(file)}, floors=None)
    mixture, *found = refused(command, study)
    assert "too few prompts have both right and wrong completions; found 0" in mixture
    assert found == [f"{file}: {arm} {NOTHING}{why}" for arm, why in lines.items()]


def test_a_file_of_another_vocabulary_with_rows_too_long(tmp_path: Path, command: Command):
    rows = make_rollouts(["+-"] * 24).rows
    tokens = (*range(200, 500), 1)
    odd = replace(rows[0], completion_tokens=tokens, logprobs=(0.0,) * len(tokens))
    path = tmp_path / "rollouts.parquet"
    sources.save(RolloutSet((odd, *rows[1:])), path)
    found = refused(command, study_file(tmp_path, rollouts={"file": str(path)}))
    assert len(found) == 2
    assert "a token id that the base does not have; found 499, expected below 106" in found[0]
    assert "a row is longer than the context of embedded:base" in found[1]


def test_a_file_encoded_by_another_tokenizer(tmp_path: Path, command: Command):
    """Of a vocabulary of the same size: only its texts tell."""
    rows = make_rollouts(["+-"] * 24).rows
    path = tmp_path / "rollouts.parquet"
    sources.save(RolloutSet(tuple(replace(row, text="of other words") for row in rows)), path)
    (line,) = refused(command, study_file(tmp_path, rollouts={"file": str(path)}, floors=None))
    assert "p0: tokens that say something else to embedded:base: its tokenizer is another" in line


def test_a_file_of_prompts_that_an_on_policy_arm_cannot_grade(tmp_path: Path, command: Command):
    file = file_of(["+-"] * 24, tmp_path)
    arms = [*ARMS, {"name": "Online", "objective": "online_grpo"}]
    (line,) = refused(command, study_file(tmp_path, rollouts={"file": str(file)}, arms=arms))
    assert "problem_id: 24 prompts are no training problems of arithmetic" in line


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if not kind.on_policy])
def test_every_objective_can_learn_from_mixed_prompts(name: str):
    objective = build(name, {}, "test")
    assert nothing_to_learn(objective, make_rollouts(["+-+-", "+--", "++"])) is None
    assert nothing_to_learn(objective, RolloutSet(())) is not None


def test_what_an_objective_compares_must_be_there():
    for name in ("sft", "dft", "rift", "kto"):  # rows by themselves
        assert nothing_to_learn(build(name, {}, "test"), make_rollouts(["++", "--"])) is None
    for name in ("offline_grpo", "dpo", "ipo", "simpo"):  # rows of one prompt
        assert nothing_to_learn(build(name, {}, "test"), make_rollouts(["++", "--"])) == UNMIXED


def test_sampled_rollouts_are_checked_before_training(tmp_path: Path):
    plan = examine(read_study(study_file(tmp_path)), tmp_path / "out", fetch=False).plan
    check_rollouts(plan, make_rollouts(["+-+-"] * 4), "rollouts")
    with pytest.raises(GoniometerError) as error:
        check_rollouts(plan, make_rollouts(["--"] * 4), "rollouts")
    assert [str(fault) for fault in error.value.faults] == [
        f"rollouts: RFT: rft {NOTHING}no row is correct",
        f"rollouts: DPO: dpo {NOTHING}no row is correct",
    ]


def test_a_file_with_a_test_problem_is_refused(tmp_path: Path, command: Command):
    """Texts named directly: the planted prompt is the first problem that the study evaluates on."""
    planted = TASKS["arithmetic"]().problems("test", 1, derive(0, "test"))[0].question
    questions = [f"Ada has {n} apples ." for n in range(2, 26)]
    path = tmp_path / "texts.jsonl"

    def write(prompts: list[str]) -> None:
        rows = [
            {"prompt": prompt, "completion": f"#### {label}", "label": label}
            for prompt in prompts
            for label in (0, 1)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    study = study_file(tmp_path, rollouts={"file": str(path)}, floors=None)
    write(questions)
    assert not examine(read_study(study), tmp_path / "out", fetch=False).faults.found
    write([*questions, planted])
    (line,) = refused(command, study)
    assert "1 of 25 prompts are test problems of arithmetic" in line
