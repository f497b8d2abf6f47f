"""What a report says of runs against their base is what the results hold."""

import pytest

from goniometer.geometry.base_measures import BASE_MEASURES
from goniometer.report.page.compose import compose
from goniometer.report.page.render import render
from goniometer.report.tables.base import KINDS
from goniometer.results import AgainstBase, Band, Reading, Results, RunAgainstBase
from tests.report_cases import Outline, html_of
from tests.results_factory import results

NAME = "<b>base</b>"
SMALL = {"relative_norm": 3.21e-3, "spectral_shift": 4.56e-5, "rotation_left_largest": 0.0123}


def run(name: str, place: int) -> RunAgainstBase:
    values = dict.fromkeys(BASE_MEASURES, 0.25) | SMALL | {"intruders": 7.0 + place}
    readings = {key: Reading(value=value) for key, value in values.items()}
    readings["storage_noise"] = Reading(undefined="no stored weights")
    bands = {"intruders": {KINDS[0]: Band(low=2, median=3, high=5, draws=20)}}
    bands["principal_overlap"] = {
        kind: Band(low=0.44, median=0.45, high=0.46, draws=200) for kind in KINDS[1:]
    }
    return RunAgainstBase(
        name=name,
        modules=12,
        scopes={"all": readings, "projection.q_proj": readings},
        nulls={"all": bands},
        not_measured={"the base has no such module": ("lm_head",)} if place else {},
    )


@pytest.fixture(scope="module")
def found() -> Results:
    plain = results(runs=("SFT", "DPO"))
    based = AgainstBase(
        base=NAME, fingerprint="f" * 64, k=10,
        measures={name: measure.info for name, measure in BASE_MEASURES.items()},
        runs=tuple(run(name, i) for i, name in enumerate(("SFT", "DPO"))),
    )  # fmt: skip
    comparison = plain.comparison.model_copy(update={"against_base": based})
    return plain.model_copy(update={"comparison": comparison})


@pytest.fixture(scope="module")
def outline(found: Results) -> Outline:
    return Outline(render(compose(found)))


def test_every_measure_of_every_run_is_in_the_table(found: Results):
    table = compose(found).tables["base"]
    assert len(table.columns) == len(BASE_MEASURES) + 2
    for row, name, intruders in zip(table.rows, ("SFT", "DPO"), ("7", "8"), strict=True):
        cells = dict(zip((c.group + c.head for c in table.columns), row, strict=True))
        assert cells["run"].text == name
        assert cells["intruders"].text == intruders
        assert cells["relative norm"].text == "0.00321"
        assert cells["spectral shift"].text == "4.56e\u221205"
        assert cells["left rotationlargest"].text == "0.012\u00b0"
        assert cells["unchangedbf16"].text == "0.250"
        assert cells["storage noise"].text == "undefined"


def test_nulls_stand_below_with_their_draws(found: Results):
    table = compose(found).tables["base-nulls"]
    texts = [[cell.text for cell in row] for row in table.rows]
    assert [c.head for c in table.columns[3:]] == ["intruders", "principal overlap"]
    assert texts[0] == ["SFT", "random directions", "20", "2 to 5", "\u2013"]
    assert texts[1] == ["SFT", "independent", "200", "\u2013", "0.440 to 0.460"]
    assert len(texts) == 2 * len(KINDS)


def test_the_page_names_the_base_and_what_was_left_out(outline: Outline):
    assert NAME in outline.text
    assert "f" * 64 in outline.text
    assert "1 module left out: the base has no such module" in outline.text
    assert "no stored weights" in outline.text
    for measure in BASE_MEASURES.values():
        assert measure.info.meaning in " ".join(outline.text.split()) or "<" in measure.info.meaning


def test_the_section_is_there_only_where_there_is_such_data(outline: Outline):
    def ids(page: Outline) -> set[str | None]:
        return {attributes.get("id") for _, attributes in page.tags}

    assert "base" in ids(outline)
    assert "base" not in ids(Outline(html_of("two runs")))
