"""The warm-up: SFT on the task's own solutions, merged, and from then on the study's base."""

import math
import re
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch

from goniometer.config import Study
from goniometer.errors import GoniometerError
from goniometer.model import completion_logprobs, load
from goniometer.progress import Silent
from goniometer.store import Store
from goniometer.study.plan import make_plan
from goniometer.study.stages import Run, get_rollouts, load_model
from goniometer.study.warm_up import warmed_up, written_solutions
from goniometer.tasks.arithmetic import split_of
from goniometer.training.cell import read_record
from tests.problems import gsm8k

STUDY = {
    "name": "warm",
    "models": {"teacher": "base", "warm_up": {"steps": 8, "prompts": 24, "learning_rate": 3e-3}},
    "rollouts": {"prompts": 2, "held_out_prompts": 2, "samples": 8, "max_new_tokens": 48},
    "training": {"steps": 2, "prompts_per_step": 2},
    "arms": [{"name": "SFT", "objective": "sft"}],
    "floors": None,
}


def started(folder: Path, **models: object) -> Run:
    tree = STUDY | {"models": STUDY["models"] | models}
    study = Study.model_validate(tree)
    return Run(make_plan(study), Store(folder), Silent(), load_model(study, study.models.base))


def arithmetic_of(solution: str) -> tuple[int, tuple[tuple[str, int], ...]]:
    steps = re.findall(r"(\d+) ([-+*]) (\d+) =", solution)
    return int(steps[0][0]), tuple((op, int(n)) for _, op, n in steps)


def warm_up(run: Run) -> tuple[Run, Path]:
    warmed = warmed_up(run)
    return warmed, Path(warmed.base.name)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    return warm_up(started(tmp_path_factory.mktemp("warm")))


def test_the_base_is_peft_s_merge_of_the_adapter_that_was_trained(warm):
    run, folder = warm
    before = load("embedded:base")
    adapted = peft.PeftModel.from_pretrained(before.network, folder / "adapter")
    expected = adapted.merge_and_unload().state_dict()
    found = run.base.network.state_dict()
    assert expected.keys() == found.keys()
    for name, weight in found.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6)
    shipped = load("embedded:base").network.state_dict()
    moved = {name for name in found if not torch.equal(found[name], shipped[name])}
    assert moved == {
        name for name in found if name.split(".")[-2] in ("q_proj", "k_proj", "v_proj", "o_proj")
    }


def test_it_makes_the_solutions_likelier(warm):
    run, folder = warm
    rows = written_solutions(run.base, run.plan.task, run.study.models.warm_up, seed=0).rows
    prompts, completions = zip(
        *((row.prompt_tokens, row.completion_tokens) for row in rows), strict=True
    )
    before, after = (
        sum(
            map(
                sum,
                completion_logprobs(
                    model, prompts, completions, batch_size=24, advance=lambda rows: None
                ),
            )
        )
        for model in (load("embedded:base"), run.base)
    )
    assert after > 0.9 * before  # both below zero
    assert len(read_record(folder / "adapter").losses) == 8


def test_the_solutions_are_those_of_the_pretrain_split_as_the_model_reads_them(warm):
    run, _ = warm
    settings = run.study.models.warm_up
    rows = written_solutions(run.base, run.plan.task, settings, seed=0).rows
    assert len({row.problem_id for row in rows}) == settings.prompts
    assert {split_of(*arithmetic_of(row.text)) for row in rows} == {"pretrain"}
    for row in rows:
        assert row.completion_tokens[-1] == run.base.end_token
        assert run.base.decode(row.completion_tokens) == row.text
        assert row.text.splitlines()[-1].startswith("#### ")


def test_the_same_warm_up_is_found_and_another_is_made(tmp_path):
    first, folder = warm_up(started(tmp_path))
    inode = (folder / "model.safetensors").stat().st_ino
    again, same = warm_up(started(tmp_path))
    assert (same, again.base.fingerprint) == (folder, first.base.fingerprint)
    assert (same / "model.safetensors").stat().st_ino == inode
    hotter = STUDY["models"]["warm_up"] | {"learning_rate": 2e-3}
    assert warm_up(started(tmp_path, warm_up=hotter))[1] != folder


def test_without_a_warm_up_the_base_is_as_it_was(tmp_path):
    run = started(tmp_path, warm_up=None)
    assert warmed_up(run) is run


def test_the_teacher_called_base_is_the_warmed_up_base(warm, tmp_path, monkeypatch):
    run, _ = warm

    def another(*_: object) -> None:
        raise AssertionError("no other model is loaded")

    monkeypatch.setattr("goniometer.study.stages.load_model", another)
    sampled = get_rollouts(replace(run, store=Store(tmp_path)))
    row = sampled.train.rows[0]
    network = run.base.network
    tokens = torch.tensor([[*row.prompt_tokens, *row.completion_tokens]])
    with torch.no_grad():
        logits = network(input_ids=tokens).logits[0, len(row.prompt_tokens) - 1 : -1].double()
    chosen = logits.log_softmax(-1)[torch.arange(len(logits)), list(row.completion_tokens)]
    assert row.logprobs == pytest.approx(chosen.tolist(), abs=1e-4)


def test_a_loss_that_is_not_finite_stops_it(tmp_path):
    run = started(tmp_path)
    run.base.network.model.norm.weight.data[0] = math.nan
    with pytest.raises(
        GoniometerError, match=r"models.warm_up.learning_rate.*not finite.*Lower it"
    ):
        warmed_up(run)
    assert not any(tmp_path.rglob("model.safetensors"))


def test_too_few_problems_are_counted(tmp_path):
    run = started(tmp_path)
    small = replace(run.plan, task=gsm8k(tmp_path, rows=40))
    with pytest.raises(GoniometerError, match=r"prompts: too few.*in the pretrain split of gsm8k"):
        warmed_up(replace(run, plan=small))
