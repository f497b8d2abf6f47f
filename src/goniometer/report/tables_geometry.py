"""Tables of the comparison: runs, pairs, the matrix as numbers, and the floors."""

from collections.abc import Sequence

from goniometer.report import notation
from goniometer.report.index import NULL_KINDS, NULL_NAMES, Index, alike_first, read, whole
from goniometer.report.panels import SIZES
from goniometer.report.tables import Cell, Column, Notes, Table, number, share, table, whole_number
from goniometer.results import PairReadings, Reading

# Columns of the table of pairs: measure, the head over it and its own.
_COLUMNS = {
    "cosine": ("cosine", "whole model"),
    "cosine_mean": ("cosine", "mean of modules"),
    "cosine_median": ("cosine", "median of modules"),
    "off_direction": ("off direction", "norm"),
    "off_direction_energy": ("off direction", "energy"),
} | {
    f"off_subspace_{side}{suffix}": (f"energy outside{head}", side)
    for suffix, head in (("", ""), ("_reverse", ", reverse"))
    for side in ("left", "right", "joint")
} | {
    f"angle_{side}_{which}": (f"{side} angle", which)
    for side in ("left", "right")
    for which in ("smallest", "median", "largest")
} | {
    "overlap_left": ("overlap", "left"),
    "overlap_right": ("overlap", "right"),
    "u1": ("top direction", "left"),
    "v1": ("top direction", "right"),
}  # fmt: skip


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


def pairs(index: Index, found: Sequence[PairReadings], name: str, caption: str) -> Table:
    """Every whole-model reading of pairs, the nulls of each column in the last rows."""
    notes = Notes()
    measures = [key for key in _COLUMNS if key in index.comparison.measures]
    rows = []
    for pair in alike_first(found):
        scope = pair.scopes.get(whole(pair))
        readings = scope.readings if scope else {}
        alone = [
            f"{notation.count(len(only), 'module')} only in {run}"
            for run, only in ((pair.a, pair.only_a), (pair.b, pair.only_b))
            if only
        ]
        mark = notes.mark("; ".join(alone) + ", a true zero in the other") if alone else ""
        state = (
            "" if pair.state == "comparable" or pair.state in pair.verdict else f" ({pair.state})"
        )
        rows.append(
            [
                Cell(f"{pair.a}, {pair.b}", note=mark),
                Cell(pair.verdict + state, kind="verdict"),
                *(notes.cell(readings.get(key), _unit(index, key)) for key in measures),
                *_in_common(index, pair, notes),
            ]
        )
    foot = _null_rows(index, found, measures, whole(found[0]) if found else "union")
    heads = [Column(_COLUMNS[key][1], group=_COLUMNS[key][0]) for key in measures]
    columns = [
        Column("pair", numeric=False), Column("verdict", numeric=False), *heads,
        Column("modules", group="in common"), Column("energy", group="in common"),
        Column("cosine", group="in common"),
    ]  # fmt: skip
    return table(name, caption, columns, rows, notes, foot)


def _in_common(index: Index, pair: PairReadings, notes: Notes) -> list[Cell]:
    """What the modules that both runs adapt hold: how many, of how much energy, at what cosine."""
    scope = pair.scopes.get("intersection")
    if scope is None:
        return [Cell(notation.NONE)] * 3
    return [
        whole_number(scope.modules),
        share(scope.energy_share),
        notes.cell(scope.readings.get("cosine"), _unit(index, "cosine")),
    ]


def _unit(index: Index, measure: str) -> notation.Unit:
    return index.comparison.measures[measure].unit


def _null_rows(
    index: Index, found: Sequence[PairReadings], measures: Sequence[str], scope: str
) -> list[list[Cell]]:
    rows = []
    groups = sorted({pair.null_group for pair in found if pair.null_group})
    for group in groups:
        for kind in NULL_KINDS:
            bands = [index.null(group, scope, key, kind) for key in measures]
            draws = {band.draws for band in bands if band}
            of = f" ({group})" if len(groups) > 1 else ""
            for end, part in (("low", "2.5 %"), ("high", "97.5 %")) if draws else ():
                cells = [
                    Cell(notation.in_unit(getattr(band, end), _unit(index, key)))
                    if band
                    else Cell(notation.NONE)
                    for key, band in zip(measures, bands, strict=True)
                ]
                words = Cell(f"{part} of {max(draws)} draws", kind="words")
                beside = [Cell("")] * 3
                rows.append([Cell(f"{NULL_NAMES[kind]}{of}"), words, *cells, *beside])
    return rows


def runs(index: Index) -> Table:
    """Where each run comes from and how large it is."""
    notes = Notes()
    present = [key for key in SIZES if key in index.comparison.measures]
    rows = []
    for run in index.comparison.runs:
        low, high = run.ranks
        mark = notes.mark(f"not read: {', '.join(run.not_read)}") if run.not_read else ""
        rows.append(
            [
                Cell(run.name, note=mark),
                Cell("zero delta" if run.state == "zero delta" else "ok", kind="words"),
                *(_size(notes, index, run.scopes.get("all", {}).get(key), key) for key in present),
                Cell(str(low) if low == high else f"{low} to {high}"),
                whole_number(run.modules),
                Cell(run.format, kind="words"),
                Cell(run.base or "not named", kind="words"),
                Cell(run.source, kind="words"),
            ]
        )
    heads = [Column(index.comparison.measures[key].title.lower()) for key in present]
    columns = [
        Column("run", numeric=False), Column("state", numeric=False), *heads, Column("LoRA rank"),
        Column("modules"), Column("format", numeric=False), Column("base", numeric=False),
        Column("source", numeric=False),
    ]  # fmt: skip
    caption = "Size of each update: norm over all modules, ranks as medians over modules."
    return table("runs", caption, columns, rows, notes)


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
    known = [*_COLUMNS, *SIZES]
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
