"""Bad input as a user meets it: all faults at once, one line each, exit code 2, nothing written."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from goniometer.errors import GoniometerError
from goniometer.model.reference import find
from goniometer.objectives import OBJECTIVES, build
from goniometer.rollouts import RolloutSet, sources
from goniometer.seeds import derive
from goniometer.study.preflight import check_rollouts, examine
from goniometer.study.preflight.rollouts import nothing_to_learn
from goniometer.study_file import read_study
from goniometer.tasks import TASKS
from tests.conftest import Command
from tests.fake_hub import FakeHub, serving
from tests.rollouts_factory import make_rollouts
from tests.test_cli import goniometer

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


def test_faults_of_all_kinds_are_said_at_once(tmp_path: Path, command: Command):
    """Unlike ones: a step too large, an objective, two options, a teacher, modules, the context."""
    arms = [
        ARMS[0] | {"learning_rate": 0.5},
        {"name": "RFT", "objective": "rtf"},
        {"name": "DPO", "objective": "dpo", "options": {"beta": -1, "betta": 2}},
    ]
    study = study_file(
        tmp_path,
        models={"teacher": "/nowhere"},
        rollouts={"prompts": 4, "max_new_tokens": 250},
        adapter={"target_modules": ["q_proj", "w_proj", "x_proj"]},
        arms=arms,
    )
    found = refused(command, study)
    wanted = [
        "rollouts.prompts: fewer prompts than one step takes; found 4",
        "arms.1: objective: unknown objective 'rtf'. Did you mean 'rft'?",
        "arms.2: options.betta: unknown option. Did you mean 'beta'?",
        "arms.2: options.beta: Input should be greater than 0; found -1",
        "found 'w_proj', expected some of down_proj, gate_proj, k_proj, lm_head, o_proj",
        "found 'x_proj'",
        "rollouts.max_new_tokens: the longest train prompt and its completion do not fit",
        "rollouts.max_new_tokens: the longest validation prompt and its completion",
        "/nowhere: no such model folder",
    ]
    assert len(found) == len(wanted), found
    for text in wanted:
        assert sum(text in line for line in found) == 1, (text, found)


SINGLE: dict[str, tuple[dict[str, object], str]] = {
    "learning rate": ({"training": {"learning_rate": 2.0}}, "training.learning_rate: .*equal to 1"),
    "beta": (
        {"arms": [*ARMS, {"name": "B", "objective": "dpo", "options": {"beta": 1e6}}]},
        "options.beta: .*equal to 1000; found 1000000",
    ),
    "prompt": (
        {"evaluation": {"max_new_tokens": 300}},
        r"evaluation.max_new_tokens: .* test prompt .* \d+ \+ 300 tokens, expected at most 256",
    ),
    "disk": (
        {"rollouts": {"prompts": 10**10}},
        "not enough disk for what is planned; found .* free, expected .* most of it for rollouts",
    ),
    "device": (
        {"models": {"device": "cuda"}},
        "models.device: torch sees no GPU here. Take auto or cpu",
    ),
    "folder": ({"models": {"base": "/nowhere/model"}}, "/nowhere/model: no such model folder"),
    "embedded": ({"models": {"base": "embedded:bass"}}, "no such embedded model"),
    "package": ({"models": {"base": "package:no-such"}}, "no such package is installed"),
    "hub": (
        {"models": {"base": "owner/model@main"}},
        "owner/model@main: not in the local cache",
    ),
    "rollouts": (
        {"rollouts": {"file": "absent.parquet"}},
        "absent.parquet: rollouts.file: no such",
    ),
    "problems": (
        {
            "task": {"name": "gsm8k"},
            "models": {"warm_up": {"prompts": 50}},
            "rollouts": {"held_out_prompts": 2},
        },
        "models.warm_up.prompts: gsm8k has fewer pretrain problems than are asked for; found",
    ),
    "match": ({"match": {"to": "SFX", "arms": ["DPO"]}}, "match.to: no arm is called 'SFX'"),
    "shares": (
        {"grid": {"wrong_shares": [0.0], "wrong_share_arms": ["DPO"]}},
        "grid.wrong_share_arms: DPO cannot be trained at 0% wrong rows",
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_each_fault_is_one_line(tmp_path: Path, command: Command, monkeypatch, name: str):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    sections, pattern = SINGLE[name]
    problems = ({"question": f"{n} ?", "answer": f"#### {n}"} for n in range(60))
    (tmp_path / "gsm8k.jsonl").write_text("".join(json.dumps(one) + "\n" for one in problems))
    (tmp_path / "test.jsonl").write_text('{"question": "1 + 1", "answer": "#### 2"}\n')
    if sections.get("task"):
        files = {"file": str(tmp_path / "gsm8k.jsonl"), "test_file": str(tmp_path / "test.jsonl")}
        sections = sections | {"task": {"name": "gsm8k"} | files}
    (line,) = refused(command, study_file(tmp_path, **sections))
    assert re.search(pattern, line), line


def test_a_folder_that_was_there_is_as_it_was(tmp_path: Path, command: Command):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    study = study_file(tmp_path, adapter={"target_modules": ["w_proj"]})
    code, _, _ = command("study", study, "-o", out)
    assert code == 2
    assert {path.name: path.read_text() for path in out.iterdir()} == {"notes.txt": "mine"}
    code, _, (line,) = command("study", study_file(tmp_path), "-o", out / "notes.txt")
    assert code == 2
    assert "cannot be written" in line


def _copy_of_base(folder: Path, change: Callable[[dict[str, object]], object]) -> Path:
    copy = folder / "model"
    shutil.copytree(find("embedded:base").path, copy)
    file = copy / "tokenizer_config.json"
    tree = json.loads(file.read_text())
    change(tree)
    file.write_text(json.dumps(tree))
    return copy


def test_a_tokenizer_without_an_end_token(tmp_path: Path, command: Command):
    base = _copy_of_base(tmp_path, lambda tree: tree.pop("eos_token"))
    (line,) = refused(command, study_file(tmp_path, models={"base": str(base)}))
    assert "eos_token: the tokenizer has no end token" in line


def test_a_teacher_with_other_tokens(tmp_path: Path, command: Command):
    teacher = _copy_of_base(tmp_path, lambda tree: tree.update({"eos_token": "+"}))
    (line,) = refused(command, study_file(tmp_path, models={"teacher": str(teacher)}))
    assert "models.teacher: base and teacher have different tokenizers" in line


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


def test_what_is_unusual_is_shown_and_no_fault(tmp_path: Path, command: Command):
    arms = [ARMS[0], {"name": "[red]DPO", "objective": "dpo", "options": {"beta": 50}}]
    study = study_file(
        tmp_path,
        arms=arms,
        floors=None,
        training={"learning_rate": 0.5},
        adapter={"rank": 200, "target_modules": ["q_proj"]},
    )
    code, printed, _ = command("study", study, "--plan", "--no-measure")
    assert code == 0
    assert "  [red]DPO   arm" in printed  # a name is no markup
    assert [line for line in printed.splitlines() if line.startswith("warning: ")] == [
        "warning: SFT: learning_rate 0.5 is outside the usual 1e-07 to 0.01",
        "warning: [red]DPO: learning_rate 0.5 is outside the usual 1e-07 to 0.01",
        "warning: [red]DPO: options.beta 50 is outside the usual 0.01 to 10",
        "warning: adapter.rank 200 is above 128, the smaller side of q_proj: "
        "no update of it has a higher rank",
    ]


@pytest.mark.slow
def test_of_a_model_of_the_hub_only_headers_are_fetched_and_for_a_plan_nothing(tmp_path: Path):
    """With a fault elsewhere: the weights are not downloaded before it is said."""
    copy = _copy_of_base(tmp_path, lambda tree: None)
    arms = [*ARMS, {"name": "RTF", "objective": "rtf"}]
    (tmp_path / "plan").mkdir()
    whole = study_file(tmp_path / "plan", models={"base": "owner/tiny@main"})
    faulty = study_file(tmp_path, models={"base": "owner/tiny@main"}, arms=arms)
    with serving(FakeHub({"owner/tiny": copy})) as hub:
        here = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "cache")}
        here |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        here |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        planned = goniometer("study", whole, "--plan", **here)
        assert hub.asked == []
        refused = goniometer("study", faulty, "-o", tmp_path / "out", **here)
        asked = hub.fetched()
    assert planned.returncode == 0
    assert "not here: owner/tiny@main: not on this machine" in planned.stdout
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        "goniometer: small: arms.4: objective: unknown objective 'rtf'. Did you mean 'rft'?"
    ]
    assert {"config.json", "tokenizer.json"} <= asked
    assert not any(name.endswith(".safetensors") for name in asked)


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
