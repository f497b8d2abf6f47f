"""What a report says of seeds and of what it cannot say: differences, intervals, sizes by KL."""

import json

import pytest

from goniometer.report.charts.seeds import seeds
from goniometer.report.facts.index import Index, cosine
from goniometer.report.facts.seeds import crossed
from goniometer.report.notation import MINUS, points, span
from goniometer.report.tables.seeds import differing
from goniometer.report.words.findings import answer
from goniometer.results import Interval, SeedDifference
from tests.report_cases import page_of, rows_of
from tests.study_factory import CUT, SEEDS


@pytest.fixture(scope="module")
def page():
    return page_of("grid")


@pytest.fixture(scope="module")
def study(page):
    return page.results.study


def test_differences_by_seed_are_those_of_the_seeds_accuracies(page, study):
    scores = {a.run: a.accuracy for a in study.accuracies}
    table = rows_of(page, "paired-seeds")
    assert len(table) == len(page.index.paired_arms) == 21
    signs = set()
    for pair in page.index.paired_arms:
        runs = [[name, *(f"{name} seed {seed}" for seed in SEEDS)] for name in (pair.a, pair.b)]
        values = [scores.get(a, scores["base"]) - scores[b] for a, b in zip(*runs, strict=True)]
        agree = sum((value > 0) == (values[0] > 0) for value in values)
        signs.add(agree)
        assert table[f"{pair.a} {MINUS} {pair.b}"][1:] == [
            pair.verdict, points(values[0]), f"{points(min(values))} to {points(max(values))}",
            f"{agree} of 3", "\u2013",
        ]  # fmt: skip
    assert len(signs) > 1


def test_an_interval_over_seeds_is_of_the_pair_as_it_is_named(page, study):
    """Turned where the pair is, a reason where there are too few seeds."""
    few = Interval(undefined="3 seeds", over="seeds, then problems")
    some = Interval(low=-0.012, high=0.034, over="seeds, then problems", draws=9)
    first, second, third = page.index.paired_arms[:3]
    made = tuple(
        SeedDifference(a=a, b=b, n=9, dropped=0, differences=(), mean=0.0, interval=interval)
        for a, b, interval in ((first.a, first.b, some), (second.b, second.a, some),
                               (third.a, third.b, few))
    )  # fmt: skip
    told = study.model_copy(update={"seed_differences": made})
    index = Index(page.results.model_copy(update={"study": told}))
    cells = [row[-1].text for row in differing(index, page.index.paired_arms[:3]).rows]
    turned = f"{points(-0.034)} to {points(0.012)}"
    assert cells == [f"{points(-0.012)} to {points(0.034)}", turned, "needs 5 seeds"]


def test_that_tests_are_of_the_first_seed_is_said_where_there_are_several(page):
    one = page_of("study")
    for found, several in ((page, True), (one, False)):
        said = next(s for s in found.answer.sentences if s.startswith("Accuracy"))
        assert ("of the first seed's runs" in said) == several
        assert ("first seed" in found.tables["paired"].caption) == several
        assert ("paired-seeds" in found.tables) == several
        for name in found.gallery.forests:
            assert (", first seed: " in found.gallery.charts[name].signals["heading"]) == several


def test_cosines_within_one_seed_are_those_of_the_two_runs_of_each_seed(page):
    of = {frozenset((p.a, p.b)): cosine(p) for p in page.results.comparison.pairs}
    found = crossed(page.index)
    assert len(found) == 15
    for row in found:
        runs = [
            [name, *(f"{name} seed {seed}" for seed in SEEDS)]
            for name in (row.found.a, row.found.b)
        ]
        assert row.within == tuple(of[frozenset(pair)] for pair in zip(*runs, strict=True))


def test_extreme_corrected_cosines_are_said_to_be_picked(page, study):
    said = next(s for s in page.answer.sentences if s.startswith("Across 3 seeds"))
    assert "picked out of 15 pairs" in said
    ends = sorted(study.cross_seed, key=lambda one: one.corrected.value)
    for one in (ends[0], ends[-1]):
        assert f"for {one.a} and {one.b} (jackknife 95 %: {span(one.low, one.high)})" in said
    assert any(
        mark.text.endswith("jackknife 95 % over seeds") for mark in page.gallery.keys["seeds"]
    )
    found = study.model_copy(update={"cross_seed": study.cross_seed[:2]})
    few = answer(Index(page.results.model_copy(update={"study": found}))).sentences
    assert "picked" not in " ".join(few)


def test_a_wide_interval_leaves_the_axis_of_seeds(page, study):
    wide = [one.model_copy(update={"low": -9.0, "high": 11.0}) for one in study.cross_seed]
    found = study.model_copy(update={"cross_seed": tuple(wide)})
    signals = seeds(crossed(Index(page.results.model_copy(update={"study": found})))).signals
    assert (signals["low"], signals["high"]) == pytest.approx((-0.54, 1.54))


def test_a_kl_says_over_how_many_tokens(page):
    cut = f"nats a completion cut at {CUT} tokens"
    assert cut in json.dumps(page.gallery.bases["divergence"])
    captions = [page.tables[name].caption for name in ("runs", "matched", "sweep-learning-rate")]
    assert all(cut in caption for caption in captions)
