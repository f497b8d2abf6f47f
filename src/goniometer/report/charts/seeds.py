"""The chart of seeds: cosines of arms within one seed, across seeds, and corrected for them."""

from collections.abc import Sequence

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import PADDING, Chart, Row, rounded, spec
from goniometer.report.charts.parts import MOST_ROWS, ending, names_axis, room
from goniometer.report.facts.seeds import Crossed
from goniometer.report.theme import Spec, var

ROW = {1: 26, 2: 36}  # by lines of a name
SHORT = 20  # letters of a pair that stand in one line
FURTHEST = (-0.5, 1.5)  # an interval of few seeds may be far wider; there it leaves the axis


def seeds_spec() -> Spec:
    """A row a pair of arms: the floor as a band, cosines as dots, the corrected as a diamond."""
    # Vega sets the first of two lines where one line would stand.
    y = names_axis(
        "pair", labelExpr=r"split(datum.label, '\n')", labelOffset=alt.expr("lines > 1 ? -7 : 0")
    )
    scale = ending(zero=False)
    title = "whole-model cosine"
    x = alt.X("x:Q", title=title, scale=scale, axis=alt.Axis(grid=True, tickCount=6))
    start = alt.X("lo:Q", title=title)
    tooltip = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("k:N", title="what"),
        alt.Tooltip("x:Q", title="cosine"),
    ]
    floors = alt.Chart(alt.NamedData("floors"))
    dots = alt.Chart(alt.NamedData("dots"))
    corrected = alt.Chart(alt.NamedData("corrected"))
    layers = [
        floors.mark_bar(height=20, color=var("accent"), opacity=0.3).encode(
            y=y, x=start, x2="hi:Q"
        ),
        floors.mark_tick(size=20, thickness=1.5, color=var("accent"), opacity=1).encode(y=y, x=x),
        dots.mark_point(size=32, opacity=1, strokeWidth=1.3, stroke=var("ink"), yOffset=-5).encode(
            y=y, x=x, fill=alt.Fill("fill:N", scale=None), tooltip=tooltip
        ),
        corrected.mark_rule(strokeWidth=2, color=var("opposite"), yOffset=5, clip=True).encode(
            y=y, x=start, x2="hi:Q"
        ),
        corrected.mark_point(
            shape="diamond", size=60, opacity=1, fill=var("opposite"), stroke=None, yOffset=5
        ).encode(y=y, x=x, tooltip=tooltip),
        corrected.mark_text(align="left", x=alt.expr("width + 8"), fontSize=12).encode(
            y=y, text="t:N"
        ),
    ]
    return spec(layers, ("low", "high", "room", "lines"))


def seeds(found: Sequence[Crossed]) -> Chart:
    """Cosines of pairs of arms, within one seed, across seeds, and corrected for attenuation."""
    data: dict[str, list[Row]] = {"floors": [], "dots": [], "corrected": []}
    shown = found[:MOST_ROWS]
    names = _names(shown)
    for row in shown:
        pair = names[row]
        if row.repeats:
            ends = {"lo": rounded(min(row.repeats)), "hi": rounded(max(row.repeats))}
            data["floors"] += [{"pair": pair, "x": rounded(x), **ends} for x in row.repeats]
        for kind, values, fill in (
            ("within one seed", row.within, var("ink")),
            ("across seeds", row.found.cosines, var("ground")),
        ):
            data["dots"] += [
                {"pair": pair, "k": kind, "x": rounded(x), "fill": fill} for x in values
            ]
        value = row.found.corrected.value
        text = "undefined" if value is None else notation.in_unit(value, "")
        point = {"pair": pair, "k": "corrected", "x": rounded(value), "t": text}
        interval = {"lo": rounded(row.found.low), "hi": rounded(row.found.high)}
        data["corrected"].append({**point, **interval})
    seen = [v for rows in data.values() for row in rows if (v := row["x"]) is not None]
    far = [v for row in data["corrected"] for v in (row["lo"], row["hi"]) if v is not None]
    seen += [min(max(end, FURTHEST[0]), FURTHEST[1]) for end in far]
    low, high = min([0.0, *seen]), max([1.0, *seen])
    edge = 0.02 * (high - low)
    signals = {"low": low - edge, "high": high + edge, "room": room(list(names.values()))}
    signals["lines"] = 1 + any("\n" in name for name in names.values())
    padding = PADDING | {"right": 56}
    description = "Cosines between arms within one seed, across seeds, and corrected."
    return Chart("seeds", description, ROW[signals["lines"]] * len(shown), data, signals, padding)


def _names(found: Sequence[Crossed]) -> dict[Crossed, str]:
    """Pairs in one line, or all in two where one is too long for that."""
    pairs = {row: (row.found.a, row.found.b) for row in found}
    long = max((len(a) + len(b) for a, b in pairs.values()), default=0) > SHORT
    return {row: (",\n" if long else ", ").join(pair) for row, pair in pairs.items()}
