"""The charts of straight paths: loss along one and, where measured, accuracy and bare answers."""

from collections.abc import Sequence

import altair as alt

from goniometer.report.charts.chart import Chart, Row, rounded, spec
from goniometer.report.charts.parts import chart_heading
from goniometer.report.theme import Spec, var
from goniometer.report.words.labels import note
from goniometer.results import Segment

HEIGHT = 190
ROOM = 34  # pixels for the numbers of an axis
HEAD = 34  # pixels for the two lines over a path
SIGNALS = ("pick", "heading", "starts", "ends", "lows", "highs", "format")
# A path holds losses, accuracies or bare answers: heading, and the unit of its numbers.
KINDS = {
    "loss": ("loss along the path, nats a token", ".3~f"),
    "accuracy": ("greedy accuracy along the path", ".3~p"),
    "bare_answer": ("bare answer, nats a token", ".3~f"),
}


def path_spec() -> Spec:
    """A path with its interval, its chord, its barrier and the base; names at both ends."""

    def chosen(name: str) -> alt.Chart:
        return alt.Chart(alt.NamedData(name)).transform_filter("datum.p === pick")

    ticks = alt.Axis(
        values=[0, 0.25, 0.5, 0.75, 1],
        labelExpr="datum.value === 0 ? starts[pick] : datum.value === 1 ? ends[pick]"
        " : width > 300 || datum.value === 0.5 ? '' + datum.value : ''",
        labelFlush=True,
        labelOverlap=False,
        labelLimit=alt.expr("width > 300 ? width / 5 : width * 0.4"),
        grid=True,
    )
    x = alt.X("x:Q", title=None, scale=alt.Scale(domain=[0, 1], nice=False), axis=ticks)
    limits = [alt.expr("lows[pick]"), alt.expr("highs[pick]")]
    numbers = alt.Axis(
        tickCount=4, labelExpr="format(datum.value, format)", minExtent=ROOM, maxExtent=ROOM
    )
    scale = alt.Scale(domain=limits, nice=False, zero=False)
    y = alt.Y("y:Q", title=None, scale=scale, axis=numbers)
    low = alt.Y("lo:Q", title=None, scale=scale, axis=numbers)
    points = chosen("points")
    base = alt.Chart(alt.NamedData("base"))
    tooltip = [
        alt.Tooltip("x:Q", title="position"),
        alt.Tooltip("y:Q", title="value"),
        alt.Tooltip("lo:Q", title="low"),
        alt.Tooltip("hi:Q", title="high"),
    ]
    layers = [
        points.mark_area(color=var("accent"), opacity=0.16).encode(x=x, y=low, y2="hi:Q"),
        base.mark_rule(color=var("muted"), strokeDash=[1, 3]).encode(y=y),
        base.mark_text(
            x=alt.expr("width"), align="right", baseline="bottom", dy=-2, color=var("muted")
        ).encode(y=y, text="t:N"),
        chosen("chords").mark_line(color=var("muted"), strokeDash=[5, 4], strokeWidth=1.3)
        .encode(x=x, y=y),
        chosen("barriers").mark_rule(color=var("opposite"), strokeWidth=2)
        .encode(x=x, y=low, y2="hi:Q"),
        points.mark_line(color=var("accent"), strokeWidth=1.6).encode(x=x, y=y),
        points.mark_circle(size=26, opacity=1, color=var("accent"))
        .encode(x=x, y=y, tooltip=tooltip),
        chosen("notes").mark_text(
            align="left", baseline="bottom", x=0, y=-8, lineHeight=14, color=var("ink")
        ).encode(text="t:N"),
    ]  # fmt: skip
    return spec(layers, SIGNALS, chart_heading(30, offset=HEAD))


def paths(found: Sequence[Segment], base: str, base_loss: float | None, pick: int) -> list[Chart]:
    """Losses along all paths and, where measured, accuracy and bare answers; `pick` stands."""
    drawn = [kind for kind in KINDS if kind == "loss" or any(getattr(s, kind) for s in found)]
    return [_path(found, kind, base, base_loss, pick) for kind in drawn]


def _path(
    found: Sequence[Segment], kind: str, base: str, base_loss: float | None, pick: int
) -> Chart:
    data: dict[str, list[Row]] = {
        "points": [], "chords": [], "barriers": [], "notes": [], "base": []
    }  # fmt: skip
    limits = []
    level = base_loss if kind == "loss" else None
    for p, segment in enumerate(found):
        rows = _points(segment, kind)
        data["points"] += [row | {"p": p} for row in rows]
        known = [row for row in rows if row["y"] is not None]
        ends = [row for row in known if row["x"] in (0, 1)]
        if len(ends) == 2 and kind == "loss":
            data["chords"] += [{"p": p, "x": row["x"], "y": row["y"]} for row in ends]
            data["barriers"] += [{"p": p} | row for row in _barrier(segment, ends)]
        text = note(segment) if kind == "loss" else [] if known else ["not measured here"]
        data["notes"].append({"p": p, "t": text})
        values = [v for row in known for v in (row["y"], row["lo"], row["hi"]) if v is not None]
        values += [] if level is None else [level]
        low, high = min(values, default=0.0), max(values, default=1.0)
        edge = 0.08 * (high - low) or 0.01
        limits.append((low - edge, high + edge))
    if level is not None:
        data["base"] = [{"y": rounded(level), "t": base}]
    heading, unit = KINDS[kind]
    signals = {
        "pick": pick,
        "heading": heading,
        "starts": [segment.start for segment in found],
        "ends": [segment.end for segment in found],
        "lows": [rounded(low) for low, _ in limits],
        "highs": [rounded(high) for _, high in limits],
        "format": unit,
    }
    return Chart("path", f"{heading.capitalize()}, with its chord.", HEIGHT, data, signals)


def _points(segment: Segment, kind: str) -> list[Row]:
    values = getattr(segment, kind) or (None,) * len(segment.positions)
    blank = (None,) * len(values)
    lows, highs = (segment.low, segment.high) if kind == "loss" else (blank, blank)
    return [
        {"x": rounded(x), "y": rounded(y), "lo": rounded(low), "hi": rounded(high)}
        for x, y, low, high in zip(segment.positions, values, lows, highs, strict=True)
    ]


def _barrier(segment: Segment, ends: Sequence[Row]) -> list[Row]:
    """From the chord up to the path where the path is highest above it; none below."""
    if segment.barrier_at is None or not segment.barrier.value:
        return []
    x = segment.barrier_at
    chord = (1 - x) * ends[0]["y"] + x * ends[1]["y"]
    top = rounded(chord + segment.barrier.value)
    return [{"x": rounded(x), "lo": rounded(chord), "hi": top}]
