"""Whether a token id means to a base what it meant to a run: by the tokenizer in its folder."""

import json
from pathlib import Path

import pytest

from goniometer.errors import GoniometerError
from goniometer.rollouts.same_tokenizer import require_same_vocabulary
from tests.tiny_model import VOCABULARY, tiny_model


def vocabulary_of(folder: Path, edit) -> Path:
    """A run's folder with the tiny tokenizer, changed."""
    tiny_model().tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"
    tree = json.loads(file.read_text())
    tree = edit(tree) or tree
    file.write_text(json.dumps(tree))
    return folder


def swapped(tree: dict) -> None:
    words = tree["model"]["vocab"]
    words["w7"], words["w9"] = words["w9"], words["w7"]


def added(number: int):
    def add(tree: dict) -> None:
        tree["added_tokens"].append({"id": number, "content": "<tool>", "special": True})

    return add


def without_last(tree: dict) -> None:
    del tree["model"]["vocab"][f"w{VOCABULARY - 1}"]


def one_more(tree: dict) -> None:
    tree["model"]["vocab"]["w999"] = VOCABULARY


def unigram(tree: dict) -> None:
    words = tree["model"]["vocab"]
    tree["model"]["vocab"] = [[word, -1.0] for word in sorted(words, key=words.get)]


@pytest.mark.parametrize(
    "edit",
    [
        lambda tree: None,
        added(VOCABULARY),
        unigram,
        lambda tree: {"model": {"type": "of another kind"}},
    ],
)
def test_the_same_vocabulary_passes_with_tokens_added(tmp_path: Path, edit):
    require_same_vocabulary("run", vocabulary_of(tmp_path, edit), tiny_model())


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (swapped, "'w7'; found id 9, expected id 7"),
        (without_last, "'w79'; found id none, expected id 79"),
        (one_more, "'w999'; found id 80, expected id none"),
        (added(40), "'<tool>'; found id 40, expected id none"),
        (lambda tree: {"version": "1.0"}, "not a tokenizer that can be read"),
        (lambda tree: {"model": {"vocab": {"w4": [4]}}}, "not a tokenizer that can be read"),
    ],
)
def test_another_vocabulary_is_refused(tmp_path: Path, edit, said: str):
    with pytest.raises(GoniometerError) as error:
        require_same_vocabulary("run", vocabulary_of(tmp_path, edit), tiny_model())
    assert str(error.value).startswith(str(tmp_path / "tokenizer.json"))
    assert said in str(error.value)


def test_a_folder_without_a_tokenizer_and_a_link_elsewhere_are_not_asked(tmp_path: Path):
    require_same_vocabulary("run", tmp_path, tiny_model())
    other = vocabulary_of(tmp_path / "other", swapped)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "tokenizer.json").symlink_to(other / "tokenizer.json")
    require_same_vocabulary("run", linked, tiny_model())
