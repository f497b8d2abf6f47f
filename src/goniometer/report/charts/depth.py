"""Small multiples over layers, projections or ranks, with nulls and floors behind the values.

A panel holds the lines of every choice of a menu and draws that of the signal `pick`, so that
the page needs no data but the charts' own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import altair as alt

from goniometer.report.charts.chart import Chart, Row, plain, spec
from goniometer.report.charts.parts import chart_heading, ending
from goniometer.report.theme import Spec, var

HEIGHT = 96
ROOM = 26  # for the numbers of an axis, so that plots align
DENSE = 16  # layers; with more of them dots are small
TICKS: dict[float, list[float]] = {90.0: [0, 30, 60, 90], 1.0: [0, 0.5, 1]}
SIGNALS = (
    "pick", "xs", "groups", "names", "lows", "highs", "ticks", "unit", "colour", "heading",
    "group", "low", "high",
)  # fmt: skip
ORDERED = ("layer", "rank")  # what has an order is joined by lines


def profile_spec(xs: Sequence[str], axis: str) -> Spec:
    """Values as dots, joined over layers; bands fill the width of their layer."""
    x, start = (_places(xs, axis, position) for position in (0.5, 0.0))
    # What few choices change has signals of its own: a new choice then redraws little.
    scale = ending(zero=False)
    ticks = alt.Axis(
        values=alt.expr("ticks"),
        tickCount=alt.expr("ticks ? 9 : 3"),
        labelExpr="datum.label + unit",
        minExtent=ROOM,
        maxExtent=ROOM,
    )
    y = alt.Y("v:Q", title=None, scale=scale, axis=ticks)
    chosen = alt.Chart(alt.NamedData("lines")).transform_filter("datum.p === pick")
    drawn = chosen.transform_calculate(x="xs", name="names[datum.m]", k="datum.h || 0")
    drawn = drawn.transform_flatten(["x", "v"])
    dashes = alt.Scale(domain=[0, 1, 2], range=[[1, 0], [3, 3], [1, 3]])
    joined = drawn.mark_line(color=alt.expr("colour"), strokeWidth=1.5).encode(
        x=x, y=y, strokeDash=alt.StrokeDash("k:O", legend=None, scale=dashes)
    )
    size, stroke = (20, 1.5) if len(xs) <= DENSE else (6, 0.6)
    dots = drawn.mark_point(
        size=size,
        opacity=1,
        strokeWidth=stroke,
        stroke=alt.expr("colour"),
        fill=alt.expr(f"datum.k > 0 ? '{var('ground')}' : colour"),
    )
    tooltip = [
        alt.Tooltip("name:N", title="reading"),
        alt.Tooltip("x:N", title=axis),
        alt.Tooltip("v:Q", title="value"),
    ]
    reason = chosen.transform_filter("isValid(datum.n)").mark_text(
        x=alt.expr("width / 2"), y=HEIGHT / 2, color=var("muted"), lineHeight=13
    )
    # The layer that was chosen on the page: a line through the middle of its place.
    marked = (
        alt.Chart(alt.NamedData("lines"))
        .transform_filter("isValid(at) && datum.p === pick && !datum.h")
        .transform_calculate(x="at")
    )
    at = [] if axis == "rank" else ["at"]
    layers = [
        *_bands(x, start, scale, ticks),
        *([marked.mark_rule(color=var("opposite"), strokeWidth=1.5).encode(x=x)] if at else []),
        *([joined] if axis in ORDERED else []),
        dots.encode(x=x, y=y, tooltip=tooltip),
        reason.encode(text="n:N"),
    ]
    return spec(layers, (*SIGNALS, *at), chart_heading(24))


def _places(xs: Sequence[str], axis: str, position: float) -> alt.X:
    """Layers, projections or ranks along x: the middle (0.5) or the start (0) of each."""
    return alt.X(
        "x:N",
        title=None,
        bandPosition=position,
        scale=alt.Scale(domain=list(xs), padding=0.0 if axis in ORDERED else 0.35),
        axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=5, ticks=False),
    )


def _bands(x: alt.X, start: alt.X, scale: alt.Scale, axis: alt.Axis) -> list[alt.Chart]:
    """Floors of all pairs and the nulls of the chosen one's group: filled, both ends as lines."""
    chosen = alt.Chart(alt.NamedData("bands")).transform_filter(
        "datum.g === null || datum.g === group"
    )
    flat = chosen.transform_calculate(x="xs").transform_flatten(["x", "lo", "hi"])
    fill = flat.mark_bar(width={"band": 1}).encode(
        x=x,
        y=alt.Y("lo:Q", title=None, scale=scale, axis=axis),
        y2="hi:Q",
        color=plain("c"),
        opacity=alt.Opacity("o:Q", scale=None),
    )
    ends = [
        flat.mark_rule(strokeWidth=1).encode(
            x=start,
            x2=alt.X2("x:N", bandPosition=1),
            y=alt.Y(f"{end}:Q", title=None, scale=scale, axis=axis),
            color=plain("c"),
            strokeDash=alt.StrokeDash("d:N", scale=None),
        )
        for end in ("lo", "hi")
    ]
    return [fill, *ends]


@final
@dataclass(frozen=True)
class Panel:
    """What one small multiple shows.

    `lines`: rows {p: choice, m: position in names, v: values over `xs`, n: reason for no value,
    h: how hollow};
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
    unit: str = ""

    @property
    def ticks(self) -> list[float] | None:
        """Round ticks of the ranges that end at 1 or 90; None leaves them to Vega."""
        return TICKS.get(self.limits[0][1]) if len(self.limits) == 1 else None

    def chart(self, pick: int) -> Chart:
        """The panel as a chart that shows the choice `pick` first."""
        low, high = self.limits[pick if len(self.limits) > 1 else 0]
        signals = {
            "pick": pick,
            "xs": list(self.xs),
            "groups": self.groups,
            "names": list(self.names),
            "lows": [low for low, _ in self.limits],
            "highs": [high for _, high in self.limits],
            "ticks": self.ticks,
            "unit": self.unit,
            "colour": self.colour,
            "heading": self.heading,
            "group": self.groups[pick] if self.groups else None,
            "low": low,
            "high": high,
        }
        if self.axis != "rank":  # which no choice of a layer marks
            signals["at"] = None
        data = {"lines": self.lines, "bands": self.bands}
        return Chart(self.axis, f"{self.heading}, by {self.axis}.", HEIGHT, data, signals)
