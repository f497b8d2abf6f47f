"""Small multiples over layers or projections, with nulls and floors behind the values.

A panel holds the lines of every choice of a menu and draws that of the signal `pick`, so that
the page needs no data but the charts' own.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import altair as alt

from goniometer.report.chart import Chart, Row, rounded, spec
from goniometer.report.index import NULL_COLOURS, NULL_KINDS, Index, read
from goniometer.report.theme import Spec, var
from goniometer.results import PairReadings, Reading

HEIGHT = 96
DENSE = 16  # layers; with more of them dots are small
WRAP = 34  # letters of a reason that fit into a panel
FLOOR_OPACITY = {"same init, other order": 0.85, "other init, same order": 0.4}
TICKS = {(0.0, 90.0): [0, 30, 60, 90], (0.0, 1.0): [0, 0.5, 1]}
SIGNALS = ("pick", "xs", "groups", "names", "lows", "highs", "ticks", "colour", "heading")


def profile_spec(xs: Sequence[str], axis: str) -> Spec:
    """Values as dots, joined over layers; bands fill the width of their layer."""
    padding = 0.0 if axis == "layer" else 0.35
    x = alt.X(
        "x:N",
        title=None,
        scale=alt.Scale(domain=list(xs), padding=padding),
        axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False),
    )
    limits = [alt.expr("lows[length(lows) > 1 ? pick : 0]")]
    limits += [alt.expr("highs[length(highs) > 1 ? pick : 0]")]
    scale = alt.Scale(domain=limits, nice=False, zero=False)
    ticks = alt.Axis(values=alt.expr("ticks"), tickCount=alt.expr("ticks ? 9 : 3"), minExtent=26, maxExtent=26)
    y = alt.Y("v:Q", title=None, scale=scale, axis=ticks)
    ends = {"x": x, "y": alt.Y("lo:Q", title=None, scale=scale, axis=ticks), "y2": alt.Y2("hi:Q")}
    colour = {
        "color": alt.Color("c:N", scale=None),
        "stroke": alt.Stroke("c:N", scale=None),
        "opacity": alt.Opacity("o:Q", scale=None),
    }
    bands = (
        alt.Chart(alt.NamedData("bands"))
        .transform_filter("datum.g === null || datum.g === groups[pick]")
        .transform_calculate(x="xs")
        .transform_flatten(["x", "lo", "hi"])
        .mark_bar(width={"band": 1}, strokeWidth=1)
    )
    chosen = alt.Chart(alt.NamedData("lines")).transform_filter("datum.p === pick")
    drawn = chosen.transform_calculate(x="xs", name="names[datum.m]").transform_flatten(["x", "v"])
    dash = alt.StrokeDash("m:O", legend=None, scale=alt.Scale(domain=[0, 1], range=[[1, 0], [3, 3]]))
    tooltip = [
        alt.Tooltip("name:N", title="reading"),
        alt.Tooltip("x:N", title=axis),
        alt.Tooltip("v:Q", title="value"),
    ]
    reason = chosen.transform_filter("isValid(datum.n)").mark_text(
        x=alt.expr("width / 2"), y=HEIGHT / 2, color=var("muted"), lineHeight=13
    )
    size = 20 if len(xs) <= DENSE else 5
    fill = alt.expr(f"datum.m === 1 ? '{var('ground')}' : colour")
    dots = drawn.mark_point(size=size, opacity=1, strokeWidth=1.5, stroke=alt.expr("colour"), fill=fill)
    joined = drawn.mark_line(color=alt.expr("colour"), strokeWidth=1.5)
    # Layers have an order, projections have none: only the former are joined.
    lines = [joined.encode(x=x, y=y, strokeDash=dash)] if axis == "layer" else []
    chart = alt.layer(
        bands.encode(**ends, **colour),
        *lines,
        dots.encode(x=x, y=y, tooltip=tooltip),
        reason.encode(text="n:N"),
    )
    return spec(chart, SIGNALS, title=alt.TitleParams(alt.expr("heading")))


@final
@dataclass(frozen=True)
class Panel:
    """What one small multiple shows.

    `lines`: rows {p: choice, m: position in names, v: values over `xs`, n: reason for no value};
    `bands`: rows {g: null group or null for all, t: what it is, lo, hi, and how it looks};
    `groups`: the null group of each choice; `limits`: of y for each choice, or one for all.
    """

    heading: str
    axis: str
    xs: tuple[str, ...]
    names: tuple[str, ...]
    lines: list[Row]
    limits: list[tuple[float, float]]
    bands: list[Row] = field(default_factory=list)
    groups: list[str | None] = field(default_factory=list)
    colour: str = var("ink")

    @property
    def ticks(self) -> list[float] | None:
        """Round ticks of the ranges that most measures have; None leaves them to Vega."""
        low, high = self.limits[0]
        return TICKS.get((min(low, 0.0) if high > 1 else 0.0, high)) if len(self.limits) == 1 else None

    def chart(self, pick: int) -> Chart:
        """The panel as a chart that shows the choice `pick` first."""
        signals = {
            "pick": pick,
            "xs": list(self.xs),
            "groups": self.groups,
            "names": list(self.names),
            "lows": [low for low, _ in self.limits],
            "highs": [high for _, high in self.limits],
            "ticks": self.ticks,
            "colour": self.colour,
            "heading": self.heading,
        }
        data = {"lines": self.lines, "bands": self.bands}
        return Chart(self.axis, f"{self.heading}, by {self.axis}.", HEIGHT, data, signals)


def line(choice: int, name: int, found: Sequence[Reading | None]) -> Row:
    """Values over x of one reading; where none is defined, the reason, wrapped to the panel."""
    values = [rounded(reading.value, 4) if reading else None for reading in found]
    row: Row = {"p": choice, "m": name, "v": values}
    if all(value is None for value in values):
        reasons = [r.undefined for r in found if r is not None and r.undefined]
        row["n"] = textwrap.wrap(f"undefined: {reasons[0]}" if reasons else "not measured", WRAP)
    return row


def null_rows(
    index: Index, groups: Sequence[str | None], scopes: Sequence[str], measure: str
) -> list[Row]:
    """The nulls of a measure over scopes, for each null group and kind."""
    rows: list[Row] = []
    for group in dict.fromkeys(group for group in groups if group is not None):
        for kind in NULL_KINDS:
            bands = [index.null(group, scope, measure, kind) for scope in scopes]
            ends = [(band.low, band.high) if band else None for band in bands]
            if any(ends):
                look = {"c": NULL_COLOURS[kind], "o": 1, "g": group}
                rows.append(_band(f"null: {kind.replace('_', ' ')}", ends) | look)
    return rows


def floor_rows(index: Index, scopes: Sequence[str], measure: str) -> list[Row]:
    """Smallest and largest value of a measure over each floor's pairs, by scope."""
    rows: list[Row] = []
    for floor in index.comparison.floors:
        ends = [index.floor_range(floor, scope, measure) for scope in scopes]
        if any(ends):
            look = {"c": var("accent"), "o": FLOOR_OPACITY[floor.kind], "g": None}
            rows.append(_band(f"floor: {floor.kind}", ends) | look)
    return rows


def _band(text: str, ends: Sequence[tuple[float, float] | None]) -> Row:
    return {
        "t": text,
        "lo": [rounded(end[0]) if end else None for end in ends],
        "hi": [rounded(end[1]) if end else None for end in ends],
    }


def limits(index: Index, measure: str, rows: Sequence[Row]) -> tuple[float, float]:
    """The y range of a measure: its own, but a cosine's goes below 0 only as far as needed."""
    info = index.comparison.measures.get(measure)
    low, high = info.range if info else (None, None)
    seen = [v for row in rows for key in ("v", "lo", "hi") for v in row.get(key, ()) if v is not None]
    if low is None or low < 0:
        low = min([0.0, *seen])
    return low, high if high is not None else max([low + 1e-9, *seen]) * 1.05


def readings(
    pair: PairReadings | None, scopes: Sequence[str], measure: str
) -> list[Reading | None]:
    """One measure of a pair over scopes."""
    return [read(pair, scope, measure) if pair else None for scope in scopes]
