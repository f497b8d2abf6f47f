"""GSM8K from files: splits that share no question, answers in every spelling, faults named."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goniometer import tasks
from goniometer.errors import GoniometerError
from goniometer.tasks import Correct, Wrong
from goniometer.tasks.answers import final_answer
from tests.problems import SHARES, SPLITS, gsm8k, write_rows


def row(number: int, question: str | None = None) -> dict[str, str]:
    return {
        "question": question or f"Ada has {number} apples. How many?",
        "answer": f"She has {number} = <<{number}={number}>>{number:,}.\n#### {number:,}",
    }


def build(folder: Path, train, test):
    write_rows(folder / "train.jsonl", train)
    write_rows(folder / "test.jsonl", test)
    files = {"file": str(folder / "train.jsonl"), "test_file": str(folder / "test.jsonl")}
    return tasks.build("gsm8k", files, "study")


def test_every_problem_is_in_one_split_and_the_shares_are_those_of_the_hash(tmp_path):
    task = gsm8k(tmp_path, rows=3000)
    ids = {split: [p.id for p in task.problems(split, 5000, seed=0)] for split in SPLITS}
    assert sum(map(len, ids.values())) == len(set().union(*ids.values())) == 6000
    for split, share in SHARES.items():  # five standard deviations of a binomial count
        assert len(ids[split]) == pytest.approx(3000 * share, abs=5 * (3000 * 0.25) ** 0.5)


def test_a_question_of_the_test_file_trains_nothing_in_whatever_case_and_spacing(tmp_path):
    again = row(7, "ADA  has 7 apples.\nhow many? ")
    task = build(tmp_path, [again, row(8), row(8), row(8, "ada has 8 apples. How many?")], [row(7)])
    elsewhere = [p for split in SPLITS[:3] for p in task.problems(split, 9, seed=0)]
    assert [p.question for p in elsewhere] == [row(8)["question"]]


def test_a_split_does_not_depend_on_the_order_or_the_place_of_the_file(tmp_path):
    rows = [row(number) for number in range(400)]
    (tmp_path / "other").mkdir()
    task = build(tmp_path, rows, [row(999)])
    turned = build(tmp_path / "other", rows[::-1], [row(999)])
    for split in SPLITS:
        ours, theirs = (t.problems(split, 400, seed=3) for t in (task, turned))
        assert ours == theirs
    same = build(tmp_path / "other", rows, [row(999)])
    assert same.fingerprint == task.fingerprint
    assert build(tmp_path / "other", rows[:-1], [row(999)]).fingerprint != task.fingerprint


def test_parquet_is_read_as_json_lines_are(tmp_path):
    lines = gsm8k(tmp_path, rows=20)
    for name in ("train", "test"):
        rows = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    files = {
        k: str(tmp_path / f"{v}.parquet") for k, v in (("file", "train"), ("test_file", "test"))
    }
    assert tasks.build("gsm8k", files, "study").fingerprint == lines.fingerprint


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("#### $1,200", "1200"),
        ("#### -$5.00", "-5"),
        ("#### $-5", "-5"),
        ("#### 72 clips", "72"),
        ("#### 3, 4", "3"),
        ("#### 12,34", "12"),
        ("#### 1,2345", "1"),
        ("#### 1,080.0 dollars", "1080"),
        ("#### apples: 7", None),
        ("#### $", None),
    ],
)
def test_answers_are_read_as_people_write_them(text, answer):
    assert final_answer(text) == answer


def test_the_gold_number_and_no_other_is_correct(tmp_path):
    task = build(tmp_path, [row(1080)], [row(1234567)])
    (problem,) = task.problems("test", 9, seed=0)
    assert problem.answer == "1234567"
    for completion, grade in {
        "#### 1234567.00": Correct(),
        "so\n#### $1,234,567": Correct(),
        "#### 1,234,56": Wrong("answer"),
        "1234567": Wrong("no_answer"),
    }.items():
        assert task.grade(problem, completion, truncated=False) == grade
    assert task.grade(problem, problem.solution, truncated=True) == Wrong("truncated")


FAULTS = {
    "not JSON": (b'{"question": ', "neither JSON lines nor Parquet"),
    "not UTF-8": (b'{"question": "\xff"}', "neither JSON lines nor Parquet"),
    "deep": (b"[" * 100_000, "neither JSON lines nor Parquet|row 1"),
    "a list": (b"[1]\n", r"row 1: no problem of GSM8K; found \[1\]"),
    "no marker": (b'{"question": "How many?", "answer": "7"}', "row 1: no problem of GSM8K"),
    "no question": (b'{"question": " ", "answer": "#### 7"}', "row 1: no problem of GSM8K"),
    "a number": (b'{"question": 3, "answer": "#### 7"}', "expected the texts question and answer"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_problem_is_named_by_file_and_row(tmp_path, fault):
    content, message = FAULTS[fault]
    gsm8k(tmp_path, rows=2)
    (tmp_path / "train.jsonl").write_bytes(content)
    files = {"file": str(tmp_path / "train.jsonl"), "test_file": str(tmp_path / "test.jsonl")}
    with pytest.raises(GoniometerError, match=message) as caught:
        tasks.build("gsm8k", files, "study")
    assert str(tmp_path / "train.jsonl") in str(caught.value)


def test_options_that_a_task_does_not_have_are_named(tmp_path):
    with pytest.raises(
        GoniometerError, match=r"study: task.fiel: unknown option.*'file'"
    ) as caught:
        tasks.build("gsm8k", {"fiel": "a", "test_file": "b"}, "study")
    assert "study: task: b: no such file of problems" in str(caught.value)
    with pytest.raises(GoniometerError, match=r"task.name: unknown task 'gsm'.*'gsm8k'"):
        tasks.build("gsm", {}, "study")
    with pytest.raises(GoniometerError, match=r"task: absent: no such file of"):
        tasks.build("gsm8k", {"file": "a", "test_file": "absent"}, "study")
