"""The table of pairs: every whole-model reading, with the nulls of each column below."""

from collections.abc import Sequence

from goniometer.report import notation
from goniometer.report.facts import inputs
from goniometer.report.facts.index import NULL_KINDS, NULL_NAMES, Index, alike_first, whole
from goniometer.report.tables.table import Cell, Column, Notes, Table, share, table, whole_number
from goniometer.results import PairReadings

# Columns of the table of pairs: measure, the head over it and its own.
COLUMNS = {
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


def pairs(index: Index, found: Sequence[PairReadings], name: str, caption: str) -> Table:
    """Every whole-model reading of pairs, the nulls of each column in the last rows."""
    notes = Notes()
    measures = [key for key in COLUMNS if key in index.comparison.measures]
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
    heads = [Column(COLUMNS[key][1], group=COLUMNS[key][0]) for key in measures]
    columns = [
        Column("pair", numeric=False), Column("verdict", numeric=False), *heads,
        Column("modules", group="in common"), Column("energy", group="in common"),
        Column("cosine", group="in common"),
    ]  # fmt: skip
    about = [(pair.a, pair.b) for pair in alike_first(found)]
    return table(name, caption, columns, rows, notes, foot, about)


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
    return [*rows, *_input_rows(index, measures)]


def _input_rows(index: Index, measures: Sequence[str]) -> list[list[Cell]]:
    """What strangers with these inputs share, where activations were measured."""
    rows = []
    for moment in inputs.MOMENTS:
        bands = [inputs.whole_band(index, moment, key) for key in measures]
        draws = {band.draws for band in bands if band}
        for end, part in (("low", "2.5 %"), ("high", "97.5 %")) if draws else ():
            cells = [
                Cell(notation.in_unit(getattr(band, end), _unit(index, key)) if band else "")
                for key, band in zip(measures, bands, strict=True)
            ]
            words = Cell(f"{part} of {max(draws)} draws", kind="words")
            rows.append([Cell(inputs.NAMES[moment]), words, *cells, *[Cell("")] * 3])
    return rows
