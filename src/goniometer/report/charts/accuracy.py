"""The charts of accuracy: runs with Wilson intervals, differences with the margin."""

from collections.abc import Sequence

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import PADDING, Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import (
    MOST_ROWS,
    PAIR_ROW,
    ROW,
    chart_heading,
    chosen_ring,
    ending,
    names_axis,
    ringed,
    room,
)
from goniometer.report.facts.index import Index
from goniometer.report.theme import Spec, var
from goniometer.results import Accuracy, Paired


def accuracies_spec() -> Spec:
    """Dots with intervals; the base's interval is shaded through all rows."""
    y = names_axis("run")
    scale = ending(zero=False)
    axis = alt.Axis(grid=True, format=".3~p", tickCount=5)
    title = "accuracy, Wilson 95 % interval"
    x = alt.X("x:Q", title=title, scale=scale, axis=axis)
    tooltip = [
        alt.Tooltip("run:N"),
        alt.Tooltip("t:N", title="accuracy"),
        alt.Tooltip("lo:Q", title="low"),
        alt.Tooltip("hi:Q", title="high"),
        alt.Tooltip("n:Q", title="problems"),
    ]
    runs = alt.Chart(alt.NamedData("runs"))
    base = alt.Chart(alt.NamedData("base"))
    low = alt.X("lo:Q", title=title)
    layers = [
        base.mark_rect(color=var("shared"), opacity=0.5).encode(x=low, x2="hi:Q"),
        base.mark_rule(color=var("muted"), strokeDash=[3, 3]).encode(x=x),
        runs.mark_rule(strokeWidth=2).encode(y=y, x=low, x2="hi:Q", color=plain("c")),
        ringed(runs).encode(y=y, x=x, tooltip=tooltip),
        runs.mark_text(align="left", x=alt.expr("width + 8"), fontSize=12).encode(y=y, text="t:N"),
    ]
    return spec(layers, ("low", "high", "room"))


def accuracies(index: Index, found: Sequence[Accuracy]) -> Chart:
    """Accuracy of each run; the first is the base."""
    base = found[0].run
    rows = [
        {
            "run": a.run,
            "x": rounded(a.accuracy),
            "lo": rounded(a.low),
            "hi": rounded(a.high),
            "t": notation.percent(a.accuracy),
            "n": a.n,
            "c": var("ink") if a.run == base else index.colour(a.run),
            "fill": var("ink") if a.run == base else index.fill(a.run),
        }
        for a in found
    ]
    low, high = min(a.low for a in found), max(a.high for a in found)
    edge = 0.04 * (high - low)
    signals = {"low": max(0.0, low - edge), "high": min(1.0, high + edge)}
    signals["room"] = room([a.run for a in found])
    description = "Accuracy of each run with its Wilson interval, the base first."
    data = {"runs": rows, "base": rows[:1]}
    padding = PADDING | {"right": 56}
    return Chart("accuracies", description, ROW * len(rows), data, signals, padding)


def forest_spec() -> Spec:
    """Differences with intervals over the shaded margin, in percentage points."""
    y = names_axis("pair")
    scale = ending("-reach", "reach")
    points = "points, Tango 95 % interval"
    x = alt.X("x:Q", title=points, scale=scale, axis=alt.Axis(grid=True, tickCount=5))
    tooltip = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("x:Q", title="points"),
        alt.Tooltip("lo:Q", title="low"),
        alt.Tooltip("hi:Q", title="high"),
        alt.Tooltip("p:N", title="Holm p of a difference"),
        alt.Tooltip("need:N", title="smallest margin"),
    ]
    pairs = alt.Chart(alt.NamedData("pairs"))
    margin = alt.Chart(alt.NamedData("margin"))
    low = alt.X("lo:Q", title=points)
    layers = [
        margin.mark_rect(color=var("accent"), opacity=0.16).encode(x=low, x2="hi:Q"),
        margin.mark_rule(color=var("axis")).encode(x=x),
        pairs.mark_rule(strokeWidth=1.5, color=var("ink"), cursor="pointer").encode(
            y=y, x=low, x2="hi:Q"
        ),
        pairs.mark_circle(size=40, opacity=1, color=var("ink"), cursor="pointer").encode(
            y=y, x=x, tooltip=tooltip
        ),
        chosen_ring(pairs, x, y),
    ]
    return spec(layers, ("reach", "room", "heading", "who"), chart_heading())


def difference(pair: Paired) -> str:
    """The pair as its difference: first minus second."""
    return f"{pair.a} {notation.MINUS} {pair.b}"


def forest(found: Sequence[Paired], reach: float, room: int, of: str = "") -> Chart:
    """Differences in accuracy of pairs.

    All forests of a page share `reach`, the end of the axis in points, and the `room` for names;
    `of` says in the heading which runs they are of.
    """
    shown = found[:MOST_ROWS]
    rows: list[Row] = [
        {
            "k": k,
            "a": p.a,
            "b": p.b,
            "pair": difference(p),
            "x": rounded(100 * p.difference, 3),
            "lo": rounded(100 * p.low, 3),
            "hi": rounded(100 * p.high, 3),
            "p": notation.p_value(p.p_holm),
            "need": notation.fixed(100 * p.smallest_margin, 1),
        }
        for k, p in enumerate(shown)
    ]
    margin = 100 * found[0].margin
    data: dict[str, list[Row]] = {"pairs": rows, "margin": [{"lo": -margin, "x": 0, "hi": margin}]}
    verdict = found[0].verdict
    heading = f"{verdict[0].upper()}{verdict[1:]}{of}: {notation.count(len(found), 'pair')}"
    signals = {"reach": reach, "room": room, "heading": heading, "who": None}
    description = f"Differences in accuracy: {verdict}."
    return Chart("forest", description, PAIR_ROW * len(rows), data, signals)
