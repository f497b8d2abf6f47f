"""The page as a value: the answer, the charts, the tables and the definitions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from goniometer.report import (
    charts_whole,
    tables_base,
    tables_geometry,
    tables_steps,
    tables_study,
)
from goniometer.report.findings import Answer, answer
from goniometer.report.gallery import Gallery, hang
from goniometer.report.index import Index
from goniometer.report.tables import Table
from goniometer.results import Results


@final
@dataclass(frozen=True)
class Page:
    """All that the template shows, beside the results themselves."""

    index: Index
    answer: Answer
    gallery: Gallery
    tables: dict[str, Table]
    rollouts: list[tuple[str, str]]
    definitions: list[tuple[str, str, str, str]]
    config: str

    @property
    def results(self) -> Results:
        """What the page is about."""
        return self.index.results


def compose(results: Results) -> Page:
    """Make every chart and table of a report."""
    index = Index(results)
    order = charts_whole.seriated(index)
    study = results.study
    return Page(
        index=index,
        answer=answer(index),
        gallery=hang(index, order),
        tables=_comparison_tables(index, order) | _study_tables(index),
        rollouts=tables_study.rollouts(study.rollouts) if study else [],
        definitions=tables_geometry.definitions(index),
        config=json.dumps(study.config, indent=2, sort_keys=True) if study else "",
    )


def _comparison_tables(index: Index, order: Sequence[str]) -> dict[str, Table]:
    caption = (
        "Whole-model readings of each pair, most alike first; nulls stand last. Energy outside: "
        "the share of the second run's energy outside the first's top-k subspace; reverse: of the "
        "first's outside the second's."
    )
    found = {
        "matrix": tables_geometry.matrix(index, order),
        "pairs": tables_geometry.pairs(index, index.arm_pairs, "pairs", caption),
        "runs": tables_geometry.runs(index),
    }
    if index.results.trajectories:
        found["rank-one"] = tables_steps.rank_one(index.results.trajectories)
        found["steps"] = tables_steps.steps(index.results.trajectories)
    if index.comparison.against_base:
        found["base"] = tables_base.whole(index.comparison.against_base)
        found["base-nulls"] = tables_base.nulls(index.comparison.against_base)
        found["base-projections"] = tables_base.by_projection(index.comparison.against_base)
    if index.comparison.floors:
        found["floors"] = tables_geometry.floors(index)
    if index.repeats:
        rest = [pair for pair in index.comparison.pairs if pair not in index.arm_pairs]
        caption = "The same for pairs with a repeat that was trained for the floors."
        found["pairs-floor"] = tables_geometry.pairs(index, rest, "pairs-floor", caption)
    return found


def _study_tables(index: Index) -> dict[str, Table]:
    study = index.results.study
    if study is None:
        return {}
    between = index.paired_arms
    caption = (
        "Paired tests on the same problems. p exact: McNemar; equivalence: two one-sided tests by "
        "the Tango score; Holm over all pairs of the study."
    )
    found = {
        "checks": tables_study.checks(study.checks),
        "accuracies": tables_study.accuracies(study),
        "paired": tables_study.paired(between, "paired", caption),
        "cells": tables_study.cells(index),
    }
    rest = [pair for pair in study.paired if pair not in between]
    if rest:
        caption = "The same for pairs with a repeat that was trained for the floors."
        found["paired-floor"] = tables_study.paired(rest, "paired-floor", caption)
    if study.claims:
        found["claims"] = tables_study.claims(study.claims)
    return found
