"""Tables of matched sizes and of gradient coefficients."""

from collections.abc import Sequence

from goniometer.report import notation
from goniometer.report.facts.differences import Difference, difference, rescaled
from goniometer.report.facts.index import Index
from goniometer.report.facts.measured import with_coefficients
from goniometer.report.tables.table import (
    ABSENT,
    Cell,
    Column,
    Notes,
    Table,
    number,
    share,
    table,
    whole_number,
)
from goniometer.report.words.labels import cut, kl_text, size_kept, stretch
from goniometer.results import Accuracy, Coefficients, Matched, Reading

AGAINST = "difference to that it is matched to"


def matched(index: Index, found: Sequence[Matched]) -> Table:
    """Runs as trained, and rescaled to the size of another run."""
    notes = Notes()
    rows = []
    for name in dict.fromkeys(name for one in found for name in (one.to, one.run)):
        cell = index.cell_of.get(name)
        norm = index.norm(name)
        rows.append(
            [
                Cell(name),
                Cell("as trained", kind="words"),
                ABSENT,
                Cell(notation.NONE if norm is None else notation.significant(norm)),
                Cell(kl_text(cell) if cell and cell.kl.value is not None else notation.NONE),
                number(cell.nll_right if cell else None),
                number(cell.nll_wrong if cell else None),
                *_score(index.scores.get(name)),
                *_against(next((difference(index, name, to) for to in _goals(name, found)), None)),
            ]
        )
        rows += [_row(index, one, notes) for one in found if one.run == name]
    columns = [
        Column("run", numeric=False), Column("size", numeric=False), Column("factor"),
        Column("norm"), Column("KL"), Column("right", group="NLL"), Column("wrong", group="NLL"),
        Column("accuracy"), Column("Wilson 95 %"), Column("points", group=AGAINST),
        Column("Tango 95 %", group=AGAINST), Column("verdict", numeric=False, group=AGAINST),
    ]  # fmt: skip
    caption = (
        "Updates as trained, and multiplied with a factor, untrained, until their norm or their "
        f"KL(base || run), in nats a completion{cut(index)}, is that of another run. A factor "
        "changes no cosine and no angle. A factor by KL was found on the same texts on which the "
        "KL is shown: that the two agree is by construction, and the standard error is that of "
        "the texts. Verdicts of rescaled runs are of one test each, those of runs as trained of "
        "the paired tests below, Holm-adjusted over all of them."
    )
    return table("matched", caption, columns, rows, notes)


def _goals(name: str, found: Sequence[Matched]) -> list[str]:
    return [one.to for one in found if one.run == name]


def _against(found: Difference | None) -> list[Cell]:
    if found is None:
        return [ABSENT] * 3
    verdict = Cell(found.verdict or notation.NONE, kind="verdict" if found.verdict else "absent")
    return [Cell(notation.points(found.value)), Cell(found.interval), verdict]


def _row(index: Index, one: Matched, notes: Notes) -> list[Cell]:
    return [
        Cell(one.run),
        Cell(f"{size_kept(one)} of {one.to}", kind="words"),
        *(_significant(reading, notes) for reading in (one.factor, one.norm)),
        _significant(one.kl, notes, one.kl_error),
        number(one.nll_right),
        number(one.nll_wrong),
        *_score(one.accuracy),
        *_against(rescaled(index, one)),
    ]


def _significant(found: Reading, notes: Notes, error: float | None = None) -> Cell:
    if found.value is None:
        return notes.cell(found)
    return Cell(notation.with_error(found.value, error))


def _score(found: Accuracy | None) -> list[Cell]:
    if found is None:
        return [share(None), ABSENT]
    return [share(found.accuracy), Cell(notation.percents(found.low, found.high))]


def coefficients(index: Index) -> Table:
    """Shares of tokens by the sign and size of their coefficient."""
    rows = [
        [
            Cell(cell.name),
            Cell(stretch(one)),
            Cell(kind),
            whole_number(sum(counts)),
            *(share(part) for part in parts(one, counts)),
        ]
        for cell in with_coefficients(index)
        for one in cell.coefficients
        for kind, counts in (("right", one.right), ("wrong", one.wrong))
        if sum(counts)
    ]
    columns = [
        Column("run", numeric=False), Column("steps", numeric=False),
        Column("rows", numeric=False), Column("tokens"),
        *(Column(head, group="coefficient") for head in
          ("below 0", "0", "between", "1", "above 1")),
    ]  # fmt: skip
    caption = (
        "The same in numbers: shares of the completion tokens of right and of wrong rows; "
        "0 and 1 are the bins that hold them."
    )
    return table("coefficients", caption, columns, rows)


def parts(found: Coefficients, counts: Sequence[int]) -> tuple[float, ...]:
    """Shares of tokens below 0, in the bin of 0, between, in the bin of 1, and above it."""
    whole = sum(counts)
    sums = [0] * 5
    for low, high, count in zip(found.edges[:-1], found.edges[1:], counts, strict=True):
        place = 0 if high <= 0 else 1 if low <= 0 else 2 if high <= 1 else 3 if low <= 1 else 4
        sums[place] += count
    return tuple(count / whole for count in sums)
