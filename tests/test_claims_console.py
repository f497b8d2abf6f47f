"""`goniometer claims` and the report's table of claims: what was judged, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from goniometer.claims import judge
from goniometer.claims.parts import Verdict
from goniometer.console.claims import STYLES
from goniometer.report import notation
from goniometer.report.page.compose import compose
from goniometer.report.page.render import render
from goniometer.report.tables.claims import RULE, VERDICTS, claims, parts, texts
from goniometer.results import Claim, to_json
from tests.claims_world import World
from tests.report_cases import Outline
from tests.results_factory import results


def goniometer(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "goniometer", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study's folder whose stored claims are of older code."""
    folder = tmp_path_factory.mktemp("run")
    found = World(3).results()
    old = Claim(number=1, claim="old", printed="", found="", verdict="does not hold")
    stored = found.study.model_copy(update={"claims": (old,)})
    (folder / "report").mkdir()
    text = to_json(found.model_copy(update={"study": stored}))
    (folder / "report" / "results.json").write_text(text)
    return folder


def test_every_claim_is_judged_anew_and_stands_with_its_parts(study):
    shown = goniometer("claims", study)
    assert shown.returncode == 0, shown.stderr
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert not any("old" in line.split() for line in lines)
    for claim in judge(World(3).results()):
        assert f"{claim.number} {claim.claim} {claim.verdict}" in lines
        for part in claim.parts:
            row = next(line for line in lines if line.startswith(f"{part.what} ["))
            state = {True: "shown", False: "refuted", None: "open"}[part.holds]
            assert row.endswith(" ".join([*texts(part), state]))
    assert RULE in lines


def test_every_verdict_of_a_claim_has_its_look():
    """None is left to a KeyError; undecided looks neither decided nor absent."""
    verdicts = set(get_args(Verdict))
    assert set(get_args(Claim.model_fields["verdict"].annotation)) == verdicts
    for looks in (STYLES, VERDICTS):
        assert set(looks) == verdicts
        assert len(set(looks.values())) == len(verdicts)
    for verdict in verdicts:
        claim = Claim(number=1, claim="", printed="", found="", verdict=verdict)
        (row,) = claims([claim]).rows
        assert (row[2].text, row[2].kind) == (verdict, VERDICTS[verdict])


def test_claims_as_json_are_those_of_results_json(study, tmp_path):
    file = tmp_path / "new" / "claims.json"
    assert goniometer("claims", study / "report", "--claim", 6, "--json", file).returncode == 0
    (found,) = json.loads(file.read_text())["claims"]
    assert Claim.model_validate(found) == World(3).claim(6)


def test_bad_input_is_one_line_and_exit_code_2(study, tmp_path):
    bare = tmp_path / "compared"
    bare.mkdir()
    (bare / "results.json").write_text(to_json(results(layers=1)))
    for arguments, message in (
        ((bare,), "no study: a comparison alone does not know its objectives"),
        ((tmp_path / "nothing",), "no results here"),
        ((study, "--json", tmp_path), "a folder, where a file is to be written"),
    ):
        shown = goniometer("claims", *arguments)
        assert shown.returncode == 2
        assert message in shown.stderr
        assert shown.stderr.count("\n") == 1
    assert goniometer("claims", study, "--claim", 13).returncode == 2


def test_it_answers_in_seconds_without_torch(study):
    """Twice what it is asked for, on a machine that others use too."""
    code = (
        "import sys; from goniometer.console.claims import tried; from pathlib import Path;"
        f"tried(Path({str(study)!r}), json_file=None, number=None);"
        "assert not {'torch', 'transformers', 'altair', 'pandas'} & set(sys.modules)"
    )
    before = sum(os.times()[2:4])  # of ended children
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert 0 < sum(os.times()[2:4]) - before < 4


def test_the_report_folds_the_parts_under_their_claims():
    found = results(study=True)
    judged = judge(World(3).results())
    told = found.study.model_copy(update={"claims": judged})
    page = compose(found.model_copy(update={"study": told}))
    html = Outline(render(page))
    for claim in judged:
        made = page.tables[f"claim-{claim.number}"]
        assert [row[0].text for row in made.rows] == [p.what for p in claim.parts]
        for row, part in zip(made.rows, claim.parts, strict=True):
            assert [cell.text for cell in row[2:]] == list(texts(part))
            told_over = dict(made.notes)[row[3].note or row[2].note]
            assert told_over.startswith(part.estimate.undefined or part.interval)
        count = f"{len(claim.parts)} part{'s' if len(claim.parts) > 1 else ''}"
        assert f"{claim.number} {claim.claim}: {claim.verdict}, {count}" in html.text


def test_claims_of_older_results_have_no_parts_and_no_fold():
    old = Claim(number=1, claim="old", printed="", found="", verdict="holds")
    assert parts(old).rows == ()
    assert [row[2].text for row in claims([old]).rows] == ["holds"]
    page = compose(results(study=True))
    assert [len(claim.parts) for claim in page.results.study.claims] == [3, 0, 0]
    assert [name for name in page.tables if name.startswith("claim-")] == ["claim-1"]


def test_what_is_not_there_is_a_dash():
    part = World().claim(5).parts[0]
    assert texts(part) == ("undefined", notation.NONE, notation.NONE, notation.NONE)
