"""What several charts are made of: names down the left, headings, scales, rings, round ticks."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from goniometer.report.theme import var

ROW = 24
PAIR_ROW = 20
MOST_ROOM = 150
MOST_ROWS = 40  # of a forest; the table holds the rest
SPARSE = alt.Axis(grid=True, tickCount=5, labelOverlap=True, labelSeparation=4)


def names_axis(field: str, **look: Any) -> alt.Y:
    """Runs or pairs down the left, in the order of the data; the signal `room` is their width."""
    axis = alt.Axis(
        labelLimit=MOST_ROOM,
        labelFontSize=12,
        labelColor=var("ink"),
        minExtent=alt.expr("room"),
        maxExtent=alt.expr("room"),
        **look,
    )
    return alt.Y(f"{field}:N", title=None, sort=None, axis=axis)


def room(names: Sequence[str]) -> int:
    """Pixels that the longest of these names takes, as far as there is room."""
    return min(
        MOST_ROOM,
        math.ceil(
            10 + 6.8 * max((len(line) for name in names for line in name.split("\n")), default=0)
        ),
    )


def chart_heading(beyond: int | None = None, **look: Any) -> alt.TitleParams:
    """The signal `heading` over a chart; its text may reach `beyond` pixels past the plot."""
    if beyond is not None:
        look["limit"] = alt.expr(f"width + {beyond}")
    return alt.TitleParams(alt.expr("heading"), frame="bounds", **look)


def ending(low: str = "low", high: str = "high", **look: Any) -> alt.Scale:
    """A scale whose ends are expressions, by default the signals `low` and `high`."""
    return alt.Scale(domain=[alt.expr(low), alt.expr(high)], nice=False, **look)


def ringed(dots: alt.Chart, **mark: Any) -> alt.Chart:
    """Points in a run's colour (field c), filled or hollow (field fill)."""
    rings: alt.Chart = dots.mark_point(size=58, opacity=1, strokeWidth=2, **mark).encode(
        stroke=alt.Stroke("c:N", scale=None), fill=alt.Fill("fill:N", scale=None)
    )
    return rings


def chosen(rows: alt.Chart) -> alt.Chart:
    """The row of the pair that is chosen on the page: the signal `who` is its number."""
    return rows.transform_filter("isValid(who) && datum.k === who")


def chosen_ring(rows: alt.Chart, x: alt.X, y: alt.Y, size: int = 130) -> alt.Chart:
    """A ring around the chosen pair's dot."""
    ring: alt.Chart = (
        chosen(rows)
        .mark_point(size=size, color=var("accent"), strokeWidth=2, opacity=1)
        .encode(y=y, x=x)
    )
    return ring


def decades(low: float, high: float) -> list[float]:
    """At least two round ticks of a logarithmic axis: powers of ten, or 1, 2 and 5 of each."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [float(f"{step}e{power}") for power in powers for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) > 1:
            return inside
    return [low, high]
