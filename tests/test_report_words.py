"""Words of the report: what may be said, and what may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goniometer.report.facts.index import Index
from goniometer.report.words.findings import answer
from goniometer.report.words.headline import binding, groups, headline, sameness
from goniometer.results import Reading, Results
from goniometer.statistics import SAMENESS
from tests.results_factory import ARMS, INITS, ORDERS, renamed, results

# What each verdict lets a reader say.
SAYS = {
    "identical": "same",
    "zero delta": "not comparable",
    "a repeat: the floor is made of it": "other",
    "a repeat: another seed of one arm": "other",
    "steps of one run": "other",
    "not comparable": "not comparable",
    "same update": "same",
    "not told apart from a repeat": "untold",
    "same update up to its init": "same",
    "not the same update": "other",
    "similar, relative to the nulls": "similar",
    "beyond independence, within the shared-A0 null": "other",
    "not distinguishable from independent": "other",
    "opposed, relative to the nulls": "other",
    "no floor and no null to judge by": "other",
}
STATES = {
    "identical": "identical",
    "zero delta": "zero delta",
    "not comparable": "no common module",
}
BASE = results(runs=("A", "B", "C", "D"), layers=1)


def judged(verdicts: list[str]) -> Index:
    pairs = tuple(
        pair.model_copy(update={"verdict": verdict, "state": STATES.get(verdict, "comparable")})
        for pair, verdict in zip(BASE.comparison.pairs, verdicts, strict=True)
    )
    return Index(Results(
        title="t", versions={}, comparison=BASE.comparison.model_copy(update={"pairs": pairs})
    ))  # fmt: skip


# Pairs of A, B, C, D in order: AB AC AD BC BD CD.
SAME, NOT, LIKE = "same update", "not the same update", "similar, relative to the nulls"
FAR = "not distinguishable from independent"
OPEN = "not told apart from a repeat"


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([SAME] * 6, "All of A, B, C and D are one update."),
        ([NOT] * 6, "No two of A, B, C and D are the same update."),
        ([SAME, SAME, NOT, SAME, NOT, NOT], "A, B and C are one update; D stands apart."),
        ([SAME, NOT, NOT, NOT, NOT, NOT], "A and B are one update; C and D each stand apart."),
        ([SAME, NOT, NOT, NOT, NOT, SAME], "A and B are one update; C and D are another."),
        (
            [SAME, NOT, NOT, SAME, NOT, NOT],
            "A and B are one update; C agrees with some of them only; D stands apart.",
        ),
        ([LIKE] * 6, "All of A, B, C and D are similar, relative to the nulls."),
        ([FAR] * 6, "No two of A, B, C and D are similar, relative to the nulls."),
        (
            [LIKE, FAR, FAR, FAR, FAR, FAR],
            "A and B are similar, relative to the nulls; C and D each stand apart.",
        ),
        (
            [LIKE, FAR, FAR, FAR, FAR, LIKE],
            "A and B are similar, relative to the nulls; C and D are similar to each other.",
        ),
        (
            [LIKE, FAR, FAR, LIKE, FAR, FAR],
            "A and B are similar, relative to the nulls; C is like some of them only; "
            "D stands apart.",
        ),
        # A likeness without a floor does not bind where floors decided other pairs.
        ([SAME, LIKE, NOT, NOT, NOT, NOT], "A and B are one update; C and D each stand apart."),
        (
            [SAME + " (provisional: fewer than 3 replicates)"] * 6,
            "Provisionally, all of A, B, C and D are one update.",
        ),
        (
            [NOT, OPEN, NOT, NOT, NOT, OPEN],
            "No two of A, B, C and D are shown to be the same update; "
            "2 of 6 pairs are not told apart from a repeat.",
        ),
        # What floors left open is no likeness by nulls either.
        (
            [LIKE, NOT, NOT, NOT, NOT, OPEN],
            "No two of A, B, C and D are shown to be the same update; "
            "1 of 6 pairs is not told apart from a repeat.",
        ),
        (
            [SAME, OPEN, NOT, OPEN, NOT, NOT],
            "A and B are one update; C is not told apart from a repeat of A or B; D stands apart.",
        ),
        (
            [SAME, OPEN, NOT, NOT, OPEN, NOT],
            "A and B are one update; C and D are each not told apart from a repeat of another run.",
        ),
        ([SAME, NOT, OPEN, NOT, NOT, SAME], "A and B are one update; C and D are one update too."),
        (
            [SAME, OPEN, NOT, SAME, NOT, NOT],
            "A and B are one update; C agrees with some of them, others not told apart from a "
            "repeat; D stands apart.",
        ),
        (
            ["same update up to its init", NOT, NOT, NOT, NOT, NOT],
            "A and B are one update up to its init; C and D each stand apart.",
        ),
    ],
)
def test_headline(verdicts, said):
    assert headline(judged(verdicts)) == said


def test_headline_of_two_runs():
    def said(cosine_runs: tuple[str, str], **more: object) -> str:
        return headline(Index(results(runs=cosine_runs, layers=1, **more)))

    assert said(("SFT", "RFT")) == "SFT and RFT are similar, relative to the nulls."
    assert said(("SFT", "DPO"), zero="DPO") == "There is no pair of updates to compare."
    index = Index(results(runs=("SFT", "DPO"), layers=1))
    assert headline(index).startswith("SFT and DPO")


def test_a_floor_that_reaches_chance_is_named_as_such():
    found = results(study=True, runs=(*ARMS, *ORDERS)).comparison
    wide = tuple(floor.model_copy(update={"low": -0.4}) for floor in found.floors)
    index = Index(Results(
        title="t", versions={}, comparison=found.model_copy(update={"floors": wide})
    ))  # fmt: skip
    assert headline(index).startswith("By a floor so wide that it reaches down to chance, ")
    sharp = Index(Results(title="t", versions={}, comparison=found))
    assert headline(sharp).startswith("SFT, RFT")


def test_the_answer_says_what_the_same_update_means_and_what_is_left_open():
    found = results(study=True, runs=(*ARMS, *ORDERS)).comparison

    def said(verdict: str) -> str:
        pairs = tuple(
            p.model_copy(update={"verdict": verdict}) if (p.a, p.b) == ("SFT", "DFT") else p
            for p in found.pairs
        )
        comparison = found.model_copy(update={"pairs": pairs})
        return " ".join(answer(Index(Results(title="t", versions={}, comparison=comparison))).terms)

    for verdict in (NOT, OPEN):
        assert "The same update means: a cosine as high as some repeat's, and above" in said(
            verdict
        )
        assert ("Not told apart from a repeat means" in said(verdict)) == (verdict == OPEN)


def test_a_name_keeps_its_first_letter():
    names = {"A": "a_run", "B": "b", "C": "c", "D": "d"}
    index = Index(renamed(judged([SAME, NOT, NOT, NOT, NOT, NOT]).results, names))
    assert headline(index).startswith("a_run and b are one update; ")


def test_every_verdict_is_understood():
    for verdict in SAMENESS:
        plain = verdict.partition(" (provisional")[0]
        pair = judged([verdict] * 6).comparison.pairs[0]
        assert sameness(pair) == SAYS[plain], verdict


@given(st.lists(st.sampled_from(sorted(SAMENESS)), min_size=6, max_size=6))
def test_groups_split_the_runs_and_bind_only_what_agrees(verdicts):
    index = judged(verdicts)
    alike = binding(index.arm_pairs)
    found = groups(index, index.names, alike)
    assert sorted(name for group in found for name in group) == list("ABCD")
    for group in found:
        for i, a in enumerate(group):
            assert all(sameness(index.pair(a, b)) in alike for b in group[i + 1 :])


@given(st.permutations("ABCD"), st.permutations([0.3, 0.5, 0.7, 0.9]))
def test_the_closest_runs_are_grouped_first_in_whatever_order_they_are_named(names, cosines):
    """AB, BC, CD, BD alike, AC and AD not: B joins A, or C and D: the nearest decides."""
    verdicts = dict(zip(("AB", "BC", "CD", "BD"), cosines, strict=True))
    pairs = []
    for pair in judged([LIKE] * 6).comparison.pairs:
        value = verdicts.get(pair.a + pair.b)
        scopes = {"union": pair.scopes["union"].model_copy(
            update={"readings": {"cosine": Reading(value=value or -0.2)}}
        )}  # fmt: skip
        verdict = LIKE if value else "opposed, relative to the nulls"
        pairs.append(pair.model_copy(update={"verdict": verdict, "scopes": scopes}))
    comparison = BASE.comparison.model_copy(update={"pairs": tuple(pairs)})
    index = Index(Results(title="t", versions={}, comparison=comparison))
    found = {frozenset(group) for group in groups(index, names, binding(index.arm_pairs))}
    nearer_to_a = verdicts["AB"] > max(verdicts["BC"], verdicts["BD"])
    expected = {"AB", "CD"} if nearer_to_a else {"A", "BCD"}
    assert found == {frozenset(group) for group in expected}


@given(st.lists(st.sampled_from(sorted(SAMENESS)), min_size=6, max_size=6))
def test_without_a_floor_nothing_is_called_the_same_update(verdicts):
    unfloored = [v for v in verdicts if "same update" not in v and v != OPEN] or [LIKE]
    index = judged([unfloored[i % len(unfloored)] for i in range(6)])
    found = answer(index)
    assert "one update" not in found.headline
    assert "the same update" not in found.headline
    assert any("No floor was measured" in sentence for sentence in found.sentences)


def test_the_answer_of_a_study_names_floors_scores_and_failed_checks():
    index = Index(results(study=True, runs=ARMS + ORDERS + INITS))
    found = answer(index)
    said = " ".join(found.sentences)
    assert found.headline.startswith("SFT, RFT and RIFT are one update; ")
    assert "of 15 pairs of arms, " in said
    assert "at a margin of 2.0 points and n = 1319" in said
    assert "Undecided is not equal" in said
    assert "SFT, other init, 0.3" in said
    assert "SFT order 1" not in found.headline
    assert found.alerts == ("every arm trained: required all trained, found GRPO diverged",)
    assert found.warnings[-1].startswith("GRPO: ")


def test_counts_in_the_answer_are_those_of_the_pairs():
    index = Index(results(study=True))
    sentence = next(s for s in answer(index).sentences if s.startswith("Accuracy"))
    for verdict in {pair.verdict for pair in index.results.study.paired}:
        pairs = [p for p in index.results.study.paired if "base" not in (p.a, p.b)]
        count = sum(pair.verdict == verdict for pair in pairs)
        assert (f"{count} {verdict}" in sentence) == (count > 0)
    open_ = [p.smallest_margin for p in pairs if p.verdict == "undecided"]
    ends = f"{100 * min(open_):.1f} to {100 * max(open_):.1f} points"
    left = next(s for s in answer(index).sentences if s.startswith("Undecided"))
    assert left.endswith(f"only at a margin of {ends}.")


@pytest.mark.parametrize(
    ("state", "said"),
    [("diverged", "GRPO diverged"), ("non-finite", "GRPO stopped at step 40 (non-finite)")],
    ids=["diverged", "non-finite"],
)
def test_an_arm_that_was_not_trained_to_its_end_is_grouped_with_none(state, said):
    found = results(study=True, runs=ARMS + ORDERS)
    cells = tuple(
        cell.model_copy(update={"state": state, "steps": 40}) if cell.name == "GRPO" else cell
        for cell in found.study.cells
    )
    told = Index(
        found.model_copy(update={"study": found.study.model_copy(update={"cells": cells})})
    )
    assert headline(told).count("GRPO") == 1
    assert headline(told).endswith(f"; {said}.")
    assert not any("GRPO" in line for line in answer(told).sentences if "Between" in line)
