"""Evaluation logs: each format read as its tool means it, and each fault said in one line."""

import json
import random
from pathlib import Path

import pytest

from goniometer.errors import GoniometerError
from goniometer.logs import FORMATS, Log, read_log
from goniometer.logs.grading import graded
from tests.log_factory import (
    inspect_eval,
    inspect_json,
    inspect_log,
    lines,
    lm_eval,
    lm_eval_row,
    sample,
    zstandard_eval,
)


def scores(log: Log) -> list[bool | None]:
    return [item.score for item in log.items]


def test_lm_eval_is_read_by_one_filter(tmp_path: Path) -> None:
    rows = [lm_eval_row(i, float(i % 2)) for i in range(4)]
    rows += [lm_eval_row(i, 1.0, filter="flexible-extract") for i in range(4)]
    path = lines(tmp_path / "samples_gsm8k_2026-01-02T03-04-05.678.jsonl.gz", rows)
    with pytest.raises(GoniometerError, match=r"found strict-match, flexible-extract.*--filter"):
        read_log(path)
    log = read_log(path, filter="strict-match")
    assert scores(log) == [False, True, False, True]
    assert [item.grade for item in log.items][:2] == ["wrong:no_answer", "correct"]
    assert (log.source, log.task, log.metric) == ("lm-eval", "gsm8k", "exact_match")
    assert scores(read_log(path, filter="flexible-extract")) == [True] * 4
    with pytest.raises(GoniometerError, match="no such filter"):
        read_log(path, filter="loose")


def test_a_chat_template_is_no_part_of_what_was_asked(tmp_path: Path) -> None:
    one = read_log(lm_eval(tmp_path / "a.jsonl", [1, 0], model="a"))
    other = read_log(lm_eval(tmp_path / "b.jsonl", [0, 0], model="b"))
    assert [item.key for item in one.items] == [item.key for item in other.items]
    assert len({item.key for item in one.items}) == 2
    assert one.items[0].prompt != other.items[0].prompt


@pytest.mark.parametrize("write", [inspect_json, inspect_eval, zstandard_eval])
def test_inspect_is_one_log_in_each_container(write, tmp_path: Path) -> None:
    cut = {"choices": [{"message": {"content": "..."}, "stop_reason": "max_tokens"}]}
    rows = [
        sample(0, "C"),
        sample(1, "I"),
        sample(2, "N"),
        sample(3, float("nan")),
        sample(4, 1.0, output=cut),
        sample(5, None, scores=None, error={"message": "server gone"}),
    ]
    log = read_log(write(tmp_path / "log", rows))
    grades = [item.grade for item in log.items]
    assert grades[:3] == ["correct", "wrong:answer", "wrong:no_answer"]
    assert grades[3:] == ["ungraded:could not be scored", "correct", "ungraded:error: server gone"]
    assert [item.truncated for item in log.items[3:5]] == [False, True]
    assert log.items[4].responses == ("...",)
    plain = read_log(
        inspect_json(tmp_path / "plain.json", [sample(0, "C", input="What is 0 + 0?")])
    )
    assert plain.items[0].key == log.items[0].key, "a text is a user's message; ids are no content"


def test_several_scorers_need_a_name(tmp_path: Path) -> None:
    both = {"match": {"value": "C"}, "judge": {"value": {"kind": 1, "true": 0}}}
    path = inspect_json(tmp_path / "a.json", [sample(0, None, scores=both)])
    with pytest.raises(GoniometerError, match=r"found match, judge\.kind, judge\.true.*--metric"):
        read_log(path)
    assert scores(read_log(path, metric="judge.kind")) == [True]
    assert scores(read_log(path, metric="judge.true")) == [False]


def test_generic_rows(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "correct": True},
        {"id": 2, "correct": 0, "finish_reason": "length"},
        {"id": 3, "correct": None},
    ]
    log = read_log(lines(tmp_path / "a.jsonl", rows))
    assert [item.grade for item in log.items] == [
        "correct", "wrong:truncated", "ungraded:null in the log",
    ]  # fmt: skip
    other = lines(tmp_path / "b.jsonl", [{"id": 1, "judge": 1, "n": 3}])
    with pytest.raises(GoniometerError, match="--metric"):
        read_log(other)
    assert scores(read_log(other, metric="judge")) == [True]


def test_answers_are_graded_and_a_key_that_does_not_parse_is_never_right(tmp_path: Path) -> None:
    said = ['{"answer": "18"}', '{"answer": "7"} of 18', "nothing", '{"answer": "x"}']
    golds = [18.0, 18.0, 18.0, "x"]
    rows = [
        {"id": f"q{i}", "output": text, "gold": gold}
        for i, (text, gold) in enumerate(zip(said, golds, strict=True))
    ]
    log, others = graded(read_log(lines(tmp_path / "a.jsonl", rows)), "gsm8k")
    assert [item.grade for item in log.items][:3] == [
        "correct", "wrong:answer", "wrong:no_answer",
    ]  # fmt: skip
    assert log.items[3].score is None
    assert log.filter == "json"
    assert others == {"flexible": 1}, "the flexible extractor reads 18 in the second"
    with pytest.raises(GoniometerError, match="1 of 4"):
        graded(read_log(tmp_path / "a.jsonl"), "gsm8k", "strict")


FAULTS = {
    "twice": ([lm_eval_row(0, 1.0), lm_eval_row(0, 1.0)], "an id that stands twice"),
    "half": (
        [lm_eval_row(0, 1.0), lm_eval_row(1, 0.5)],
        "line 2, doc_id 1, exact_match.*found 0.5",
    ),
    "no score": ([lm_eval_row(0, 1.0) | {"exact_match": None}], "line 1.*exact_match"),
    "partial": (inspect_log([sample(0, "C"), sample(1, "P")]), 'id 1, match.*found "P"'),
    "repeated": (inspect_log([sample(0, "C"), sample(0, "C")]), "an id that stands twice"),
    "invalidated": (inspect_log([sample(0, "C")]) | {"invalidated": True}, "invalidated"),
    "header": ({"eval": {}, "status": "success"}, "without samples"),
    "summary": ({"results": {"gsm8k": {}}, "config": {}}, "--log_samples"),
    "list": ([[1, 2]], "entry 1: no JSON object"),
    "unknown": ([{"text": "hello"}], "no known format"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_the_item(fault: str, tmp_path: Path) -> None:
    value, message = FAULTS[fault]
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(value)) if isinstance(value, dict) else lines(path, value)
    with pytest.raises(GoniometerError, match=message):
        read_log(path)


def test_a_line_that_is_not_json_is_named_by_its_number(tmp_path: Path) -> None:
    path = lm_eval(tmp_path / "a.jsonl", [1, 0, 1])
    path.write_bytes(path.read_bytes().replace(b'{"doc_id": 2', b"{doc_id: 2"))
    with pytest.raises(GoniometerError, match="line 3: not JSON"):
        read_log(path)


def test_an_unfinished_archive_is_said_to_be_one(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.eval", "w") as archive:
        archive.writestr("_journal/start.json", "{}")
    with pytest.raises(GoniometerError, match="has not ended"):
        read_log(tmp_path / "a.eval")


def test_malformed_logs_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    sources = [
        lm_eval(tmp_path / "a", [1, 0, 1]).read_bytes(),
        inspect_json(tmp_path / "b", [sample(0, "C"), sample(1, "I")]).read_bytes(),
        inspect_eval(tmp_path / "c", [sample(0, "C"), sample(1, "I")]).read_bytes(),
        zstandard_eval(tmp_path / "d", [sample(0, "C"), sample(1, "I")]).read_bytes(),
        lines(tmp_path / "e", [{"id": 1, "output": "2", "gold": 3}]).read_bytes(),
        lines(tmp_path / "f.gz", [{"id": 1, "correct": 1}]).read_bytes(),
    ]
    odd = [b"null", b"[]", b"{}", b"NaN", b"-1", b'"\\ud800"', b"1e999", b"\xff", b"", b"[" * 3000]
    rng = random.Random(5)
    refused = read = 0
    for trial in range(600):
        data = bytearray(sources[trial % len(sources)])
        at = rng.randrange(len(data))
        end = min(len(data), at + rng.randrange(1, 12))
        data[at:end] = rng.choice(odd) if trial % 2 else rng.randbytes(end - at)
        path = tmp_path / "fuzzed"
        path.write_bytes(data)
        try:
            read_log(path)
        except GoniometerError as error:
            refused += "\n" not in str(error)
        else:
            read += 1
    assert refused + read == 600
    assert min(refused, read) > 20, "both ends are reached"


VALUES = [None, [], {}, "x", 1.5, True, [None], {"a": []}, [[1, "True"]], -1, "", float("nan")]


def test_every_field_may_hold_anything(tmp_path: Path) -> None:
    rows = [lm_eval_row(0, 1.0), {"id": 1, "output": "x", "gold": 2}, {"id": 1, "correct": 1}]
    documents = [lines(tmp_path / "x", [row | {key: value}]).read_text()
                 for row in rows for key in row for value in VALUES]  # fmt: skip
    inspected = sample(0, "C")
    documents += [json.dumps(inspect_log([inspected | {key: value}]))
                  for key in inspected for value in VALUES]  # fmt: skip
    documents += [
        json.dumps(inspect_log([inspected | {"scores": {"match": value}}])) for value in VALUES
    ]
    documents += [json.dumps(inspect_log([sample(0, value)])) for value in VALUES]
    documents += [json.dumps(inspect_log([inspected]) | {key: value})
                  for key in ("eval", "samples", "status") for value in VALUES]  # fmt: skip
    for text in documents:
        (tmp_path / "x").write_text(text)
        try:
            log = read_log(tmp_path / "x")
        except GoniometerError:
            continue
        assert all(isinstance(item.grade, str) and item.id for item in log.items), text


def test_every_reader_is_in_the_table() -> None:
    folder = Path(__file__).parents[1] / "src/goniometer/logs"
    readers = {path.stem for path in folder.glob("*.py") if "def recognised" in path.read_text()}
    assert len(readers) == len(FORMATS)
