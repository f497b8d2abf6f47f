"""Tables of a study's grid: the sweeps, run by run."""

from goniometer.report import notation
from goniometer.report.facts import grid, sweep
from goniometer.report.facts.grid import Factor
from goniometer.report.facts.index import Index, cosine
from goniometer.report.tables.study import trained_on
from goniometer.report.tables.table import ABSENT, Cell, Column, Notes, Table, number, share, table
from goniometer.report.words.labels import cut, kl_text, learning_rate
from goniometer.results import Cell as Run
from goniometer.results import PairReadings


def swept(index: Index, of: Factor) -> Table:
    """Every run of a sweep beside its arm at its own setting."""
    notes = Notes()
    first = index.arms[0]
    of_rows = of == "wrong share"
    rows = []
    for arm, cells in grid.families(index, of).items():
        for cell in cells:
            own = sweep.to_own(index, cell, arm)
            score = index.scores.get(cell.name)
            ends = notation.percents(score.low, score.high) if score else notation.NONE
            rows.append(
                [
                    Cell(cell.name),
                    *(_share(cell, index) if of_rows else [Cell(learning_rate(cell))]),
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
    settings = [
        Column("achieved", group="share of wrong rows"),
        Column("asked for", group="share of wrong rows"),
        Column("rows", group="trained on"), Column("tokens", group="trained on"),
    ]  # fmt: skip
    columns = [
        Column("run", numeric=False), *(settings if of_rows else [Column(of)]),
        Column("state", numeric=False),
        Column("arm's own setting", group="cosine to"),
        Column(f"{first}, same setting", group="cosine to"), Column("norm"), Column("KL"),
        Column("right", group="NLL"), Column("wrong", group="NLL"),
        Column("accuracy"), Column("Wilson 95 %"),
    ]  # fmt: skip
    captions: dict[Factor, str] = {
        "seed": "",
        "learning rate": "Runs by peak learning rate, each beside its arm at its own.",
        "wrong share": (
            "Runs by the share of wrong rows among those that they were given, beside the share "
            "that was asked for; each beside its arm, whose rows are as sampled. Trained on: rows "
            "that carry loss, and the tokens of their completions. Identical: the same update up "
            "to rounding."
        ),
    }
    sized = f" KL(base || run) in nats a completion{cut(index)}."
    return table(grid.slug(of), captions[of] + sized, columns, rows, notes)


def _share(cell: Run, index: Index) -> list[Cell]:
    """The achieved share and the one asked for, and on how much is trained."""
    asked = None if cell.wrong_share is None else notation.percent(cell.wrong_share, 0)
    achieved = grid.place(index, cell, "wrong share")
    return [
        Cell(notation.percent(achieved)),
        Cell(asked or "as sampled", kind="" if asked else "absent"),
        *trained_on(cell),
    ]


def _cosine(pair: PairReadings | None, notes: Notes) -> Cell:
    if pair is None:
        return ABSENT
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
