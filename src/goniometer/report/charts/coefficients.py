"""Histograms of per-token gradient coefficients, by objective (arXiv 2402.03300, section 5.2)."""

from collections.abc import Sequence

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import chart_heading, ending
from goniometer.report.facts.index import Index
from goniometer.report.facts.measured import with_coefficients
from goniometer.report.theme import Spec, var
from goniometer.report.words.labels import stretch
from goniometer.results import Cell, Coefficients

HEIGHT = 84
ROOM = 36  # pixels for the numbers of an axis, so that plots align
# Around 0 the axis is linear up to about this size, beyond it logarithmic.
LINEAR = 0.01
SIGNALS = ("low", "high", "ticks", "reach", "heading")


def histogram_spec() -> Spec:
    """Bars over a symmetric-log axis: right rows upwards, wrong rows downwards."""
    scale = alt.Scale(
        type="symlog",
        constant=LINEAR,
        domain=[alt.expr("low"), alt.expr("high")],
        nice=False,
        zero=False,
    )
    axis = alt.Axis(values=alt.expr("ticks"), format="~g", grid=True)
    x = alt.X("lo:Q", title=None, scale=scale, axis=axis)
    shares = ending("-reach", "reach")
    sides = alt.Axis(
        grid=True,
        tickCount=3,
        labelExpr="format(abs(datum.value), '.0%')",
        minExtent=ROOM,
        maxExtent=ROOM,
    )
    tooltip = [
        alt.Tooltip("k:N", title="rows"),
        alt.Tooltip("lo:Q", title="from"),
        alt.Tooltip("hi:Q", title="to below"),
        alt.Tooltip("s:Q", title="share of their tokens"),
    ]
    bars = alt.Chart(alt.NamedData("bins"))
    none = alt.Chart(alt.NamedData("none"))
    layers = [
        # The stroke keeps the narrow bin of coefficients that are exactly 0 in sight.
        bars.mark_bar(strokeWidth=1.5, opacity=1, clip=True).encode(
            x=x,
            x2="hi:Q",
            y=alt.Y("y:Q", title=None, scale=shares, axis=sides),
            y2=alt.datum(0),
            color=plain("c"),
            stroke=alt.Stroke("c:N", scale=None),
            tooltip=tooltip,
        ),
        bars.mark_rule(color=var("axis")).encode(y=alt.datum(0)),
        none.mark_text(align="left", x=4, y=HEIGHT - 10, color=var("muted")).encode(text="t:N"),
    ]
    return spec(layers, SIGNALS, chart_heading(36))


def histograms(index: Index) -> list[tuple[Chart, ...]]:
    """One chart for each stretch of steps of each arm, all on the same axes."""
    cells = with_coefficients(index)
    windows = [one for cell in cells for one in cell.coefficients]
    filled = [
        (one.edges[i], one.edges[i + 1])
        for one in windows
        for i, (right, wrong) in enumerate(zip(one.right, one.wrong, strict=True))
        if right or wrong
    ]
    low = min([0.0, *(lo for lo, _ in filled)])
    low = min(low, -1.0) if low < 0 else low
    high = max([1.0, *(hi for _, hi in filled)])
    reach = max([0.1, *(share for one in windows for share in _largest(one))])
    axes = {"low": low, "high": high, "reach": reach, "ticks": _ticks(low, high)}
    return [tuple(_chart(cell, one, axes) for one in cell.coefficients) for cell in cells]


def _largest(found: Coefficients) -> list[float]:
    return [max(counts) / sum(counts) for counts in (found.right, found.wrong) if sum(counts)]


def _ticks(low: float, high: float) -> list[float]:
    """0 and 1, and as many powers of 100 as the axis reaches: room for more there is none."""
    sizes = [1.0, 100.0, 1e4]
    ticks = [-size for size in reversed(sizes)] + [0.0] + sizes
    return [tick for tick in ticks if low <= tick <= high]


def _chart(cell: Cell, found: Coefficients, axes: dict[str, object]) -> Chart:
    first = found is cell.coefficients[0]
    steps = f"steps {stretch(found)}"
    bins = [*rows(found, "right"), *rows(found, "wrong")]
    absent = [kind for kind in ("right", "wrong") if not sum(getattr(found, kind))]
    none = [{"t": f"no {notation.listed(absent)} rows"}] if absent else []
    heading = f"{cell.name}: {steps}" if first else steps
    signals = {**axes, "heading": heading}
    description = f"Gradient coefficients of {cell.name}, {steps}."
    return Chart("coefficients", description, HEIGHT, {"bins": bins, "none": none}, signals)


def rows(found: Coefficients, kind: str) -> list[Row]:
    """The bins of right or of wrong rows that hold tokens, as shares of all tokens of the kind."""
    counts: Sequence[int] = found.right if kind == "right" else found.wrong
    whole, sign = sum(counts), 1 if kind == "right" else -1
    colour = var("accent") if kind == "right" else var("opposite")
    return [
        {
            "k": kind,
            "lo": rounded(found.edges[i]),
            "hi": rounded(found.edges[i + 1]),
            "s": rounded(count / whole),
            "y": rounded(sign * count / whole),
            "c": colour,
        }
        for i, count in enumerate(counts)
        if count
    ]
