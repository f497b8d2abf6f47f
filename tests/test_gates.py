"""Gates: what trips, by how much, which way round, and that what is not measured never passes."""

import pytest

from goniometer.errors import GoniometerError
from goniometer.gates import parse, trips
from goniometer.results import AgainstBase, Reading, RunAgainstBase
from tests.results_factory import comparison, measures_of

SIZES = ("norm", "effective_rank", "relative_norm")
RUNS = ("SFT", "RFT", "DPO")
FOUND = comparison(runs=RUNS)


def value(a, b, measure, scope="union"):
    pair = next(p for p in FOUND.pairs if {p.a, p.b} == {a, b})
    return pair.scopes[scope].readings[measure].value


def lines(text, found=FOUND):
    return trips(parse(text, measures_of(0.5), SIZES), found)


def who(text, found=FOUND):
    return [line.removeprefix(f"{text}: ").split(": ")[0] for line in lines(text, found)]


def test_every_pair_is_asked():
    assert who("cosine<0.9") == ["SFT, DPO", "RFT, DPO"]
    assert who("cosine > 0.9") == ["SFT, RFT"]
    assert who("cosine<-0.5") == []


def test_how_far_beyond_is_said():
    cosine = value("SFT", "DPO", "cosine")
    line = lines("SFT,DPO:cosine<0.9")[0]
    assert f"cosine {cosine:.6g}, {0.9 - cosine:.6g} below 0.9" in line
    assert "above 0.5" in lines("SFT,RFT:cosine>0.5")[0]


@pytest.mark.parametrize("op", ["<", "<=", ">", ">="])
def test_the_limit_itself(op):
    exact = value("SFT", "RFT", "cosine")
    assert bool(who(f"SFT,RFT:cosine{op}{exact!r}")) == (op in ("<=", ">="))


def test_scopes():
    at = value("SFT", "RFT", "cosine", "projection.q_proj")
    assert who(f"projection.q_proj:cosine>{at - 1e-9!r}") == ["SFT, RFT"]
    assert who(f"SFT,RFT:projection.q_proj:cosine>{at + 1e-9!r}") == []
    with pytest.raises(GoniometerError, match=r"no such scope.*mean 'projection.q_proj'"):
        lines("projection.q_prj:cosine<0.9")


def test_a_pair_asked_for_the_other_way_round_is_read_the_other_way_round():
    forth = value("SFT", "DPO", "off_subspace_left")
    back = value("SFT", "DPO", "off_subspace_left_reverse")
    between = (forth + back) / 2
    assert forth < between < back
    assert who(f"SFT,DPO:off_subspace_left>{between!r}") == []
    assert who(f"DPO,SFT:off_subspace_left>{between!r}") == ["DPO, SFT"]
    assert who(f"DPO, SFT:off_subspace_left_reverse>{between!r}") == []
    assert who("DPO,SFT:cosine<0.9") == ["DPO, SFT"]


def test_sizes_of_runs():
    norms = {run.name: run.scopes["all"]["norm"].value for run in FOUND.runs}
    limit = (norms["DPO"] + norms["SFT"]) / 2
    assert who(f"norm<{limit}") == ["DPO"]
    assert who(f"SFT:norm<{limit}") == []
    assert who("layer.1:norm<1e9") == list(RUNS)
    with pytest.raises(GoniometerError, match=r"no such run.*mean 'DPO'"):
        lines("DP:norm<1")


def test_measures_against_the_base():
    runs = tuple(
        RunAgainstBase(
            name=run, modules=1, nulls={}, scopes={"all": {"relative_norm": Reading(value=size)}}
        )
        for run, size in (("SFT", 0.1), ("RFT", 0.3))
    )
    based = AgainstBase(base="base", fingerprint="f", k=1, measures={}, runs=runs)
    found = FOUND.model_copy(update={"against_base": based})
    # DPO was not measured against the base: no pass.
    assert who("relative_norm>0.2", found) == ["RFT", "DPO"]
    assert "undefined (not measured here)" in lines("relative_norm>0.2")[0]


def test_what_is_undefined_trips():
    empty = comparison(runs=RUNS, zero="DPO")
    for op in ("<", ">"):
        assert who(f"cosine{op}0.9", empty)[-2:] == ["SFT, DPO", "RFT, DPO"]
    assert "undefined (DPO has no update), which is no pass" in lines("cosine>2", empty)[0]


def test_verdicts_and_states():
    said = {f"{pair.a}, {pair.b}": pair.verdict for pair in FOUND.pairs}
    verdict = next(iter(said.values()))
    assert who(f"verdict={verdict}") == [pair for pair, v in said.items() if v == verdict]
    assert who(f"verdict!={verdict}") == [pair for pair, v in said.items() if v != verdict]
    assert who("state=zero delta", comparison(runs=RUNS, zero="DPO")) == ["SFT, DPO", "RFT, DPO"]
    assert who("SFT,RFT:state!=identical") == ["SFT, RFT"]
    with pytest.raises(GoniometerError, match=r"no such verdict.*mean 'same update'"):
        lines("verdict=same updat")


def test_names_may_hold_what_gates_are_made_of():
    names = {"SFT": "a,b", "RFT": "c:d", "DPO": "e<f"}
    pairs = tuple(
        pair.model_copy(update={"a": names[pair.a], "b": names[pair.b]}) for pair in FOUND.pairs
    )
    runs = tuple(run.model_copy(update={"name": names[run.name]}) for run in FOUND.runs)
    found = FOUND.model_copy(update={"pairs": pairs, "runs": runs})
    assert len(lines("a,b,c:d:cosine>-2", found)) == 1
    assert len(lines("e<f,c:d:union:cosine>-2", found)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin<0.9", "no such measure.*mean 'cosine'"),
        ("effective_rnk<1", "mean 'effective_rank'"),
        ("cosine", "not a gate"),
        ("cosine<", "not a gate"),
        ("cosine<nan", "not a gate"),
        ("cosine<many", "not a gate"),
        ("cosine=0.9", "not a gate"),
        ("", "not a gate"),
        ("SFT,NONE:cosine<0.9", "no such pair of runs.*mean 'SFT,DPO'"),
    ],
)
def test_what_is_no_gate_is_said(text, message):
    with pytest.raises(GoniometerError, match=message):
        lines(text)
