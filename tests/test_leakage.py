"""What a study measures on and a file of rollouts trains on: the test refused, the rest told."""

import json
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from goniometer.model import LanguageModel, skeleton
from goniometer.rollouts import Rollout
from goniometer.seeds import derive
from goniometer.study.preflight import examine
from goniometer.study.preflight.leakage import LEAST, asked_in
from goniometer.study_file import read_study
from goniometer.tasks import TASKS, Correct, Problem
from tests.conftest import Command

END = "<end>"
LONG = Problem("Ada has 3 apples, and buys 4 more. How many has she now?", "7", "")
SHORT = Problem("How much is 3 - 4?", "-1", "")


@pytest.fixture(scope="module")
def by_bytes() -> LanguageModel:
    """A base whose tokenizer can write every text, and whose template says something around it."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate([*letters, END])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END)
    tokenizer.chat_template = "Be brief. {{ messages[0]['content'] }} Answer:"
    return LanguageModel(skeleton("embedded:base").network, tokenizer, "bytes")


def prompt(text: str, base: LanguageModel, problem_id: str = "p") -> Rollout:
    return Rollout(problem_id, base.encode_prompt(text), (1,), "", None, Correct(), False)


SAME = [
    (LONG, LONG.question),
    (LONG, "  ada HAS 3 apples , and buys 4 more.\nHow many has she now ?"),
    (LONG, f"Think step by step. {LONG.question} End with ####."),
    (LONG, f"Q: 1 + 1? A: 2\n\nQ: {LONG.question} A: 7\n\nQ: And 2 + 2? A:"),
    (SHORT, "how much is 3-4 ?"),
]
OTHER = [
    (LONG, "Ada has 3 apples, and buys 5 more. How many has she now?"),
    (LONG, "Ada has 3 apples, and buys 4 more."),
    (SHORT, "How much is 3 + 4?"),
    (SHORT, f"Think. {SHORT.question}"),  # too short to be more than chance
]


@pytest.mark.parametrize(("problem", "text"), [*SAME, *OTHER])
def test_a_question_is_found_in_other_spelling_and_within_others(by_bytes, problem, text):
    rows = [prompt("Something else", by_bytes, "q"), prompt(text, by_bytes)]
    expected = [(rows[1], problem)] if (problem, text) in SAME else []
    assert list(asked_in(rows, [LONG, SHORT], by_bytes)) == expected


def test_a_question_that_the_tokenizer_cannot_write_is_found_by_id_or_tokens_alone():
    base = skeleton("embedded:base")
    strange = Problem("Zürich has 3 apples .", "3", "")
    other = Problem("Genève has 3 apples .", "3", "")
    decoded = [base.decode(base.encode_prompt(one.question)) for one in (strange, other)]
    assert decoded[0] == decoded[1]  # the name is lost: equal words are no equal questions
    rows = [prompt("Ada has 3 apples .", base), prompt("Ben has 3 apples .", base, strange.id)]
    assert list(asked_in(rows, [strange], base)) == [(rows[1], strange)]
    assert list(asked_in([prompt(" has 3 apples .", base, "s")], [strange], base)) == []


ARMS = [{"name": "SFT", "objective": "sft"}, {"name": "DPO", "objective": "dpo"}]


def study_on(prompts: list[str], folder: Path, **sections: object) -> Path:
    """Write a study of 16 prompts and 8 held out, and their file: a right and a wrong row each."""
    rows = [
        {"prompt": text, "completion": f"#### {label}", "label": label}
        for text in prompts
        for label in (0, 1)
    ]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = {
        "name": "small",
        "rollouts": {"prompts": 16, "held_out_prompts": 8, "file": str(folder / "texts.jsonl")},
        "training": {"steps": 2},
        "evaluation": {"problems": 20},
        "arms": ARMS,
        "floors": None,
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(tree | sections))
    return folder / "study.yaml"


PLAIN = [f"Ada has {n} apples ." for n in range(2, 26)]


def validation(seed: str, count: int) -> list[str]:
    found = TASKS["arithmetic"]().problems("validation", count, derive(0, seed))
    return [problem.question for problem in found]


def test_a_test_problem_among_the_examples_of_a_prompt_is_refused(tmp_path: Path, command: Command):
    planted = TASKS["arithmetic"]().problems("test", 20, derive(0, "test"))[-1].question
    assert len(planted.split()) >= LEAST
    study = study_on([*PLAIN[:10], f"{PLAIN[0]} {planted} {PLAIN[1]}", *PLAIN[10:]], tmp_path)
    code, printed, (line,) = command("study", study, "-o", tmp_path / "out")
    assert (code, printed) == (2, "")
    assert "texts.jsonl: problem_id: 1 of 25 prompts are test problems of arithmetic" in line
    assert planted[:30] in line
    assert not (tmp_path / "out").exists()


def test_what_else_is_measured_on_and_trained_on_is_told_by_count(tmp_path: Path):
    kl, paths, accuracy = (
        validation(*of)
        for of in (("divergence", 100), ("fixed texts", 64), ("accuracy along paths", 9))
    )
    trained = [*kl[:3], *paths[:2], accuracy[0]]
    apart = [kl[5]]  # held out: likelihood is measured there, and nothing trained
    counts = [sum(one in trained for one in asked) for asked in (kl, accuracy, paths)]
    sections = {"paths": {"problems": 64, "accuracy": 9}, "similarity": None}
    study = study_on([*trained, *PLAIN[:10], *apart, *PLAIN[10:]], tmp_path, **sections)
    found = examine(read_study(study), tmp_path / "out", fetch=False)
    assert not found.faults.found
    assert found.plan.notes == (
        f"KL from the base is measured on {counts[0]} of 100 validation problems that "
        "texts.jsonl trains on",
        f"accuracy along paths is measured on {counts[1]} of 9 validation problems that "
        "texts.jsonl trains on",
        f"paths and similarity leave out {counts[2]} of 64 validation problems that "
        "texts.jsonl trains on",
    )
    assert min(counts) > 0
    assert set(found.plan.notes) <= set(found.warnings)
    clean = examine(read_study(study_on(PLAIN, tmp_path)), tmp_path / "out", fetch=False)
    assert clean.plan.notes == ()
