"""A word that is not known: the nearest is named, or all are, in one wording everywhere."""

from pathlib import Path

import pytest

from goniometer.compared import Compared
from goniometer.errors import GoniometerError
from goniometer.gates import parse, trips
from goniometer.objectives import build
from goniometer.options import meant, nearest
from goniometer.study_file import read_study
from tests.results_factory import comparison, results

RUNS = ("SFT", "RFT", "DPO")
OF_RUNS = comparison(runs=RUNS)


def in_a_gate(word: str) -> None:
    trips(parse(f"{word}:norm>1", ["cosine"], ["norm"]), OF_RUNS)


def in_a_comparison(word: str) -> None:
    Compared(results(runs=RUNS)).pair("SFT", word)


def test_meant_is_the_word_that_shares_most():
    assert meant("betta", ["tau", "beta", "alpha"]) == "beta"
    assert meant("", ["a"]) is None
    assert meant("a", []) is None


@pytest.mark.parametrize("ask", [in_a_gate, in_a_comparison])
@pytest.mark.parametrize(
    ("word", "said"), [("DPQ", "Did you mean 'DPO'?"), ("XYZ", "Known are SFT, RFT, DPO")]
)
def test_runs(ask, word: str, said: str):
    with pytest.raises(GoniometerError) as error:
        ask(word)
    assert str(error.value).endswith(f"no such run; found {word!r}. {said}")
    assert nearest(word, RUNS) == said[0].lower() + said[1:]


def test_keys_of_a_study_and_options(tmp_path: Path):
    path = tmp_path / "study.yaml"
    for key, said in (("rnak", "Did you mean 'rank'?"), ("Q", "Known are rank, alpha, target_mod")):
        path.write_text(f"name: x\narms: [{{name: a, objective: sft}}]\nadapter: {{{key}: 1}}\n")
        with pytest.raises(GoniometerError, match="unknown key") as error:
            read_study(path)
        assert f"adapter.{key}: unknown key. {said}" in str(error.value)
    for option, said in (("betta", "Did you mean 'beta'?"), ("Q", "Known are beta, pairs_per")):
        with pytest.raises(GoniometerError, match="unknown option") as error:
            build("dpo", {option: 1}, "s.yaml")
        assert f"options.{option}: unknown option. {said}" in str(error.value)


def test_a_long_list_is_cut():
    known = [f"layer.{number}" for number in range(1000)]
    line = str(GoniometerError("no such scope", fix=nearest("?", known)))
    assert line.startswith("no such scope. Known are layer.0, layer.1, ")
    assert line.endswith("...")
    assert len(line) < 600
