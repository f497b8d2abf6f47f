"""Rollouts in files: what is read is what was written, and a bad line is named."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goniometer.errors import GoniometerError
from goniometer.rollouts import Rollout, RolloutSet, sources
from goniometer.tasks import Correct, Ungraded, Wrong, grade_to_text
from tests.rollouts_factory import RIGHT, WRONG, graded

tokens = st.lists(st.integers(0, 2**40), min_size=1, max_size=5).map(tuple)

grades = st.sampled_from([Correct(), Wrong("answer"), Wrong("no_answer"), Ungraded("a: b\n")])

logprobs = st.floats(max_value=0, allow_infinity=False, allow_nan=False)

completions = st.tuples(
    st.lists(st.tuples(st.integers(0, 2**40), logprobs), min_size=1, max_size=5),
    st.text(),
    grades,
    st.booleans(),
)

groups = st.dictionaries(
    st.text(min_size=1),
    st.tuples(tokens, st.lists(completions, min_size=1, max_size=3)),
    min_size=1,
    max_size=4,
)


def build(groups):
    """Rollouts of what `groups` drew: problem id -> prompt and completions."""
    rows = []
    for name, (prompt, completions) in groups.items():
        for scored, text, grade, truncated in completions:
            ids, values = zip(*scored, strict=True)
            rows.append(Rollout(name, prompt, ids, text, values, grade, truncated))
    return RolloutSet(tuple(rows))


def to_json_lines(rollouts: Iterable[Rollout]) -> str:
    return "".join(
        json.dumps(asdict(row) | {"grade": grade_to_text(row.grade)}) + "\n" for row in rollouts
    )


@given(groups=groups)
@settings(max_examples=60)
def test_files_give_back_what_was_written_and_equal_rollouts_are_equal_bytes(
    tmp_path_factory, groups
):
    rollouts = build(groups)
    folder = tmp_path_factory.mktemp("rollouts")
    sources.save(rollouts, folder / "a.parquet")
    read = sources.read(folder / "a.parquet")
    assert read == rollouts
    assert read.fingerprint == rollouts.fingerprint
    sources.save(read, folder / "b.parquet")
    assert (folder / "a.parquet").read_bytes() == (folder / "b.parquet").read_bytes()
    (folder / "a.jsonl").write_text(to_json_lines(rollouts.rows))
    assert sources.read(folder / "a.jsonl") == rollouts


GOOD = [graded("a", (7, 1), RIGHT), graded("a", (8, 1), WRONG)]


def with_change(**changes):
    line = json.loads(to_json_lines([graded("b", (9, 1), RIGHT)])) | changes
    return json.dumps({key: value for key, value in line.items() if value != "dropped"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 3: not JSON"),
        ("[]", "line 3: .*; expected the keys problem_id, prompt_tokens, "),
        (with_change(text="dropped"), "line 3: text: Field required; expected a text"),
        (
            with_change(reward=1),
            "line 3: reward: Extra inputs are not permitted; expected the",
        ),
        (with_change(problem_id=7), "line 3: problem_id: .*; found 7, expected a text"),
        (with_change(prompt_tokens=[]), r"prompt_tokens: .*; found \[\], expected a list of token"),
        (with_change(completion_tokens=[9, 1.5]), r"line 3: completion_tokens.1: .*; found 1.5"),
        (with_change(completion_tokens=[-1, 1]), r"line 3: completion_tokens.0: .*; found -1"),
        (
            with_change(logprobs=[-1.0]),
            "line 3: not one log-prob a completion token: 1 logprobs",
        ),
        (with_change(logprobs=[0.5, -1]), "line 3: logprobs.0: .*; found 0.5, expected one log-pr"),
        (with_change(logprobs=[float("nan"), -1]), "line 3: logprobs.0: .*; found nan"),
        (
            with_change(grade="right"),
            "line 3: grade: not a grade.*found 'right', expected correct",
        ),
        (with_change(truncated="no"), "line 3: truncated: .*; found 'no', expected true or false"),
    ],
)
def test_a_bad_line_is_named_with_key_found_and_expected(tmp_path, line, message):
    file = tmp_path / "rollouts.jsonl"
    file.write_text(to_json_lines(GOOD) + line)
    with pytest.raises(GoniometerError, match=message) as caught:
        sources.read(file)
    assert str(file) in str(caught.value)


def test_rows_of_one_problem_must_stand_together(tmp_path):
    rows = [*GOOD, graded("b", (9, 1), RIGHT), replace(GOOD[0], text="again")]
    sources.save(RolloutSet(tuple(rows)), tmp_path / "r.parquet")
    with pytest.raises(GoniometerError, match="row 4: problem_id: the rows of one problem stand"):
        sources.read(tmp_path / "r.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.jsonl", None, "no such file of rollouts"),
        ("r.jsonl", b"", "no rollouts in the file"),
        ("r.parquet", b"PAR1 and no more", "not a whole Parquet file"),
        ("r.csv", b"a,b", "expected a name in .parquet or .jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(GoniometerError, match=message):
        sources.read(file)
