"""Rollouts that others wrote: layouts, labels, names, encoding; each bad line is named."""

import gzip
import json
import threading
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, final

import pytest
from trl.data_utils import extract_prompt

from goniometer.config import Rollouts
from goniometer.errors import GoniometerError
from goniometer.model import skeleton
from goniometer.rollouts import sources
from goniometer.rollouts.foreign import Source, encode, read
from goniometer.rollouts.foreign.encode import UNKNOWN
from goniometer.rollouts.foreign.ids import distinct
from goniometer.rollouts.foreign.said import grade_of
from goniometer.rollouts.given import read_given
from goniometer.tasks import (
    TASKS,
    AbstractTask,
    Correct,
    Ungraded,
    Wrong,
    build,
    grade_to_text,
)
from tests.problems import write_rows
from tests.tiny_model import END, tiny_model

GROUP = {
    "idx": 0,
    "question": "w5 w6\n",
    "ground_truth": "72",
    "outputs": [
        {"response": "w7", "label": True},
        {"response": "w8", "label": "False"},
        {"response": "w9", "label": "[invalid]"},
        {"response": "w7", "label": "True"},
    ],
}


def lines(folder, *records, name="r.jsonl"):
    file = folder / name
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)


def said(*arguments, **options):
    return list(distinct(read(Source(*arguments, **options))))


def test_groups_come_in_as_they_are_labelled_and_invalid_is_ungraded(tmp_path):
    model = tiny_model()
    found = encode(said(lines(tmp_path, GROUP)), model)
    rows = found.rollouts.rows
    assert [r.grade for r in rows] == [Correct(), Wrong("answer"), Ungraded("[invalid]"), Correct()]
    assert {r.prompt_tokens for r in rows} == {model.encode_prompt("w5 w6")}
    assert [r.completion_tokens for r in rows] == [
        model.encode_completion(o["response"]) for o in GROUP["outputs"]
    ]
    assert [r.logprobs for r in rows] == [None] * 4
    assert found.counts.unsaid == 4
    file = tmp_path / "r.parquet"
    sources.save(found.rollouts, file)
    assert sources.read(file) == found.rollouts
    assert not list(tmp_path.glob(".r*"))


def test_lists_of_texts_with_labels_beside_them_are_groups(tmp_path):
    record = {"problem": "w5", "generations": ["w7", "w8"], "verified": [True, False]}
    found = said(lines(tmp_path, record), fields={"label": "verified"})
    assert [row.grade for row in found] == [Correct(), Wrong("answer")]


def test_rows_that_stand_apart_are_brought_together_and_limits_count_prompts(tmp_path):
    rows = [
        {"prompt": f"w{5 + i % 3}", "completion": f"w{10 + i}", "label": i % 2} for i in range(9)
    ]
    source = lines(tmp_path, *rows)
    found = encode(said(source), tiny_model(), prompts=2, samples=2).rollouts
    assert [row.text for row in found.rows] == ["w10", "w13", "w11", "w14"]
    everything = encode(said(source), tiny_model()).rollouts
    assert [len(indices) for _, indices in everything.groups()] == [3, 3, 3]


TALK = [{"role": "user", "content": "w5"}]
YES, NO = ({"role": "assistant", "content": text} for text in ("w7", "w8"))


def test_pairs_are_two_rows_of_one_prompt_and_share_it_as_trl_says(tmp_path):
    pair = {"chosen": [*TALK, YES], "rejected": [*TALK, NO]}
    oracle = extract_prompt(dict(pair))
    written = [
        pair,
        {"prompt": TALK, "chosen": [YES], "rejected": [NO]},
        {"prompt": "w5", "chosen": "w7", "rejected": "w8"},
        {"chosen": "\n\nHuman: w5\n\nAssistant: w7", "rejected": "\n\nHuman: w5\n\nAssistant: w8"},
    ]
    for record in written:
        good, bad = said(lines(tmp_path, record))
        assert [turn._asdict() for turn in good.prompt] == oracle["prompt"]
        assert good.prompt == bad.prompt
        assert [good.completion] == [turn["content"] for turn in oracle["chosen"]]
        assert [bad.completion] == [turn["content"] for turn in oracle["rejected"]]
        assert (good.grade, bad.grade) == (Correct(), Wrong("answer"))


def test_samples_of_lm_eval_keep_their_scores(tmp_path):
    record = {
        "doc_id": 0,
        "doc": {"question": "w5", "answer": "7"},
        "target": "7",
        "arguments": {"gen_args_0": {"arg_0": "w5", "arg_1": {}}},
        "resps": [["w7"]],
        "filtered_resps": ["w7"],
        "filter": "strict-match",
        "metrics": ["exact_match"],
        "doc_hash": "d",
        "prompt_hash": "p",
        "target_hash": "t",
        "exact_match": 1.0,
    }
    (row,) = said(lines(tmp_path, record, name="samples_gsm8k_1.jsonl"))
    assert (row.completion, row.grade, row.gold) == ("w7", Correct(), "7")


def test_a_folder_is_read_through_datasets(tmp_path):
    lines(tmp_path, *({"prompt": "w5", "completion": f"w{i}", "label": i} for i in range(2)))
    assert [row.grade for row in said(str(tmp_path))] == [Wrong("answer"), Correct()]


def test_what_the_tokenizer_cannot_write_is_left_out_and_counted(tmp_path):
    model = skeleton("embedded:base")
    rows = [
        {"prompt": "Ada has 3 apples .", "completion": text, "label": 1}
        for text in ("#### 3", "Zürich", "#### 4")
    ]
    found = encode(said(lines(tmp_path, *rows)), model)
    assert [row.text for row in found.rollouts.rows] == ["#### 3", "#### 4"]
    assert found.counts.dropped == Counter({UNKNOWN: 1})
    assert "line 2" in found.counts.first[UNKNOWN]
    with pytest.raises(GoniometerError, match="no row can be used; found 1 times a text for which"):
        encode(said(lines(tmp_path, rows[1])), model)


def test_truncated_rows_have_no_end_token_and_log_probs_must_fit(tmp_path):
    rows = [
        {"prompt": "w5", "completion": "w7", "label": 1, "finish_reason": "length"},
        {"prompt": "w5", "completion": "w7", "label": 1, "finish_reason": "stop", "logprobs": [-1]},
        {"prompt": "w5", "completion": "w7", "label": 1, "truncated": False, "logprobs": [-1, -2]},
    ]
    found = encode(said(lines(tmp_path, *rows)), tiny_model())
    first, second, third = found.rollouts.rows
    assert first.truncated
    assert END not in first.completion_tokens
    assert second.completion_tokens == (*first.completion_tokens, END)
    assert (second.logprobs, third.logprobs) == (None, (-1.0, -2.0))
    assert (found.counts.logprobs, found.counts.unsaid) == (1, 0)


def test_a_task_grades_again_by_the_file_s_answer_key(tmp_path):
    rows = [
        {"prompt": "Ada", "completion": text, "label": 1, "gold": gold}
        for text, gold in (("#### 3", "3"), ("#### 4", "3"), ("#### 3", None))
    ]
    found = encode(
        said(lines(tmp_path, *rows)), skeleton("embedded:base"), task=TASKS["arithmetic"]()
    )
    graded = [grade_to_text(row.grade) for row in found.rollouts.rows]
    assert graded == ["correct", "wrong:answer", "ungraded:no answer key to grade with"]
    assert (found.counts.agreed, found.counts.differ) == (1, 1)


@final
@dataclass(frozen=True)
class Together(AbstractTask):
    """Grades only where four grades are under way at once; odd rows are right."""

    at_once: ClassVar[int] = 4
    met: threading.Barrier = field(default_factory=lambda: threading.Barrier(4))

    def problems(self, split, count, seed):
        return ()

    def grade(self, problem, completion, *, truncated):
        self.met.wait(timeout=5)  # alone, it breaks: ungraded
        return Correct() if int(completion[1:]) % 2 else Wrong("tests")


def test_a_task_grades_as_many_rows_at_once_as_it_can_and_only_those_that_are_wanted(tmp_path):
    rows = [
        {"prompt": f"w{5 + i % 4}", "completion": f"w{10 + i}", "gold": "", "label": i < 6}
        for i in range(12)
    ]
    found = encode(said(lines(tmp_path, *rows)), tiny_model(), task=Together(), samples=2)
    assert [row.text for row in found.rollouts.rows] == [
        f"w{i}" for a in range(10, 14) for i in (a, a + 4)
    ]
    assert [row.correct for row in found.rollouts.rows] == [
        int(row.text[1:]) % 2 == 1 for row in found.rollouts.rows
    ]
    assert (found.counts.agreed, found.counts.differ) == (4, 4)  # of the eight that are kept


def test_a_row_without_a_key_is_graded_by_the_task_s_problem_with_its_question(tmp_path):
    write_rows(tmp_path / "key.jsonl", [{"question": "Ada \n", "answer": "so\n#### 3"}])
    task = build("gsm8k", {"test_file": str(tmp_path / "key.jsonl")}, "--task")
    rows = [
        {"prompt": prompt, "completion": "#### 3"} | gold
        for prompt, gold in (("Ada", {}), ("Ada", {"gold": "4"}), ("Ben", {}))
    ]
    found = encode(said(lines(tmp_path, *rows)), skeleton("embedded:base"), task=task)
    graded = [grade_to_text(row.grade) for row in found.rollouts.rows]
    assert graded == ["correct", "wrong:answer", "ungraded:no answer key to grade with"]


@pytest.mark.parametrize("label", [0.7, float("nan"), [1], -1])
def test_a_label_that_is_neither_right_nor_wrong_is_refused(label):
    with pytest.raises(GoniometerError, match="neither right nor wrong"):
        grade_of(label, "r.jsonl")


A = {"problem_id": "a", "prompt": "w5", "completion": "w7", "label": 1}


@pytest.mark.parametrize(
    ("records", "fields", "message"),
    [
        ([A, A | {"prompt": "w6"}], {}, "line 2: one id of two prompts; found 'a'"),
        ([A, A | {"problem_id": "b"}], {}, "line 2: one prompt under two ids; found 'a' and 'b'"),
        ([A, A], {"id": "problem_id"}, "line 2: a row's id stands twice; found 'a'"),
        ([A | {"label": 0.5}], {}, "line 1: label: a label that is neither right nor wrong"),
        ([{"a": 1}], {}, "no format that is known here; found the keys a"),
        ([A], {"labl": "x"}, "unknown field 'labl'. Did you mean 'label'"),
        ([A], {"label": "nope"}, "line 1: nope: no such key, which --field names for label"),
        ([A | {"prompt": " "}], {}, "line 1: prompt: an empty prompt"),
        ([{"chosen": "a", "rejected": "b"}], {}, "a pair of plain texts without a prompt"),
        ([], {}, "no rollouts in it"),
    ],
)
def test_bad_input_is_named_by_its_line(tmp_path, records, fields, message):
    with pytest.raises(GoniometerError, match=message):
        said(lines(tmp_path, *records), fields=fields)


def test_a_line_that_is_not_json_and_a_source_that_is_not_there(tmp_path):
    file = lines(tmp_path, A)
    with Path(file).open("a") as out:
        out.write("\n{")
    with pytest.raises(GoniometerError, match="line 3: not JSON"):
        said(file)
    with pytest.raises(GoniometerError, match="nothing is fetched without one"):
        said("owner/name")


def test_a_gzipped_file_is_one_by_its_content_and_a_damaged_one_is_one_line(tmp_path):
    plain = lines(tmp_path, *(A | {"completion": f"w{i}"} for i in range(2000)))
    whole, wanted = gzip.compress(Path(plain).read_bytes()), said(plain)
    file = tmp_path / "z.jsonl.gz"
    for name in ("z.jsonl.gz", "z.jsonl"):
        (tmp_path / name).write_bytes(whole)
        found = said(str(tmp_path / name))
        assert [row.completion for row in found] == [row.completion for row in wanted]
    file.write_bytes(Path(plain).read_bytes())
    assert len(said(str(file))) == 2000
    file.write_bytes(whole[:-100])
    with pytest.raises(GoniometerError, match=r"z.jsonl.gz: not a whole gzip file: .* ended"):
        said(str(file))
    with pytest.raises(zlib.error):
        gzip.decompress(damaged := whole[:200] + bytes(50) + whole[250:])
    file.write_bytes(damaged)
    with pytest.raises(GoniometerError, match=r"z.jsonl.gz: not a whole gzip file: Error -3"):
        said(str(file))


def test_a_json_document_is_a_list_of_records_where_it_is_no_log(tmp_path):
    file = tmp_path / "list.json"
    file.write_text(json.dumps([GROUP, GROUP | {"idx": 1, "question": "w8"}], indent=1))
    assert said(str(file)) == [
        replace(row, where=row.where.replace("r.jsonl: line", "list.json: entry"))
        for row in said(lines(tmp_path, GROUP, GROUP | {"idx": 1, "question": "w8"}))
    ]
    settings = Rollouts(file=str(file), format="auto")
    assert len(read_given(settings, tiny_model()).rows) == 8
    file.write_text(json.dumps([{"id": 1, "score": 1}]))
    with pytest.raises(GoniometerError, match="no row can be used; found 1 times the log has no"):
        encode(said(str(file)), tiny_model())
    file.write_text(json.dumps({"results": 1}))
    with pytest.raises(GoniometerError, match=r"list.json: a summary without items"):
        said(str(file))
    with pytest.raises(GoniometerError, match=r"list.json: no list of records"):
        said(str(file), format="texts")


def test_rows_that_are_written_in_groups_are_read_back_as_they_were(tmp_path, monkeypatch):
    rows = [{"prompt": f"w{5 + i // 3}", "completion": "w9 w9", "label": i % 2} for i in range(9)]
    found = encode(said(lines(tmp_path, *rows)), tiny_model()).rollouts
    monkeypatch.setattr(sources, "_GROUP", 2)
    sources.save(found, tmp_path / "r.parquet")
    assert sources.read(tmp_path / "r.parquet") == found


def test_the_verb_writes_what_a_study_reads(tmp_path, command):
    record = {"prompt": "Ada has 3 apples .", "completion": "#### 3", "label": "[invalid]"}
    file, out = lines(tmp_path, record, record | {"label": 1}), tmp_path / "o.parquet"
    code, printed, _ = command("rollouts", file, "--model", "embedded:base", "-o", out)
    assert code == 0
    assert "ungraded: [invalid]" in printed
    assert len(sources.read(out).rows) == 2
    code, _, errors = command("rollouts", file, "--model", "embedded:base", "-o", tmp_path / "o.x")
    assert (code, len(errors)) == (2, 1)
