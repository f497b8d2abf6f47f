"""Tables of a study's grid: seeds, pairs of arms across seeds, and the sweeps."""

from collections.abc import Sequence

from goniometer.report import grid, notation, sweep
from goniometer.report.charts_seeds import Crossed, between_seeds
from goniometer.report.charts_sizes import kl_text
from goniometer.report.grid import Factor
from goniometer.report.index import Index, cosine
from goniometer.report.tables import Cell, Column, Notes, Table, number, share, table, whole_number
from goniometer.results import Cell as Run
from goniometer.results import PairReadings


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
        Column("leaving one seed out", group="corrected for seeds"),
        Column("within one seed", group="cosine between the two"),
        Column("across seeds", group="cosine between the two"),
        Column("the first", group="cosine between seeds of"),
        Column("the second", group="cosine between seeds of"),
        Column("seeds"),
    ]
    caption = (
        "Pairs of arms, the most alike first. Corrected: the mean cosine across seeds over the "
        "geometric mean of the cosines between seeds of each arm (Spearman 1904); 1 means that the "
        "two differ by no more than a seed does. It may exceed 1 by noise."
    )
    return table("cross-seed", caption, columns, rows, notes)


def _span(values: Sequence[float]) -> Cell:
    if not values:
        return Cell(notation.NONE, kind="absent")
    return Cell(notation.span(min(values), max(values)))


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
                Cell(notation.fixed(100 * (max(values) - min(values)), 1))
                if values
                else Cell(notation.NONE, kind="absent"),
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


def swept(index: Index, of: Factor) -> Table:
    """Every run of a sweep beside its arm at its own setting."""
    notes = Notes()
    first = index.arms[0]
    rows = []
    for arm, cells in grid.families(index, of).items():
        for cell in cells:
            own = sweep.to_own(index, cell, arm)
            score = index.scores.get(cell.name)
            ends = notation.percents(score.low, score.high) if score else notation.NONE
            rows.append(
                [
                    Cell(cell.name),
                    _setting(index, cell, of),
                    Cell(cell.state, kind="" if cell.state == "trained" else "bad"),
                    Cell("its own", kind="absent") if cell.name == arm else _cosine(own, notes),
                    _cosine(sweep.to_first(index, cell, of), notes),
                    *sizes(index, cell, notes),
                    number(cell.nll_right),
                    number(cell.nll_wrong),
                    share(score.accuracy if score else None),
                    Cell(ends),
                ]
            )
    columns = [
        Column("run", numeric=False), Column(of), Column("state", numeric=False),
        Column("arm's own setting", group="cosine to"),
        Column(f"{first}, same setting", group="cosine to"), Column("norm"), Column("KL"),
        Column("right", group="NLL"), Column("wrong", group="NLL"),
        Column("accuracy"), Column("Wilson 95 %"),
    ]  # fmt: skip
    captions: dict[Factor, str] = {
        "seed": "",
        "learning rate": "Runs by peak learning rate, each beside its arm at its own.",
        "wrong share": (
            "Runs by the share of wrong rows that was asked for, each beside its arm at the share "
            "that was sampled. Identical: the same update up to rounding."
        ),
    }
    return table(f"sweep-{of.replace(' ', '-')}", captions[of], columns, rows, notes)


def _setting(index: Index, cell: Run, of: Factor) -> Cell:
    if of == "learning rate":
        return Cell(learning_rate(cell))
    text = notation.percent(grid.setting(index, cell, of), 0)
    return Cell(f"{text}, as sampled" if cell.wrong_share is None else text)


def learning_rate(cell: Run) -> str:
    """A run's peak learning rate."""
    return f"{cell.learning_rate:g}".replace("-", notation.MINUS)


def _cosine(pair: PairReadings | None, notes: Notes) -> Cell:
    if pair is None:
        return Cell(notation.NONE, kind="absent")
    if pair.state == "identical":
        return Cell("identical")
    value = cosine(pair)
    if value is None:
        return Cell("undefined", note=notes.mark(pair.state), kind="absent")
    return Cell(notation.in_unit(value, ""))


def sizes(index: Index, cell: Run, notes: Notes) -> list[Cell]:
    """Norm and KL of a run."""
    norm = index.norm(cell.name)
    size = Cell(notation.NONE if norm is None else notation.significant(norm))
    if cell.kl.value is None:
        return [size, notes.cell(cell.kl)]
    return [size, Cell(kl_text(cell))]
