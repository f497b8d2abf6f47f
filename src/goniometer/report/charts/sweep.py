"""The charts of a sweep: what a learning rate or a share of wrong rows does to each arm."""

from collections.abc import Callable, Sequence
from functools import partial

import altair as alt

from goniometer.report.charts.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import chart_heading, decades, ringed
from goniometer.report.facts import grid
from goniometer.report.facts.grid import Factor
from goniometer.report.facts.index import Index
from goniometer.report.facts.sweep import Measure, measures
from goniometer.report.theme import Spec, var

HEIGHT = 130
ROOM = 34  # pixels for the numbers of an axis, so that plots align
ASIDE = 4  # pixels between arms whose intervals would cover each other
TENFOLD = 10  # sizes that differ by more stand on a logarithmic axis
SIGNALS = ("left", "right", "settings", "low", "high", "ticks", "heading")
TITLES: dict[Factor, str] = {
    "seed": "seed",
    "learning rate": "peak learning rate",
    "wrong share": "share of wrong rows, as achieved",
}


def sweep_spec(*, x_log: bool, y_log: bool) -> Spec:
    """A line an arm, its own setting filled, the grid's runs hollow."""
    along = alt.Scale(
        type="log" if x_log else "linear",
        domain=[alt.expr("left"), alt.expr("right")],
        nice=False,
        zero=False,
    )
    settings = alt.Axis(
        values=alt.expr("settings"),
        labelOverlap="greedy",
        labelSeparation=4,
        format=".4~g" if x_log else ".0%",
    )
    x = alt.X("x:Q", title=None, scale=along, axis=settings)
    up = alt.Scale(
        type="log" if y_log else "linear",
        domain=[alt.expr("low"), alt.expr("high")],
        nice=False,
        zero=False,
    )
    axis = alt.Axis(
        grid=True,
        values=alt.expr("ticks"),
        tickCount=4,
        format=".4~g",
        minExtent=ROOM,
        maxExtent=ROOM,
    )
    y = alt.Y("y:Q", title=None, scale=up, axis=axis)
    tooltip = [
        alt.Tooltip("run:N"),
        alt.Tooltip("x:Q", title="at"),
        alt.Tooltip("y:Q", title="value"),
    ]
    rows = alt.Chart(alt.NamedData("rows"))
    aside = alt.expr("datum.o")
    layers = [
        rows.mark_rule(strokeWidth=1.2, xOffset=aside).encode(
            x=x, y=alt.Y("lo:Q", title=None), y2="hi:Q", color=plain("c")
        ),
        rows.mark_line(strokeWidth=1.4, xOffset=aside).encode(
            x=x, y=y, color=plain("c"), detail="arm:N"
        ),
        ringed(rows, xOffset=aside).encode(x=x, y=y, tooltip=tooltip),
        rows.mark_text(align="left", dx=6, dy=-9, color=var("muted")).encode(x=x, y=y, text="w:N"),
    ]
    return spec(layers, SIGNALS, chart_heading(34))


def specifications() -> dict[str, Callable[[], Spec]]:
    """The specification of each kind of axes; a learning rate is logarithmic, a share is not."""
    return {
        _base(x_log=x, y_log=y): partial(sweep_spec, x_log=x, y_log=y)
        for x in (True, False)
        for y in (True, False)
    }


def _base(*, x_log: bool, y_log: bool) -> str:
    return f"sweep-{'log' if x_log else 'linear'}-{'log' if y_log else 'linear'}"


def sweeps(index: Index, of: Factor) -> list[Chart]:
    """Charts of one factor; none where the grid does not move it."""
    found = grid.families(index, of)
    charts = []
    for measure in measures(index, of) if found else ():
        rows = [
            row
            for place, arm in enumerate(found)
            for row in _rows(index, of, arm, measure, place - (len(found) - 1) / 2)
        ]
        if rows:
            charts.append(_chart(of, measure, _worded_once(rows)))
    return charts


def _rows(index: Index, of: Factor, arm: str, measure: Measure, place: float) -> list[Row]:
    cells = grid.family(index, arm, of)
    points = [(cell, point) for cell in cells if (point := measure.of(cell, arm)) is not None]
    return [
        {
            "arm": arm,
            "run": cell.name,
            "x": rounded(grid.place(index, cell, of)),
            "y": rounded(point.value),
            "lo": rounded(point.ends[0]) if point.ends else None,
            "hi": rounded(point.ends[1]) if point.ends else None,
            # Intervals of several arms at one setting stand side by side.
            "o": ASIDE * place if point.ends else 0,
            "w": point.word,
            "c": index.colour(arm),
            "fill": index.colour(arm) if cell.name == arm else var("ground"),
        }
        for cell, point in points
    ]


def _worded_once(rows: list[Row]) -> list[Row]:
    """Where several runs stand at one place, one word says it."""
    said: set[tuple[float, float]] = set()
    for row in rows:
        place = (row["x"], row["y"])
        if row["w"] and place in said:
            row["w"] = ""
        elif row["w"]:
            said.add(place)
    return rows


def _chart(of: Factor, measure: Measure, rows: list[Row]) -> Chart:
    settings = sorted({row["x"] for row in rows})
    seen = [v for row in rows for v in (row["y"], row["lo"], row["hi"]) if v is not None]
    logarithmic = measure.logarithmic and max(seen) > TENFOLD * min(seen)
    left, right = _ends(of, settings)
    low, high = _logarithmic(seen) if logarithmic else _linear(seen, measure)
    signals = {
        "left": left,
        "right": right,
        "settings": settings,
        "low": low,
        "high": high,
        "ticks": decades(low, high) if logarithmic else None,
        "heading": measure.heading,
    }
    base = _base(x_log=of == "learning rate", y_log=logarithmic)
    description = f"{measure.heading} against {TITLES[of]}."
    return Chart(base, description, HEIGHT, {"rows": rows}, signals)


def _logarithmic(seen: Sequence[float]) -> tuple[float, float]:
    return 0.8 * min(seen), 1.25 * max(seen)


def _linear(seen: Sequence[float], measure: Measure) -> tuple[float, float]:
    floor, ceiling = measure.limits
    low = min(seen) if floor is None else min(floor, *seen)
    high = max(seen) if ceiling is None else ceiling
    edge = 0.12 * (high - low) or 0.5  # above 1 stands a word
    return (low if low == 0 else low - edge), high + edge


def _ends(of: Factor, settings: Sequence[float]) -> tuple[float, float]:
    if of == "learning rate":
        return settings[0] / 1.4, settings[-1] * 1.4
    edge = 0.08 * (settings[-1] - settings[0]) or 0.05
    return settings[0] - edge, settings[-1] + edge
