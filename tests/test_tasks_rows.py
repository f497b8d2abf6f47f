"""Tasks of rows: files, folders and the Hub; what is no problem is refused; keys of old studies."""

import sys
from pathlib import Path

import pytest

from goniometer import tasks
from goniometer.errors import AbsentError, GoniometerError
from goniometer.tasks import Correct, Wrong
from goniometer.tasks.hub import dataset_rows
from tests.problems import gsm8k, write_rows

HUB = "owner/word-problems"


def rows(first: int, count: int) -> list[dict[str, object]]:
    return [
        {"question": f"How much is {n} + 1?", "answer": f"#### {n + 1}"}
        for n in range(first, first + count)
    ]


@pytest.fixture
def asked(monkeypatch):
    """What `datasets.load_dataset` is asked for, in place of the network."""
    import datasets

    found: list[tuple[object, ...]] = []

    def load(where, *, name, split, revision, streaming):
        assert not streaming  # a task's rows are kept in the user's cache
        found.append((where, name, split, revision))
        return rows(0, 40) if split == "train" else rows(100, 10)

    monkeypatch.setattr(datasets, "load_dataset", load)
    return found


def test_fingerprints_at_the_defaults_are_those_of_studies_made_before_there_were_options(tmp_path):
    old = "gsm8k 28af0938bdcdc25cf3a18af57446f46fd701c2a34aec9a54632eddfaa974c4ad"
    assert gsm8k(tmp_path, rows=40).fingerprint == old
    arithmetic = tasks.build("arithmetic", {}, "study")
    assert arithmetic.fingerprint == "Arithmetic(spacing='words', largest=199, most_steps=3)"
    files = {"file": str(tmp_path / "train.jsonl"), "test_file": str(tmp_path / "test.jsonl")}
    other = tasks.build("gsm8k", files | {"extractor": "flexible"}, "study")
    assert other.fingerprint == f"{old} flexible"


def test_each_extractor_decides_where_it_is_chosen(tmp_path):
    gsm8k(tmp_path, rows=3)
    files = {"file": str(tmp_path / "train.jsonl"), "test_file": str(tmp_path / "test.jsonl")}
    strict, flexible = (
        tasks.build("gsm8k", files | {"extractor": e}, "study") for e in ("strict", "flexible")
    )
    (problem, *_) = strict.problems("test", 1, seed=0)
    said = f"It is {problem.answer}."
    assert strict.grade(problem, said, truncated=False) == Wrong("no_answer")
    assert flexible.grade(problem, said, truncated=False) == Correct()
    for task, other in ((strict, flexible), (flexible, strict)):
        expected = other.grade(problem, said, truncated=False)
        assert task.grade_otherwise(problem, said, truncated=False) == expected


def test_a_name_of_the_hub_is_asked_for_with_its_revision(asked):
    task = tasks.build("gsm8k", {"source": "openai/gsm8k@abc123"}, "study")
    assert sorted(asked) == [
        ("openai/gsm8k", "main", split, "abc123") for split in ("test", "train")
    ]
    assert len(task.problems("test", 99, seed=0)) == 10
    asked.clear()
    tasks.build("file", {"source": HUB, "test_source": f"{HUB}@v2", "test_subset": "hard"}, "study")
    assert set(asked) == {(HUB, None, "train", "main"), (HUB, "hard", "test", "v2")}


def test_a_folder_that_is_here_is_never_sent_to_the_hub(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / HUB).mkdir(parents=True)
    tasks.build("gsm8k", {"source": HUB}, "study")
    assert {(where, name, revision) for where, name, _, revision in asked} == {
        (str(tmp_path / HUB), None, None)
    }


def test_a_folder_of_files_is_read_by_datasets_as_the_files_are(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    task = gsm8k(tmp_path / "data", rows=40)
    found = tasks.build("gsm8k", {"source": str(tmp_path / "data")}, "study")
    assert found.fingerprint == task.fingerprint
    options = {"source": str(tmp_path / "data"), "test_split": "held_out"}
    with pytest.raises(GoniometerError, match="cannot be read as a data set: Unknown split"):
        tasks.build("gsm8k", options, "study")


def test_without_a_network_one_line_says_what_to_do(monkeypatch):
    import datasets

    def load(*_, **__):
        raise ConnectionError("Couldn't reach\n'openai/gsm8k' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(AbsentError) as caught:  # the study can still be planned
        tasks.build("gsm8k", {"source": "openai/gsm8k"}, "study")
    assert str(caught.value) == (
        "study: task: openai/gsm8k: the Hub does not give this data set: Couldn't reach "
        "'openai/gsm8k' on the Hub. Download it, and name its files or their folder in its place"
    )


def test_a_data_set_that_breaks_off_is_named_with_its_last_row(monkeypatch):
    import datasets

    def load(*_, **__):
        yield from rows(0, 2)
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(datasets, "load_dataset", load)
    for streamed in (False, True):
        found = dataset_rows(HUB, "train", None, streamed=streamed)
        assert [next(found)[0] for _ in range(2)] == ["train row 1", "train row 2"]
        with pytest.raises(AbsentError, match=f"{HUB}: after row 2: the Hub does not give"):
            next(found)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_datasets_saved_and_what_it_finds_is_the_same_cached_and_streamed(
    tmp_path, monkeypatch, streamed
):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "files").mkdir()
    write_rows(tmp_path / "files" / "train.jsonl", rows(0, 3))
    (tmp_path / "empty").mkdir()
    saved = datasets.Dataset.from_list(rows(0, 3))
    saved.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": saved}).save_to_disk(tmp_path / "several")

    def read(name, split="train", subset=None):
        return list(dataset_rows(str(tmp_path / name), split, subset, streamed=streamed))

    wanted = [(f"train row {n}", row) for n, row in enumerate(rows(0, 3), start=1)]
    assert read("files") == read("one") == read("several") == wanted
    faults = {
        ("files", "test"): "(Unknown|Bad) split",
        ("several", "test"): "no such split; found 'test', expected train",
        ("several", "train", "hard"): "a saved data set has no subsets; found 'hard'",
        ("empty",): "cannot be read as a data set: .* doesn't contain any data files",
        ("nowhere",): "no such folder of data files",
    }
    for arguments, message in faults.items():
        with pytest.raises(GoniometerError, match=message):
            read(*arguments)


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(GoniometerError, match=r"Pip install 'goniometer\[datasets\]'"):
        tasks.build("gsm8k", {"source": "openai/gsm8k"}, "study")


OPTIONS = {
    "no problems are given; expected file and test_file": {},
    "test_file and test_source both give": {"test_file": "a", "test_source": "b/c"},
    "file and source both give": {"file": "a", "source": "b/c"},
    "no such folder of data files": {"source": "./not/here"},
    "without a folder; expected owner/name@revision": {"source": "a/b/c@main"},
    "task.extractor: Input should be 'strict' or 'flexible'": {"extractor": "loose"},
}


@pytest.mark.parametrize("message", OPTIONS)
def test_options_that_give_no_problems_are_refused(message):
    with pytest.raises(GoniometerError, match=message):
        tasks.build("gsm8k", OPTIONS[message], "study")


KEYS = {
    "aime": (["073", 73, "999", "0", 73.0], ["1000", "-1", "7.5", "m+n", "", None, True, [7]]),
    "math": ([r"\frac{1}{2}", "x", 3], ["", None, " "]),
    "file": (["1/2", "$1,200", "so\n#### 5", 5, "50%"], ["many", "", "1/0", "#### ?", None, "3 4"]),
    "gsm8k": (["#### 5", "5 is #### 1/2"], ["5", "#### many", "#### 1/0", None, 5]),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_read_or_refused_with_its_row(name, tmp_path):
    file = tmp_path / "rows.jsonl"
    good, bad = KEYS[name]
    write_rows(file, [{"question": f"Q{n}", "answer": key} for n, key in enumerate(good)])
    task = tasks.build(name, {"test_file": str(file)}, "study")
    for problem in (found := task.problems("test", 9, seed=0)):
        assert task.grade(problem, problem.solution, truncated=False) == Correct()
    assert len(found) == len(good)
    assert task.problems("train", 9, seed=0) == ()
    for key in bad:
        write_rows(
            file, [{"question": "fine", "answer": good[0]}, {"question": "Q", "answer": key}]
        )
        message = rf"(?i)rows.jsonl: row 2: no problem of {name}"
        with pytest.raises(GoniometerError, match=message):
            tasks.build(name, {"test_file": str(file)}, "study")


def test_columns_of_a_file_are_named_and_the_grader_chosen(tmp_path):
    file = tmp_path / "rows.jsonl"
    write_rows(file, [{"ask": "Half of 3?", "key": "1.5", "how": "3 / 2"}])
    options = {"test_file": str(file), "question_key": "ask", "answer_key": "key"}
    endings = {"strict": "#### 3/2", "flexible": "So 1.50", "boxed": r"\boxed{\frac32}",
               "json": '{"answer": "1.5"}', "expression": r"\boxed{\frac{6}{4}}"}  # fmt: skip
    made = {
        name: tasks.build("file", options | {"solution_key": "how", "grader": name}, "study")
        for name in endings
    }
    assert len({task.fingerprint for task in made.values()}) == len(endings)
    for name, ending in endings.items():
        (problem,) = made[name].problems("test", 2, seed=0)
        for text in (ending, problem.solution):
            assert made[name].grade(problem, text, truncated=False) == Correct()
        assert made[name].grade(problem, ending, truncated=True) == Wrong("truncated")
        assert problem.solution.startswith("3 / 2")


def test_original_math_rows_have_their_answer_in_the_solution(tmp_path):
    file = Path(tmp_path / "rows.jsonl")
    write_rows(
        file, [{"problem": "Half?", "solution": r"It is $\boxed{\frac{1}{2}}$.", "level": 1}]
    )
    (problem,) = tasks.build("math", {"test_file": str(file)}, "s").problems("test", 2, seed=0)
    assert (problem.answer, problem.solution[-4:]) == (r"\frac{1}{2}", "}}$.")
