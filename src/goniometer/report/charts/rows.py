"""What small multiples are made of: rows of values, of nulls and of floors over scopes."""

import textwrap
from collections.abc import Sequence

from goniometer.report.charts.chart import Row, rounded
from goniometer.report.facts.index import NULL_COLOURS, NULL_KINDS, Index, read
from goniometer.report.facts.inputs import MOMENTS, NAMES, bands
from goniometer.report.theme import var
from goniometer.results import PairReadings, Reading

WRAP = 22  # letters of a reason that fit into a panel
INPUT_DASH = {"covariance": [1, 0], "second moment": [3, 2]}
INPUT_OPACITY = {"covariance": 0.3, "second moment": 0.1}
FLOOR_OPACITY = {"same init, other order": 0.36, "other init, same order": 0.12}


def line(choice: int, name: int, found: Sequence[Reading | None], hollow: int = 0) -> Row:
    """Values over x of one reading; where none is defined, the reason, wrapped to the panel.

    `hollow`: 0 is drawn filled and solid, 1 and 2 hollow and with dashes of two kinds.
    """
    values = [rounded(reading.value, 4) if reading else None for reading in found]
    row: Row = {"p": choice, "m": name, "v": values} | ({"h": hollow} if hollow else {})
    if all(value is None for value in values):
        reasons = [r.undefined for r in found if r is not None and r.undefined]
        row["n"] = textwrap.wrap(f"undefined: {reasons[0]}" if reasons else "not measured", WRAP)
    return row


def null_rows(
    index: Index, groups: Sequence[str | None], places: Sequence[tuple[str, str]]
) -> list[Row]:
    """The nulls over places, each a scope and a measure, for each null group and kind."""
    rows: list[Row] = []
    for group in dict.fromkeys(group for group in groups if group is not None):
        for kind in NULL_KINDS:
            bands = [index.null(group, scope, measure, kind) for scope, measure in places]
            ends = [(band.low, band.high) if band else None for band in bands]
            if any(ends):
                look = {"c": NULL_COLOURS[kind], "o": 1, "d": [1, 0], "g": group}
                rows.append(band(f"null: {kind.replace('_', ' ')}", ends) | look)
    return rows


def floor_rows(index: Index, scopes: Sequence[str], measure: str) -> list[Row]:
    """Smallest and largest value of a measure over each floor's pairs, by scope."""
    rows: list[Row] = []
    for floor in index.comparison.floors:
        ends = [index.floor_range(floor, scope, measure) for scope in scopes]
        if any(ends):
            dash = [1, 0] if floor.kind == "same init, other order" else [3, 2]
            look = {"c": var("accent"), "o": FLOOR_OPACITY[floor.kind], "d": dash, "g": None}
            rows.append(band(f"floor: {floor.arm}, {floor.kind}", ends) | look)
    return rows


def input_rows(index: Index, scopes: Sequence[str], measure: str) -> list[Row]:
    """What strangers share at a module by its inputs alone, over scopes, for each moment."""
    rows: list[Row] = []
    for moment in MOMENTS:
        ends = bands(index, scopes, moment, measure)
        if any(ends):
            look = {"c": var("opposite"), "o": INPUT_OPACITY[moment], "d": INPUT_DASH[moment]}
            rows.append(band(NAMES[moment], ends) | look | {"g": None})
    return rows


def band(text: str, ends: Sequence[tuple[float | None, float | None] | None]) -> Row:
    """A band over scopes, with gaps where it has no ends; how it looks is for the caller to add."""
    return {
        "t": text,
        "lo": [rounded(end[0]) if end else None for end in ends],
        "hi": [rounded(end[1]) if end else None for end in ends],
    }


def limits(index: Index, measure: str, rows: Sequence[Row]) -> tuple[float, float]:
    """The y range of a measure: its own, but a cosine's goes below 0 only as far as needed."""
    info = index.comparison.measures.get(measure)
    low, high = info.range if info else (None, None)
    seen = [
        v for row in rows for key in ("v", "lo", "hi") for v in row.get(key, ()) if v is not None
    ]
    if low is None or low < 0:
        low = min([0.0, *seen])
    return low, high if high is not None else max([low + 1e-9, *seen]) * 1.05


def readings(
    pair: PairReadings | None, scopes: Sequence[str], measure: str
) -> list[Reading | None]:
    """One measure of a pair over scopes."""
    return [read(pair, scope, measure) if pair else None for scope in scopes]
