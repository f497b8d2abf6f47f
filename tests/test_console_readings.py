"""What stands in the terminal for a reading: no minus before a zero, and why it is undefined."""

import re

import numpy as np
import pytest
from rich.console import Console

from goniometer.console import behaviour, terminal
from goniometer.report import notation
from goniometer.report.facts.index import Index
from goniometer.report.words import behaviour as words
from goniometer.results import Reading
from tests.behaviour_factory import behaved
from tests.results_factory import results


@pytest.mark.parametrize("digits", [0, 3, 4])
def test_a_number_is_that_of_numpy_rounded_and_never_a_negative_zero(digits: int):
    for value in (-1e-9, -0.0, 0.0, 4e-5, -6e-5, -0.5, -1.25, 3.14159):
        said = terminal.number(Reading(value=value), digits)
        assert float(said) == pytest.approx(np.round(value, digits), abs=1e-12)
        assert said.startswith("-") == (np.round(value, digits) < 0)


def test_each_reason_is_said_once_after_the_tables():
    found = behaved(results(runs=("SFT", "RFT", "DPO"), layers=1)).behaviour
    reason, silent = "the curvatures [/] differ in sign", found.composed[1].by_cosine
    without = [
        one.model_copy(update={"by_cosine": Reading(undefined=reason) if i != 1 else silent})
        for i, one in enumerate(found.composed)
    ]
    console = Console(width=200)
    with console.capture() as told:
        behaviour.print_behaviour(found.model_copy(update={"composed": tuple(without)}), console)
    lines = [line for line in told.get().splitlines() if reason in line]
    (line,) = lines
    assert line.startswith("undefined: ")
    assert line.count("by the cosine, ") == len(without) - 1


def told(found) -> str:
    console = Console(width=200)
    with console.capture() as said:
        behaviour.print_behaviour(found, console)
    return said.get()


def test_cka_is_printed_with_its_tokens_width_positions_and_null():
    found = behaved(results(runs=("SFT", "RFT", "DPO"), layers=1)).behaviour
    text = told(found)
    assert "n = 4096 completion tokens of 200 prompts, d = 128" in text
    null = found.similarity.random_features
    assert f"size give {notation.span(null.low, null.high)}" in text


def test_what_was_not_asked_has_no_columns_and_sums_have_both_predictions():
    found = behaved(results(runs=("SFT", "RFT", "DPO"), layers=1)).behaviour
    text, without = told(found), told(found.model_copy(update={"agreement": (), "divergence": ()}))
    for head in ("same outcome", "kappa", "KL"):
        assert head in text
        assert head not in without
    rows = [line for line in text.splitlines() if re.search(r"SFT +RFT +(sum|mean)", line)]
    low, high = (end.value for end in found.composed[0].by_off_subspace)
    assert len(rows) == 2
    assert all(line.rstrip().endswith(f"{low:.4f} to {high:.4f}") for line in rows)
    lost = [
        one.model_copy(update={"by_off_subspace": (Reading(undefined="no k"),) * 2})
        for one in found.composed
    ]
    said = told(found.model_copy(update={"composed": tuple(lost)})).splitlines()
    (line,) = [line for line in said if line.endswith(": no k")]
    assert line.count("by off subspace, ") == len(lost)


def test_of_a_study_paths_are_of_arms_and_kl_stands_with_sizes():
    said = words.sentences(Index(behaved(results(study=True))))
    assert said[0].startswith("Straight paths: ")
    assert "between runs" not in said[0]
    assert not [one for one in said if one.startswith("KL")]


def test_a_kl_that_is_undefined_is_named_and_no_end():
    found = behaved(results())
    first, *rest = found.behaviour.divergence
    lost = first.model_copy(update={"kl": Reading(undefined="not finite")})
    behaved_so = found.behaviour.model_copy(update={"divergence": (lost, *rest)})
    said = words.sentences(Index(found.model_copy(update={"behaviour": behaved_so})))[0]
    assert said.endswith(f"; undefined for {first.run}.")
    values = sorted(one.kl.value for one in rest)
    for value in (values[0], values[-1]):
        assert notation.significant(value) in said
