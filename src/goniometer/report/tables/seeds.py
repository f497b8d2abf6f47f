"""Tables of seeds: pairs of arms across them, each arm by them, and differences in accuracy."""

from collections.abc import Sequence

from goniometer.report import notation
from goniometer.report.facts import differences, grid
from goniometer.report.facts.index import Index
from goniometer.report.facts.seeds import Crossed, between_seeds
from goniometer.report.tables.table import (
    ABSENT,
    Cell,
    Column,
    Notes,
    Table,
    share,
    table,
    whole_number,
)
from goniometer.results import Paired, SeedDifference


def cross_seed(found: Sequence[Crossed]) -> Table:
    """Pairs of arms: cosines within one seed, across seeds, of the seeds alone, and corrected."""
    notes = Notes()
    rows = []
    for row in found:
        one = row.found
        ends = None if one.low is None or one.high is None else (one.low, one.high)
        rows.append(
            [
                Cell(f"{one.a}, {one.b}"),
                notes.cell(one.corrected),
                Cell(notation.span(*ends)) if ends else Cell("needs 3 seeds", kind="absent"),
                *(
                    _span(values)
                    for values in (row.within, one.cosines, one.repeats_a, one.repeats_b)
                ),
                whole_number(one.seeds),
            ]
        )
    columns = [
        Column("pair", numeric=False),
        Column("cosine", group="corrected for seeds"),
        Column("jackknife 95 %", group="corrected for seeds"),
        Column("within one seed", group="cosine between the two"),
        Column("across seeds", group="cosine between the two"),
        Column("the first", group="cosine between seeds of"),
        Column("the second", group="cosine between seeds of"),
        Column("seeds"),
    ]
    caption = (
        "Pairs of arms, the most alike first. Corrected: the mean cosine across seeds over the "
        "geometric mean of the cosines between seeds of each arm (Spearman 1904); 1 means that the "
        "two differ by no more than a seed does. It may exceed 1 by noise. Jackknife 95 %: an "
        "interval over seeds, t with n \u2212 1 degrees of freedom for n seeds, rough where these "
        "are few."
    )
    return table("cross-seed", caption, columns, rows, notes)


def _span(values: Sequence[float]) -> Cell:
    if not values:
        return ABSENT
    return Cell(notation.reach(values))


def seeds(index: Index) -> Table:
    """Each arm seed by seed."""
    found = grid.families(index, "seed")
    numbers = sorted({cell.seed for cells in found.values() for cell in cells})
    rows = []
    for arm, cells in found.items():
        of_seed = {cell.seed: cell for cell in cells}
        scores = [index.scores.get(of_seed[n].name) if n in of_seed else None for n in numbers]
        values = [score.accuracy for score in scores if score]
        norms = [norm for cell in cells if (norm := index.norm(cell.name)) is not None]
        ends = [notation.significant(end) for end in (min(norms), max(norms))] if norms else []
        rows.append(
            [
                Cell(arm),
                *(share(score.accuracy if score else None) for score in scores),
                Cell(notation.fixed(100 * (max(values) - min(values)), 1)) if values else ABSENT,
                _span(between_seeds(index, arm)),
                Cell(" to ".join(dict.fromkeys(ends)) or notation.NONE),
            ]
        )
    columns = [
        Column("arm", numeric=False),
        *(Column(str(n + 1), group="accuracy of seed") for n in numbers),
        Column("spread, points"),
        Column("cosine between its seeds"),
        Column("norm"),
    ]
    caption = (
        "Every arm seed by seed; a seed is another adapter init and another data order at once."
    )
    return table("seeds", caption, columns, rows)


def differing(index: Index, found: Sequence[Paired]) -> Table:
    """The difference of each pair in every seed: what the tests, of the first, do not say."""
    study = index.results.study
    across = {frozenset((one.a, one.b)): one for one in (study.seed_differences if study else ())}
    rows = []
    for pair in found:
        values = differences.by_seed(index, pair.a, pair.b)
        if len(values) < 2:
            continue
        agree = sum(_sign(value) == _sign(values[0]) for value in values)
        rows.append(
            [
                Cell(f"{pair.a} \u2212 {pair.b}"),
                Cell(pair.verdict, kind="verdict"),
                Cell(notation.points(values[0])),
                Cell(notation.points_span(min(values), max(values))),
                Cell(f"{agree} of {len(values)}"),
                _over_seeds(across.get(frozenset((pair.a, pair.b))), pair),
            ]
        )
    columns = [
        Column("pair", numeric=False), Column("verdict, first seed", numeric=False),
        Column("first seed", group="difference, points"),
        Column("smallest to largest", group="difference, points"),
        Column("seeds of the first seed's sign"),
        Column("over seeds and problems, 95 %"),
    ]  # fmt: skip
    caption = (
        "Differences in accuracy seed by seed. The verdicts, and the paired tests above, are of "
        "the first seed's runs: they hold the noise of the problems, not that of the seeds. "
        "Over seeds and problems: hierarchical bootstrap of the mean difference, from 5 seeds up."
    )
    return table("paired-seeds", caption, columns, rows)


def _over_seeds(found: SeedDifference | None, pair: Paired) -> Cell:
    if found is None:
        return ABSENT
    low, high = found.interval.low, found.interval.high
    if low is None or high is None:
        return Cell("needs 5 seeds", kind="absent")
    ends = (low, high) if found.a == pair.a else (-high, -low)
    return Cell(notation.points_span(*ends))


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
