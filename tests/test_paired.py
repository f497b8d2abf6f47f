"""`goniometer paired`: logs joined, compared, refused; statsmodels is the oracle of its tests."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from goniometer.errors import GoniometerError
from goniometer.paired import compare_logs, read_named, write_paired
from goniometer.paired.page import page
from goniometer.results.paired import PairedLogs, paired_json
from tests.log_factory import inspect_eval, inspect_json, lines, lm_eval, sample


def compared(*arguments: object, margin: float = 0.02, **options: object) -> PairedLogs:
    partial = bool(options.pop("allow_partial", False))
    sources = read_named([str(argument) for argument in arguments], **options)  # type: ignore[arg-type]
    return compare_logs(sources, margin, allow_partial=partial)


def three(folder: Path, n: int = 400) -> list[str]:
    """Logs of one item set: right at 80 %, nearly the same, and far lower."""
    rng = random.Random(1)
    first = [float(rng.random() < 0.8) for _ in range(n)]
    near = [1 - score if i in (5, 6) else score for i, score in enumerate(first)]
    low = [float(rng.random() < 0.5) for _ in range(n)]
    scores = {"first": first, "near": near, "low": low}
    return [f"{name}={lm_eval(folder / name, found)}" for name, found in scores.items()]


def test_numbers_are_those_of_statsmodels(tmp_path: Path) -> None:
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.proportion import proportion_confint

    found = compared(*three(tmp_path))
    assert [run.accuracy.run for run in found.runs] == ["first", "near", "low"]
    exact = []
    for pair in found.pairs:
        table = [[pair.both, pair.only_a], [pair.only_b, pair.neither]]
        exact.append(float(mcnemar(table, exact=True).pvalue))
        assert pair.p_exact == pytest.approx(exact[-1], rel=1e-9)
        assert pair.n == 400
    assert [pair.p_holm for pair in found.pairs] == pytest.approx(
        multipletests(exact, method="holm")[1], rel=1e-9
    )
    for run in found.runs:
        low, high = proportion_confint(run.accuracy.correct, run.accuracy.n, method="wilson")
        assert (run.accuracy.low, run.accuracy.high) == pytest.approx((low, high))
    verdicts = [pair.verdict for pair in found.pairs]
    assert verdicts == ["equivalent within the margin", "different", "different"]
    assert compared(*three(tmp_path), margin=0.001).pairs[0].verdict == "undecided"


def test_items_are_joined_on_content_and_not_on_place(tmp_path: Path) -> None:
    scores = [float(i % 3 == 0) for i in range(30)]
    one = lm_eval(tmp_path / "one.jsonl", scores)
    rows = [json.loads(line) for line in one.read_text().splitlines()]
    other = lines(
        tmp_path / "other.jsonl", [row | {"doc_id": i} for i, row in enumerate(rows[::-1])]
    )
    pair = compared(one, other).pairs[0]
    assert (pair.both, pair.only_a, pair.only_b, pair.neither) == (10, 0, 0, 20)


def test_too_few_common_items_are_refused_unless_told(tmp_path: Path) -> None:
    whole = lm_eval(tmp_path / "whole.jsonl", [1.0, 0.0] * 20)
    part = lm_eval(tmp_path / "part.jsonl", [1.0] * 30)
    with pytest.raises(GoniometerError, match=r"whole.*30 of 40.*--allow-partial"):
        compared(whole, part)
    found = compared(whole, part, allow_partial=True)
    assert [run.dropped for run in found.runs] == [10, 0]
    assert found.pairs[0].n == 30
    ninety = lm_eval(tmp_path / "ninety.jsonl", [1.0] * 36)
    assert compared(whole, ninety).items == 36
    other = lines(tmp_path / "other.jsonl", [{"id": i, "correct": 1} for i in range(40)])
    with pytest.raises(GoniometerError, match="0 of 40"):
        compared(whole, other, allow_partial=True)


def test_another_answer_key_is_another_item(tmp_path: Path) -> None:
    rows = [{"id": i, "gold": i, "correct": 1} for i in range(10)]
    one = lines(tmp_path / "a.jsonl", rows)
    other = lines(
        tmp_path / "b.jsonl", [row | {"gold": row["gold"] + (row["id"] > 4)} for row in rows]
    )
    with pytest.raises(GoniometerError, match=r"5 of 10.*[Tt]he ids agree"):
        compared(one, other)


def test_epochs_are_clusters(tmp_path: Path) -> None:
    """Each item three times over with one outcome says no more than once."""
    outcomes = [("C", "I")] * 9 + [("I", "C")] + [("C", "C")] * 20
    logs = {}
    for times in (1, 3):
        for side in (0, 1):
            rows = [
                sample(i, pair[side], epoch=epoch)
                for i, pair in enumerate(outcomes)
                for epoch in range(1, times + 1)
            ]
            write = inspect_eval if side else inspect_json
            logs[times, side] = write(tmp_path / f"{times}{side}", rows)
    once = compared(logs[1, 0], logs[1, 1])
    thrice = compared(logs[3, 0], logs[3, 1])
    assert (thrice.items, thrice.clusters) == (90, 30)
    assert thrice.pairs[0].p_exact == pytest.approx(once.pairs[0].p_exact, rel=1e-9)
    assert thrice.pairs[0].clusters == 30
    assert any("asked several times" in note for note in thrice.notes)
    with pytest.raises(GoniometerError, match="numbers of epochs"):
        compared(logs[1, 0], logs[3, 1])


def test_ungraded_items_drop_their_pairs_and_are_told(tmp_path: Path) -> None:
    one = inspect_json(tmp_path / "a.json", [sample(i, "C") for i in range(10)])
    rows = [sample(i, float("nan") if i < 3 else "C") for i in range(10)]
    found = compared(one, inspect_json(tmp_path / "b.json", rows, model="other"))
    assert [run.accuracy.run for run in found.runs] == ["mock/model", "other"]
    assert (found.pairs[0].n, found.pairs[0].dropped) == (7, 3)
    assert "other: 3 ungraded: could not be scored" in found.notes
    assert "mock/model and other gave the same text to every item: one model twice?" in found.notes


def test_the_folder_is_whole_offline_and_escaped(tmp_path: Path) -> None:
    first, near, low = three(tmp_path)
    found = compared(first.replace("first=", "<b>|x=", 1), near, low)
    path = write_paired(found, tmp_path / "out")
    text = path.read_text()
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
    assert not re.search(r"(src|href)=|https?://|<script", text)
    assert PairedLogs.model_validate_json((tmp_path / "out/paired.json").read_bytes()) == found
    summary = (tmp_path / "out/summary.md").read_text()
    assert r"\<b\>\|x" in summary
    assert text.count("<circle") == len(found.pairs)
    assert page(found) == text
    assert paired_json(found) == (tmp_path / "out/paired.json").read_text()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; from goniometer.cli import app\n"
        "try: app(sys.argv[1:], standalone_mode=False)\n"
        "finally: assert 'torch' not in sys.modules and 'altair' not in sys.modules"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "paired", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_grades_writes_and_needs_no_torch(tmp_path: Path) -> None:
    rng = random.Random(2)
    for name in ("a", "b"):
        rows = [
            {
                "id": str(i),
                "output": json.dumps({"answer": str(i + (rng.random() < 0.2))}),
                "gold": i,
            }
            for i in range(60)
        ]
        lines(tmp_path / f"{name}.jsonl.gz", rows)
    logs = [str(tmp_path / f"{name}.jsonl.gz") for name in ("a", "b")]
    done = run(
        *logs, "--grade", "gsm8k", "--json", str(tmp_path / "x/y.json"), "-o", str(tmp_path / "o")
    )
    assert done.returncode == 0, done.stderr
    assert "undecided" in done.stdout
    assert "a: read by json" in done.stdout
    assert (tmp_path / "x/y.json").read_bytes() == (tmp_path / "o/paired.json").read_bytes()


def test_answers_without_scores_ask_for_a_grader(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"id": 1, "output": "x", "gold": 2}])
    with pytest.raises(GoniometerError, match="--grade"):
        compared(path, f"again={path}")
    for grade, fix in (("gsm9k", "Did you mean 'gsm8k'?"), ("other", "Known are gsm8k")):
        with pytest.raises(GoniometerError) as refused:
            compared(path, f"again={path}", grade=grade)
        assert str(refused.value) == f"--grade {grade}: no such grader. {fix}"
