"""The page as a value: the answer, the charts, the tables and the definitions."""

import json
from dataclasses import dataclass
from typing import final

from goniometer.report.charts.whole import seriated
from goniometer.report.facts import grid
from goniometer.report.facts.index import Index
from goniometer.report.gallery import menu, panels
from goniometer.report.gallery.hang import Gallery, hang
from goniometer.report.page import tables
from goniometer.report.tables.geometry import definitions
from goniometer.report.tables.study import rollouts
from goniometer.report.tables.table import Table
from goniometer.report.words import behaviour
from goniometer.report.words.findings import Answer, answer
from goniometer.report.words.grid import matched
from goniometer.report.words.labels import cut
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
    matched: list[str]  # sentences
    cut: str  # where the completions end over which a KL is summed
    of_first_seed: bool  # tests and verdicts, as arms have several
    pairs: tuple[tuple[str, str], ...]  # that can be chosen for the whole page
    layers: tuple[str, ...]  # as are these
    missing: str  # what needs the model and was not measured
    map_caption: str
    lowest_cka: str  # where the heat map is faintest

    @property
    def results(self) -> Results:
        """What the page is about."""
        return self.index.results


def compose(results: Results) -> Page:
    """Make every chart and table of a report."""
    index = Index(results)
    order = seriated(index)
    study = results.study
    gallery = hang(index, order)
    return Page(
        index=index,
        answer=answer(index),
        gallery=gallery,
        tables=tables.of_comparison(index, order) | tables.of_study(index),
        rollouts=rollouts(study.rollouts) if study else [],
        definitions=definitions(index),
        config=json.dumps(study.config, indent=2, sort_keys=True) if study else "",
        matched=matched(index),
        cut=cut(index),
        of_first_seed=grid.several_seeds(index),
        pairs=menu.pairs(index),
        layers=panels.axis(index, "layer")[0],
        missing=behaviour.missing(index),
        lowest_cka=behaviour.lowest_cka(index),
        map_caption=behaviour.of_map(gallery.plane) if gallery.plane else "",
    )
