"""The charts of training: loss and gradient norm by step, and held-out likelihood."""

from collections.abc import Sequence

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import (
    ROW,
    chart_heading,
    decades,
    ending,
    names_axis,
    ringed,
    room,
)
from goniometer.report.facts.index import Index
from goniometer.report.theme import Spec, var
from goniometer.results import Cell

ROOM = 30  # pixels for the numbers of an axis, so that plots align
MOST_POINTS = 240  # of a curve; longer ones are drawn as means of equal stretches of steps
SIGNALS = ("steps", "colour", "heading")


def loss_spec() -> Spec:
    """Loss by step on the run's own scale."""
    axis = alt.Axis(grid=True, tickCount=3, minExtent=ROOM, maxExtent=ROOM)
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False), axis=axis)
    return spec([_curve(y, None, alt.Axis(tickCount=4, labels=False))], SIGNALS, chart_heading(28))


def norm_spec() -> Spec:
    """Gradient norm by step on one logarithmic scale for all runs, the clip dashed."""
    scale = alt.Scale(type="log", domain=[alt.expr("low"), alt.expr("high")], nice=False)
    axis = alt.Axis(grid=True, values=alt.expr("ticks"), minExtent=ROOM, maxExtent=ROOM)
    y = alt.Y("y:Q", title=None, scale=scale, axis=axis)
    clip = alt.Chart(alt.NamedData("clip"))
    layers = [
        _curve(y, "step", alt.Axis(tickCount=4, labelFlush=True)),
        clip.mark_rule(strokeDash=[4, 3], color=var("muted")).encode(y=y),
    ]
    return spec(
        layers,
        (*SIGNALS, "low", "high", "ticks"),
        chart_heading(28, fontWeight="normal", fontSize=11),
    )


def _curve(y: alt.Y, title: str | None, axis: alt.Axis) -> alt.Chart:
    steps = ending("0", "steps")
    tooltip = [alt.Tooltip("x:Q", title="step"), alt.Tooltip("y:Q", title="value")]
    line: alt.Chart = (
        alt.Chart(alt.NamedData("curve"))
        .mark_line(strokeWidth=1.3, color=alt.expr("colour"), clip=True)
        .encode(x=alt.X("x:Q", title=title, scale=steps, axis=axis), y=y, tooltip=tooltip)
    )
    return line


def drawn(index: Index) -> tuple[Cell, ...]:
    """The runs whose curves are drawn: of the grid, only those that did not train to the end."""
    return tuple(c for c in index.cells if c.name not in index.grid or c.state != "trained")


def loss(index: Index, cell: Cell) -> Chart:
    """Loss of one run."""
    signals = {
        "steps": cell.steps,
        "colour": index.colour(cell.name),
        "heading": f"{cell.name}: loss per {cell.unit.removesuffix('s')}",
    }
    return Chart(
        "loss", f"Loss of {cell.name} by step.", 84, {"curve": thinned(cell.losses)}, signals
    )


def norm(index: Index, cell: Cell, clip: float | None, limits: tuple[float, float]) -> Chart:
    """Gradient norm of one run before clipping; `limits` end the axis of all runs."""
    clipped = notation.percent(cell.clipped, 0)
    signals = {
        "steps": cell.steps,
        "colour": index.colour(cell.name),
        "heading": f"gradient norm, {clipped} clipped",
        "low": limits[0],
        "high": limits[1],
        "ticks": decades(*limits),
    }
    data = {
        "curve": thinned([max(value, limits[0]) for value in cell.gradient_norms]),
        "clip": [] if clip is None else [{"y": clip}],
    }
    return Chart("norm", f"Gradient norm of {cell.name} by step.", 62, data, signals)


def thinned(values: Sequence[float]) -> list[Row]:
    """A curve of at most MOST_POINTS points, each the mean of as many steps, at its first step."""
    stride = max(1, -(-len(values) // MOST_POINTS))
    parts = [(start, values[start : start + stride]) for start in range(0, len(values), stride)]
    return [{"x": start + 1, "y": rounded(sum(part) / len(part), 4)} for start, part in parts]


def held_out_spec() -> Spec:
    """From the base's NLL (tick) to the run's (dot)."""
    y = names_axis("run")
    title, axis = "nats a token", alt.Axis(grid=True, tickCount=6)
    x = alt.X("x:Q", title=title, scale=alt.Scale(zero=False), axis=axis)
    tooltip = [
        alt.Tooltip("run:N"),
        alt.Tooltip("k:N", title="on"),
        alt.Tooltip("base:Q", title="base"),
        alt.Tooltip("x:Q", title="run's NLL"),
    ]
    rows = alt.Chart(alt.NamedData("rows"))
    base = alt.X("base:Q", title=title)
    absent = rows.transform_filter("datum.x === null && datum.k === 'right rows'").mark_text(
        align="left", x=4, color=var("muted"), text="not measured"
    )
    layers = [
        rows.mark_rule(strokeWidth=1.5).encode(y=y, x=base, x2="x:Q", color=plain("c")),
        rows.mark_tick(thickness=2, size=14, color=var("muted")).encode(y=y, x=base),
        ringed(rows).encode(y=y, x=x, tooltip=tooltip),
        absent.encode(y=y),
    ]
    return spec(layers, ("room",))


def held_out(index: Index) -> Chart:
    """NLL of held-out completions, right (filled) and wrong (hollow), of arms and repeats."""
    rows: list[Row] = []
    for cell in (index.cell_of[name] for name in index.shown if name in index.cell_of):
        for kind, base, tuned in (
            ("right rows", cell.nll_right_base, cell.nll_right),
            ("wrong rows", cell.nll_wrong_base, cell.nll_wrong),
        ):
            colour = index.colour(cell.name)
            row = {"run": cell.name, "k": kind, "base": rounded(base), "x": rounded(tuned)}
            fill = colour if kind == "right rows" else var("ground")
            rows.append(row | {"c": colour, "fill": fill})
    names = list(dict.fromkeys(row["run"] for row in rows))
    description = "Held-out NLL of each run against the base, on right and on wrong rows."
    return Chart("held-out", description, ROW * len(names), {"rows": rows}, {"room": room(names)})
