"""What a report says of trajectories is what the results hold."""

import re

import pytest

from goniometer.report import answer
from goniometer.report.build import build
from goniometer.results import Reading
from tests import steps_factory
from tests.report_cases import CASES, Outline, html_of, page_of

RESULTS = CASES["steps"]()


@pytest.mark.parametrize("place", [0, 1])
def test_charts_hold_the_readings_and_their_nulls(place):
    page, one = page_of("steps"), RESULTS.trajectories[place]
    name, charts = page.gallery.steps[place]
    assert name == one.name
    drawn = [page.gallery.charts[chart].data["lines"] for chart in charts]
    for rows, readings in zip(
        drawn,
        (
            {"norm": lambda s: s.norm, "null": lambda s: s.norm_null},
            {
                "cosine": lambda s: s.cosine_to_final.value,
                "null": lambda s: s.cosine_to_final_null.value,
            },
            {"left": lambda s: s.angle_left.value, "right": lambda s: s.angle_right.value},
            {"cosine": lambda s: s.cosine_of_increments.value, "null": lambda s: 0.0},
        ),
        strict=True,
    ):
        for line, of in readings.items():
            expected = {s.step: of(s) for s in one.steps if of(s) is not None}
            found = {row["x"]: row["y"] for row in rows if row["s"] == line}
            assert found == pytest.approx(expected, rel=1e-4), line
    # A checkpoint that equals the one before has no direction, and no dot.
    assert len([row for row in drawn[3] if row["s"] == "cosine"]) == len(one.steps) - 3
    null = [row["y"] for row in drawn[2] if row["s"] == "null, left"]
    assert null == [pytest.approx(82.0)] * (len(one.steps) - 1)


def test_tables_hold_every_checkpoint_with_reasons():
    outline = Outline(html_of("steps"))
    for one in RESULTS.trajectories:
        share = one.rank_one["union"]
        row = next(row for row in outline.rows if row[0] == one.name and len(row) == 6)
        assert float(row[2]) == pytest.approx(share.totals.value, abs=5e-4)
        assert float(row[3]) == pytest.approx(share.totals_null.value, abs=5e-4)
        assert float(row[4]) == pytest.approx(share.increments.value, abs=5e-4)
        assert float(row[5]) == pytest.approx(share.increments_null.value, abs=5e-4)
        for step in one.steps:
            row = next(r for r in outline.rows if r[0] == step.run and r[1:2] == [str(step.step)])
            assert row[9].startswith("undefined") == (step.cosine_of_increments.value is None)
    assert "a checkpoint equals the one before it" in outline.text


def test_the_answer_is_about_the_trajectories():
    """Shares stand beside what chance gives: a walk without drift is said to be one."""
    said = answer(RESULTS)
    shares = [float(x) for x in re.findall(r"([\d.]+)\u00a0%", said)]
    expected = [
        100 * reading.value
        for one in RESULTS.trajectories
        for reading in (one.rank_one["union"].totals, one.rank_one["union"].totals_null)
    ]
    assert shares == pytest.approx(expected, abs=0.06)
    many = steps_factory.results({f"run {i}": i / 4 for i in range(4)}, checkpoints=3)
    totals = [one.rank_one["union"].totals.value for one in many.trajectories]
    found = [float(x) for x in re.findall(r"([\d.]+)\u00a0%", answer(many))]
    assert found[:2] == pytest.approx([100 * min(totals), 100 * max(totals)], abs=0.06)


def test_what_never_moved_is_said():
    none = Reading(undefined="no checkpoint differs from the base here")
    one = RESULTS.trajectories[0]
    share = one.rank_one["union"].model_copy(update={"totals": none, "totals_null": none})
    still = one.model_copy(update={"rank_one": {"union": share}})
    results = RESULTS.model_copy(update={"trajectories": (still,)})
    assert answer(results) == "sft: no checkpoint differs from the base here."


def test_files(tmp_path):
    build(RESULTS, tmp_path, figures=["svg"])
    assert (tmp_path / "figures" / "steps.svg").is_file()
    summary = (tmp_path / "summary.md").read_text()
    for one in RESULTS.trajectories[:1]:
        for step in one.steps:
            assert f"| {step.run} |" in summary


def test_without_trajectories_there_is_no_such_section():
    assert "Over steps" not in html_of("two runs")
    assert "Over steps" in html_of("steps")
