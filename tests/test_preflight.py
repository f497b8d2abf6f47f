"""Bad input as a user meets it: all faults at once, one line each, exit code 2, nothing written."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import pytest

from goniometer.config import Study
from goniometer.errors import Faults
from goniometer.model import LanguageModel, skeleton
from goniometer.model.reference import find
from goniometer.rollouts import Rollout, RolloutSet
from goniometer.seeds import derive
from goniometer.study.plan import make_plan
from goniometer.study.preflight.contexts import check_contexts, check_rows
from goniometer.tasks import AbstractTask, Correct, Grade, Problem, Split, Wrong
from tests.conftest import Command
from tests.fake_hub import FakeHub, serving
from tests.small_study import ARMS, SMALL, refused, study_file
from tests.test_cli import goniometer


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


def test_what_a_file_says_wrongly_hides_no_other_fault(tmp_path: Path, command: Command):
    """A step too large ends the reading of the file; what is left of it is asked for more."""
    arms = [*ARMS[:3], ARMS[3] | {"options": {"beta": 1e6}}]
    study = study_file(
        tmp_path,
        training={"learning_rate": 2.0},
        models={"teacher": "/nowhere"},
        adapter={"target_modules": ["q_proj", "w_proj"]},
        arms=arms,
    )
    found = refused(command, study)
    wanted = [
        "training.learning_rate: Input should be less than or equal to 1; found 2.0",
        "arms.3: options.beta: Input should be less than or equal to 1000; found 1000000",
        "adapter.target_modules: no linear module of the network has this name; found 'w_proj'",
        "/nowhere: no such model folder",
    ]
    assert len(found) == len(wanted), found
    for text in wanted:
        assert sum(text in line for line in found) == 1, (text, found)


DEFAULTED: dict[str, tuple[dict[str, object], list[str]]] = {
    # With the default rank in its place, k would be too large.
    "of a default": ({"adapter": {"rank": -1}, "geometry": {"k": 17}}, ["adapter.rank"]),
    "of a section": ({"training": {"micro_batches": 3}, "rollouts": {"prompts": 4}}, ["training"]),
    "of an option": (
        {"match": {"to": "SFT"}, "adapter": {"target_modules": ["w_proj"]}},
        ["match.arms", "adapter.target_modules"],
    ),
    "of names": (
        {"floors": {"arms": ["SFX"]}, "geometry": {"k": 17}},
        ["floors.arms", "geometry.k"],
    ),
    "of a required key": (
        {"arms": [{"name": "SFT"}, ARMS[1]], "geometry": {"k": 17}},
        ["arms.0.objective"],
    ),
    "of the base": ({"models": {"base": 5}, "geometry": {"k": 17}}, ["models.base"]),
}


@pytest.mark.parametrize("name", DEFAULTED)
def test_what_a_default_would_do_is_no_fault_of_the_file(
    tmp_path: Path, command: Command, name: str
):
    sections, keys = DEFAULTED[name]
    found = refused(command, study_file(tmp_path, **sections))
    assert len(found) == len(keys), found
    assert all(f"{key}: " in line for key, line in zip(keys, found, strict=True)), found


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
    "no targets": (
        {"adapter": {"target_modules": []}},
        "adapter.target_modules: .*at least 1 item",
    ),
    "subspaces": (
        {"geometry": {"k": 17}},
        r"geometry.k: larger than the smallest rank; found 17, expected at most 16. "
        r"Lower it, or raise adapter.rank",
    ),
    "subspaces of weights": (
        {"geometry": {"k": 65}, "arms": [arm | {"regime": "full"} for arm in ARMS]},
        "geometry.k: larger than the smallest rank; found 65, expected at most 64. Lower it",
    ),
    "divergence": (
        {"divergence": {"max_new_tokens": 250}},
        r"divergence.max_new_tokens: the longest validation prompt .* \d+ \+ 250 tokens",
    ),
    "match itself": (
        {"match": {"to": "SFT", "arms": ["SFT"]}},
        "match.arms: 'SFT' is what they are matched to",
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


@final
@dataclass(frozen=True)
class Verbose(AbstractTask):
    """Short questions, but for the last of those that one seed gives."""

    name: ClassVar[str] = "verbose"
    at: int
    words: int

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        lengths = [1] * (count - 1) + [self.words if seed == self.at else 1]
        return tuple(Problem("Ada " * n, "1", "1 " * n) for n in lengths)

    def grade(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        return Wrong("answer")


USES = {
    "rollouts": ["task: a train prompt", "task: a validation prompt"],
    "test": ["task: a test prompt"],
    "divergence": ["task: a validation prompt"],
    "accuracy along paths": ["task: a validation prompt"],
    "warm-up": ["models.warm_up: the longest pretrain prompt and its solution"],
}


@pytest.fixture(scope="module")
def base() -> LanguageModel:
    return skeleton("embedded:base")


def faults_of(check: Callable[[], None]) -> list[str]:
    faults = Faults()
    with faults.collected():
        check()
    return [str(fault) for fault in faults.found]


def test_prompts_are_those_that_the_stages_ask_for(base: LanguageModel):
    """By their seeds and counts: six times as many may be sampled as are to be mixed."""
    tree = SMALL | {"models": {"warm_up": {}}, "paths": {"accuracy": 10}, "floors": None}
    study = Study.model_validate(tree)
    assert not faults_of(lambda: check_contexts(study, Verbose(study.seed, 300), base))
    for use, wanted in USES.items():
        task = Verbose(derive(study.seed, use), 300)
        found = faults_of(lambda task=task: check_contexts(study, task, base))
        assert len(found) == len(wanted), (use, found)
        assert all(line.startswith(text) for line, text in zip(found, wanted, strict=True))


def test_what_is_sampled_fits_the_teacher_too(base: LanguageModel):
    study = Study.model_validate(SMALL)
    teacher = skeleton("embedded:teacher")
    task = Verbose(derive(study.seed, "rollouts"), 100)
    assert not faults_of(lambda: check_contexts(study, task, base, teacher))
    teacher.network.config.max_position_embeddings = 128  # type: ignore[union-attr]
    found = faults_of(lambda: check_contexts(study, task, base, teacher))
    assert len(found) == 2
    assert all("do not fit the context of embedded:teacher" in line for line in found)


def test_what_arms_make_of_a_file_s_rows_fits_the_context(base: LanguageModel):
    """Each row fits; a new completion of its prompt, or another prompt's, does not."""
    rows = [
        Rollout(name, (5,) * prompt, (6,) * completion, "", (-1.0,) * completion, grade, False)
        for name, prompt, completion in (("a", 200, 20), ("b", 10, 100))
        for grade in (Correct(), Wrong("answer"))
    ]
    for objective, text in (
        ("sft", None),
        ("online_grpo", r"rollouts.max_new_tokens: the longest train prompt .* 200 \+ 64 tokens"),
        ("kto", r"x.parquet: arm: the longest prompt with the longest .* 200 \+ 100 tokens"),
    ):
        arms = [{"name": "arm", "objective": objective}]
        study = Study(name="s", arms=arms, rollouts={"file": "x.parquet"}, floors=None)
        plan = make_plan(study)
        found = faults_of(lambda plan=plan: check_rows(plan, RolloutSet(tuple(rows)), base))
        assert len(found) == (text is not None)
        assert all(re.search(text or "", line) for line in found), found
