"""The charts of a trajectory: each reading by step, dashed what orthogonal increments give."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import altair as alt

from goniometer.report.charts.chart import Chart, Row, rounded, spec
from goniometer.report.charts.parts import chart_heading, ending
from goniometer.report.facts.index import Index, whole
from goniometer.report.theme import Spec, var
from goniometer.results import Step, Trajectory

HEIGHT = 110
ROOM = 30  # pixels for the numbers of an axis, so that plots align
DENSE = 40  # checkpoints; with more of them dots are small
SIGNALS = ("first", "last", "low", "high", "unit", "colour", "heading", "size")
Value = Callable[[Step], float | None]


@final
@dataclass(frozen=True)
class Line:
    """One line of a chart: its name, its value at a step, and how it is drawn."""

    name: str
    of: Value
    null: bool = False
    hollow: bool = False


def steps_spec() -> Spec:
    """Readings as joined dots, the second of a kind hollow; nulls as dashed lines."""
    axis = alt.Axis(
        grid=True, tickCount=3, labelExpr="datum.label + unit", minExtent=ROOM, maxExtent=ROOM
    )
    limits = ending(zero=False)
    y = alt.Y("y:Q", title=None, scale=limits, axis=axis)
    ends = ending("first", "last", zero=False)
    ticks = alt.Axis(tickCount=4, labelFlush=True, labelOverlap=True, format="d")
    x = alt.X("x:Q", title="step", scale=ends, axis=ticks)
    rows = alt.Chart(alt.NamedData("lines"))
    read, null = rows.transform_filter("!datum.n"), rows.transform_filter("datum.n")
    line = alt.Detail("s:N")
    tooltip = [
        alt.Tooltip("s:N", title="reading"),
        alt.Tooltip("x:Q", title="step"),
        alt.Tooltip("y:Q", title="value"),
    ]
    dots = read.mark_point(
        size=alt.expr("size"),
        opacity=1,
        strokeWidth=1.2,
        stroke=alt.expr("colour"),
        fill=alt.expr(f"datum.h ? '{var('ground')}' : colour"),
    )
    layers = [
        null.mark_line(strokeWidth=1.2, strokeDash=[4, 3], color=var("muted")).encode(
            x=x, y=y, detail=line, tooltip=tooltip
        ),
        read.mark_line(strokeWidth=1.3, color=alt.expr("colour")).encode(x=x, y=y, detail=line),
        dots.encode(x=x, y=y, tooltip=tooltip),
    ]
    return spec(layers, SIGNALS, chart_heading(28))


def panels(index: Index, one: Trajectory, place: int) -> list[Chart]:
    """Norm, cosine and angles to the final checkpoint, and cosine of successive increments."""
    colour = var(f"run-{place % 6}")
    norm = [Line("norm", lambda s: s.norm), Line("null", lambda s: s.norm_null, null=True)]
    cosine = [
        Line("cosine", lambda s: s.cosine_to_final.value),
        Line("null", lambda s: s.cosine_to_final_null.value, null=True),
    ]
    angles = [
        Line("left", lambda s: s.angle_left.value),
        Line("right", lambda s: s.angle_right.value, hollow=True),
        Line("null, left", _angle_null(index, one, "left"), null=True),
        Line("null, right", _angle_null(index, one, "right"), null=True),
    ]
    turns = [
        Line("cosine", lambda s: s.cosine_of_increments.value),
        Line("null", lambda _: 0.0, null=True),
    ]
    return [
        _chart(one, colour, "norm", norm, (0.0, None)),
        _chart(one, colour, "cosine to final", cosine, (0.0, 1.0)),
        _chart(one, colour, "angle to final", angles, (0.0, 90.0), "\u00b0"),
        _chart(one, colour, "cosine of increments", turns, (0.0, 1.0)),
    ]


def _angle_null(index: Index, one: Trajectory, side: str) -> Value:
    """Median of the independent null of a checkpoint's pair with the final one; none at itself."""
    final = one.steps[-1].run

    def of(step: Step) -> float | None:
        pair = index.pair(step.run, final)
        if pair is None:
            return None
        measure = f"angle_{side}_median"
        band = index.null(pair.null_group, whole(pair), measure, "independent")
        return band.median if band else None

    return of


def _chart(
    one: Trajectory,
    colour: str,
    heading: str,
    lines: Sequence[Line],
    limits: tuple[float, float | None],
    unit: str = "",
) -> Chart:
    rows = [row for line in lines for row in _rows(one, line)]
    values = [row["y"] for row in rows]
    low, high = limits
    low = min([low, *values])  # cosines may be negative
    high = max(values, default=1.0) * 1.05 if high is None else high
    signals = {
        "first": one.steps[0].step,
        "last": one.steps[-1].step,
        "low": math.floor(low * 10) / 10 if low < 0 else low,
        "high": high or 1.0,
        "unit": unit,
        "colour": colour,
        "heading": heading,
        "size": 18 if len(one.steps) <= DENSE else 5,
    }
    return Chart("steps", f"{one.name}: {heading} by step.", HEIGHT, {"lines": rows}, signals)


def _rows(one: Trajectory, line: Line) -> list[Row]:
    found = [(step.step, line.of(step)) for step in one.steps]
    return [
        {"x": x, "y": rounded(y), "s": line.name, "n": line.null, "h": line.hollow}
        for x, y in found
        if y is not None
    ]
