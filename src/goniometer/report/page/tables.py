"""Which tables a page has: of the comparison, of the study, and of its grid."""

from collections.abc import Sequence

from goniometer.report import tables
from goniometer.report.facts import grid
from goniometer.report.facts.index import Index
from goniometer.report.facts.measured import with_coefficients
from goniometer.report.facts.seeds import crossed
from goniometer.report.tables.table import Table
from goniometer.results import StudyResults


def of_comparison(index: Index, order: Sequence[str]) -> dict[str, Table]:
    """Tables that every report has, of arms and repeats, and of the base where there is one."""
    caption = (
        "Whole-model readings of each pair, most alike first; nulls stand last. Energy outside: "
        "the share of the second run's energy outside the first's top-k subspace; reverse: of the "
        "first's outside the second's."
    )
    found = {
        "matrix": tables.geometry.matrix(index, order),
        "pairs": tables.pairs.pairs(index, index.arm_pairs, "pairs", caption),
        "runs": tables.geometry.runs(index, index.shown, "runs"),
    }
    if index.results.trajectories:
        found["rank-one"] = tables.steps.rank_one(index.results.trajectories)
        found["steps"] = tables.steps.steps(index.results.trajectories)
    if index.comparison.against_base:
        found["base"] = tables.base.whole(index.comparison.against_base)
        found["base-nulls"] = tables.base.nulls(index.comparison.against_base)
        found["base-projections"] = tables.base.by_projection(index.comparison.against_base)
    if index.comparison.floors:
        found["floors"] = tables.geometry.floors(index)
    if index.repeats:
        rest = [pair for pair in index.shown_pairs if index.repeats & {pair.a, pair.b}]
        caption = "The same for pairs with a repeat that was trained for the floors."
        found["pairs-floor"] = tables.pairs.pairs(index, rest, "pairs-floor", caption)
    return found | _of_behaviour(index)


def _of_behaviour(index: Index) -> dict[str, Table]:
    found = index.results.behaviour
    if found is None:
        return {}
    made = {}
    if found.connectivity and found.connectivity.segments:
        made["segments"] = tables.behaviour.segments(found.connectivity)
    if found.similarity and found.similarity.pairs:
        made["similarity"] = tables.behaviour.similarity(found.similarity)
    if found.divergence:
        made["kl"] = tables.behaviour.divergence(found)
    if found.agreement:
        made["agreement"] = tables.behaviour.agreement(found)
    if found.composed:
        made["composed"] = tables.behaviour.composed(found)
    return made


def of_study(index: Index) -> dict[str, Table]:
    """Tables of a study: its checks, scores, tests and cells."""
    study = index.results.study
    if study is None:
        return {}
    caption = (
        "Paired tests on the same problems. p exact: McNemar; equivalence: two one-sided tests by "
        "the Tango score; Holm over all pairs of the study."
    )
    if grid.several_seeds(index):
        caption += " All are of the first seed's runs."
    scores = "Greedy accuracy on the test problems; the base stands first."
    base = study.accuracies[:1]
    found = {
        "checks": tables.study.checks(study.checks),
        "accuracies": tables.study.accuracies(index.shown_scores, "accuracies", scores),
        "paired": tables.study.paired(index.paired_arms, "paired", caption),
        "cells": tables.study.cells([c for c in study.cells if c.name in index.shown], "cells"),
    }
    known = {*index.shown, *(score.run for score in base)}
    rest = [p for p in study.paired if {p.a, p.b} <= known and index.repeats & {p.a, p.b}]
    seeded = tables.seeds.differing(index, index.paired_arms)
    if seeded.rows:
        found["paired-seeds"] = seeded
    if rest:
        caption = "Paired tests of pairs with a repeat that was trained for the floors."
        found["paired-floor"] = tables.study.paired(rest, "paired-floor", caption)
    if study.claims:
        found["claims"] = tables.claims.claims(study.claims)
        made = [tables.claims.parts(claim) for claim in study.claims if claim.parts]
        found |= {one.name: one for one in made}
    if with_coefficients(index):
        found["coefficients"] = tables.matched.coefficients(index)
    if study.matched:
        found["matched"] = tables.matched.matched(index, study.matched)
    return found | (_of_grid(index, study) if index.grid else {})


def _of_grid(index: Index, study: StudyResults) -> dict[str, Table]:
    found = {}
    if study.cross_seed:
        found["cross-seed"] = tables.seeds.cross_seed(crossed(index))
    if grid.families(index, "seed"):
        found["seeds"] = tables.seeds.seeds(index)
    for of in grid.SWEPT:
        if grid.families(index, of):
            made = tables.grid.swept(index, of)
            found[made.name] = made
    apart = grid.one_thing_apart(index)
    grown = [p for p in index.comparison.pairs if index.grid & {p.a, p.b}]
    near = [pair for pair in grown if apart(pair.a, pair.b)]
    caption = (
        f"Pairs with a run of the grid that differ in one thing only, {len(near)} of "
        f"{len(grown)}; the rest are in pairs.csv."
    )
    found["pairs-grid"] = tables.pairs.pairs(index, near, "pairs-grid", caption)
    tests = [p for p in study.paired if index.grid & {p.a, p.b} and apart(p.a, p.b)]
    if tests:
        caption = "Paired tests of the grid's runs that differ in one thing only."
        found["paired-grid"] = tables.study.paired(tests, "paired-grid", caption)
    more = [a for a in study.accuracies if a.run in index.grid]
    if more:
        caption = "Greedy accuracy of the grid's runs."
        found["accuracies-grid"] = tables.study.accuracies(more, "accuracies-grid", caption)
    cells = [cell for cell in study.cells if cell.name in index.grid]
    found["cells-grid"] = tables.study.cells(cells, "cells-grid")
    found["runs-grid"] = tables.geometry.runs(index, index.grid, "runs-grid")
    return found
