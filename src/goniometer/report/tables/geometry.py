"""Tables of the comparison: runs, the matrix as numbers, the floors, and the definitions."""

from collections.abc import Collection, Sequence

from goniometer.report import notation
from goniometer.report.facts.index import Index, read, whole
from goniometer.report.facts.measured import SIZES
from goniometer.report.tables.pairs import COLUMNS
from goniometer.report.tables.table import Cell, Column, Notes, Table, number, table, whole_number
from goniometer.report.words.labels import cut, kl_text
from goniometer.results import Reading


def matrix(index: Index, order: Sequence[str]) -> Table:
    """All cosines as a square of numbers."""
    notes = Notes()
    rows = []
    for a in order:
        row = [Cell(a)]
        for b in order:
            pair = index.pair(a, b)
            if a == b or pair is None:
                row.append(Cell("" if a == b else notation.NONE, kind="absent"))
            elif pair.state == "identical":
                row.append(Cell("identical"))
            else:
                row.append(notes.cell(read(pair, whole(pair), "cosine")))
        rows.append(row)
    columns = [Column("run", numeric=False), *(Column(name) for name in order)]
    return table("matrix", "Whole-model cosine of each pair of runs.", columns, rows, notes)


def runs(index: Index, names: Collection[str], name: str) -> Table:
    """Where each of these runs comes from and how large it is."""
    notes = Notes()
    present = [key for key in SIZES if key in index.comparison.measures]
    lora = all(run.format != "checkpoint" for run in index.comparison.runs if run.name in names)
    diverged = any(cell.kl.value is not None for cell in index.cells)
    rows = []
    for run in (run for run in index.comparison.runs if run.name in names):
        low, high = run.ranks
        mark = notes.mark(f"not read: {', '.join(run.not_read)}") if run.not_read else ""
        rows.append(
            [
                Cell(run.name, note=mark),
                Cell("zero delta" if run.state == "zero delta" else "ok", kind="words"),
                *(_size(notes, index, run.scopes.get("all", {}).get(key), key) for key in present),
                *([_kl(notes, index, run.name)] if diverged else []),
                Cell(notation.between(str(low), str(high))),
                whole_number(run.modules),
                Cell(run.format, kind="words"),
                Cell(run.base or "not named", kind="words"),
                Cell(run.source, kind="words"),
            ]
        )
    heads = [Column(index.comparison.measures[key].title.lower()) for key in present]
    columns = [
        Column("run", numeric=False), Column("state", numeric=False), *heads,
        *([Column("KL(base || run)")] if diverged else []),
        Column("LoRA rank" if lora else "nominal rank"), Column("modules"),
        Column("format", numeric=False), Column("base", numeric=False),
        Column("source", numeric=False),
    ]  # fmt: skip
    caption = "Size of each update: norm over all modules, ranks as medians over modules."
    if diverged:
        caption += f" KL in nats a completion{cut(index)}, with its standard error."
    if not lora:
        caption += " Nominal rank: of a LoRA update its r, of a dense one the smaller side."
    return table(name, caption, columns, rows, notes)


def _kl(notes: Notes, index: Index, name: str) -> Cell:
    cell = index.cell_of.get(name)
    if cell is None or cell.kl.value is None:
        return notes.cell(cell.kl if cell else None)
    return Cell(kl_text(cell))


def _size(notes: Notes, index: Index, found: Reading | None, key: str) -> Cell:
    if found is None or found.value is None:
        return notes.cell(found)
    return Cell(notation.significant(found.value))


def floors(index: Index) -> Table:
    """What the same recipe does when it is run again."""
    notes = Notes()
    rows = []
    for floor in index.comparison.floors:
        ends = (min(floor.cosines), max(floor.cosines)) if floor.cosines else None
        low = Cell("needs 3 runs", kind="absent") if floor.low is None else number(floor.low)
        rows.append(
            [
                Cell(floor.kind, note=notes.mark(floor.rule)),
                Cell(notation.listed(floor.runs), kind="words"),
                whole_number(len(floor.cosines)),
                Cell(notation.span(*ends) if ends else "none"),
                low,
            ]
        )
    columns = [
        Column("floor", numeric=False), Column("runs", numeric=False), Column("pairs"),
        Column("cosines"), Column("lower bound"),
    ]  # fmt: skip
    caption = "Floors: cosines between runs of one recipe that differ in one seed only."
    return table("floors", caption, columns, rows, notes)


def definitions(index: Index) -> list[tuple[str, str, str, str]]:
    """Key, title, range with unit and meaning of each measure, in the order of the tables."""
    known = [*COLUMNS, *SIZES]
    based = index.comparison.against_base
    measures = index.comparison.measures | (based.measures if based else {})
    rows = []
    for key in sorted(measures, key=lambda k: (known.index(k) if k in known else len(known), k)):
        info = measures[key]
        low, high = (notation.NONE if end is None else f"{end:g}" for end in info.range)
        limits = f"{low} to {high}" if info.range[1] is not None else f"from {low}"
        limits = f"{limits} {info.unit}".strip().replace("-", notation.MINUS)
        rows.append((key, info.title, limits, info.meaning))
    return rows
