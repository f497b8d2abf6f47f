"""What a cell that was not trained to its end does to a study's results: nothing but its own."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from goniometer import pipeline
from goniometer.behaviour.evaluate import HeldOut, Scores
from goniometer.config import Study
from goniometer.progress import Silent
from goniometer.report.facts.index import Index
from goniometer.report.words.headline import headline
from goniometer.results import BASE, Results, RolloutReport
from goniometer.statistics import REPEAT
from goniometer.store import Store
from goniometer.study.matching import match_all
from goniometer.study.outcome import Done, differences_by_seed
from goniometer.study.plan import make_plan
from goniometer.study.scoring import Evaluated
from goniometer.study.stages import Run, Sampled
from goniometer.training.cell import RECORD
from goniometer.training.loop import TrainingRecord
from tests.rollouts_factory import make_rollouts
from tests.test_comparison import run as update
from tests.tiny_model import tiny_model

ROWS = make_rollouts(["+-+-"] * 4)
REPORT = RolloutReport(
    prompts_sampled=4, samples_per_prompt=4, prompts_kept=4, rows=16, wrong_sampled=0.5,
    wrong_kept=0.5, mixed=1.0, duplicates=0.0, truncated=0.0, ungraded=0,
)  # fmt: skip
SAMPLED = Sampled(ROWS, ROWS, REPORT, {})
STUDY = Study.model_validate(
    {
        "name": "s",
        "arms": [{"name": "SFT", "objective": "sft"}, {"name": "RFT", "objective": "rft"}],
        "grid": {"seeds": 3},
        "match": {"to": "SFT", "arms": ["RFT"]},
        "geometry": {"k": 1, "draws": 100},
        "paths": None,
        "similarity": None,
    }
)
RUN = Run(make_plan(STUDY), Store(Path("absent")), Silent(), tiny_model())


def evaluated(number: int, nll: float = 1.0) -> Evaluated:
    marks = [
        "correct" if (number + 3 * problem) % 7 < 4 else "wrong:answer" for problem in range(9)
    ]
    ids = tuple(f"p{problem}" for problem in range(9))
    scores = Scores(ids, tuple(marks), tuple(marks), (False,) * 9)
    return Evaluated(scores, HeldOut(nll, 1.0, tuple(-1.0 for _ in ROWS.rows)))


@pytest.fixture
def reported(tmp_path: Path, monkeypatch):
    """Results of a study of which some cells stopped after so many of 100 steps, or diverged."""
    written: list[Results] = []

    def write(results: Results, *_: object, **__: object) -> Path:
        written.append(results)
        return tmp_path

    monkeypatch.setattr(pipeline, "write", write)

    def report(stopped: dict[str, int], diverged: str = "") -> Results:
        folders, updates, scores = {}, {}, {BASE: evaluated(0)}
        for number, cell in enumerate(RUN.plan.cells):
            steps = stopped.get(cell.name, 100)
            record = TrainingRecord(
                "trained" if steps == 100 else "non-finite", steps, (), (), 0.0, {}
            )
            folders[cell.name] = tmp_path / cell.name
            folders[cell.name].mkdir(exist_ok=True)
            (folders[cell.name] / RECORD).write_text(json.dumps(asdict(record)))
            # Half-trained, an update is more of its data order than of its objective.
            order = 10 + cell.order + 100 * cell.init
            updates[cell.name] = update((steps / 100, 1), (0.2 if steps == 100 else 1.0, order))
            scores[cell.name] = evaluated(number, 9.0 if cell.name == diverged else 1.0)
        pipeline.report(RUN, Done(SAMPLED, folders, updates, scores, ()))
        return written.pop()

    return report


def test_a_stopped_cell_is_in_no_floor_no_statistic_over_seeds_and_no_family(reported):
    whole, found = reported({}), reported({"SFT order 2": 40, "RFT seed 3": 40})
    assert whole.comparison.floors[0].runs == ("SFT", "SFT order 2", "SFT order 3")
    first = found.comparison.floors[0]
    assert first.runs == ("SFT", "SFT order 3")
    assert first.cosines == (whole.comparison.floors[0].cosines[1],)
    assert first.bound > 0.9
    verdicts = {(p.a, p.b): p.verdict for p in found.comparison.pairs}
    assert verdicts["SFT", "SFT order 3"] == REPEAT
    assert verdicts["SFT", "SFT order 2"].startswith("not the same update")
    assert found.comparison.warnings[0] == (
        "SFT order 2 (non-finite, 40 steps), RFT seed 3 (non-finite, 40 steps): left out of "
        "floors, of what is said over seeds, of paired tests and of matched sizes"
    )
    (before,), (after,) = whole.study.cross_seed, found.study.cross_seed
    assert (before.seeds, after.seeds) == (3, 2)
    assert after.corrected.value == pytest.approx(before.corrected.value, abs=0.05)
    assert [len(one.runs) for one in whole.study.seed_scores] == [3, 3]
    assert [one.runs for one in found.study.seed_scores] == [
        ("SFT", "SFT seed 2", "SFT seed 3"), ("RFT", "RFT seed 2"),
    ]  # fmt: skip
    (before,), (after,) = whole.study.seed_differences, found.study.seed_differences
    assert after.differences == before.differences[:2]
    assert found.study.paired == whole.study.paired
    failed = {check.name for check in found.study.checks if check.found == "non-finite"}
    assert failed == {"SFT order 2 is stable", "RFT seed 3 is stable"}
    assert len(found.study.checks) == len(whole.study.checks) + 2
    assert "stopped" not in headline(Index(found))


def test_an_arm_that_did_not_end_well_is_named_and_stands_in_no_pair(reported):
    found = reported({"RFT": 40}, diverged="SFT seed 2")
    assert headline(Index(found)).endswith("RFT stopped at step 40 (non-finite).")
    assert [(one.a, one.b) for one in found.study.paired] == [(BASE, "SFT")]
    assert found.study.cross_seed[0].seeds == 1
    assert {cell.name: cell.state for cell in found.study.cells}["SFT seed 2"] == "diverged"
    assert [one.runs for one in found.study.seed_scores] == [
        ("SFT", "SFT seed 3"), ("RFT seed 2", "RFT seed 3"),
    ]  # fmt: skip


def test_what_did_not_end_well_is_matched_to_nothing_and_nothing_to_it():
    states = {cell.name: "trained" for cell in RUN.plan.cells} | {"SFT": "diverged"}
    found = match_all(RUN, {}, {}, SAMPLED, states)
    assert [(one.run, one.by, one.factor.undefined) for one in found] == [
        ("RFT", "norm", "SFT is diverged"), ("RFT", "kl", "SFT is diverged"),
    ]  # fmt: skip


def test_pairs_of_arms_are_compared_at_the_seeds_that_both_have():
    seeds = {arm: [f"{arm}{seed}" for seed in range(3)] for arm in "ABC"}
    runs = [run for runs in seeds.values() for run in runs]
    grades = {
        run: dict(zip("xyz", evaluated(number).scores.grades, strict=False))
        for number, run in enumerate(runs)
    }
    whole = differences_by_seed(seeds, grades, runs)
    found = differences_by_seed(seeds, grades, set(runs) - {"B1", "C0", "C1", "C2"})
    assert [(one.a, one.b) for one in whole] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert [(one.a, one.b) for one in found] == [("A", "B")]
    assert found[0].differences == (whole[0].differences[0], whole[0].differences[2])
