"""The charts of the whole model: the ruler of all cosines, and the matrix of runs by runs.

Of each chart, one function gives the specification (Altair) and one the chart that fills it. No
text of a user ever enters an expression: names stand in data and in signals only.
"""

from collections.abc import Sequence

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import chosen
from goniometer.report.facts.index import NULL_COLOURS, NULL_KINDS, NULL_NAMES, Index, cosine, whole
from goniometer.report.theme import Spec, var
from goniometer.results import PairReadings

ROW = 36
CELL = 32
SMALL_CELL = 12
MOST_NUMBERED = 24  # runs whose cells have room for numbers
TITLE = "whole-model cosine"
LABEL = 150  # pixels that a run's name may take


def ruler_spec() -> Spec:
    """Rows of dots (cosines of pairs and of floors) and of bands (nulls) over one axis."""
    y = alt.Y("i:O", axis=None, sort=None)
    scale = alt.Scale(domain=[alt.expr("low"), alt.expr("1")])
    x = alt.X("x:Q", title=TITLE, scale=scale, axis=alt.Axis(grid=True, tickCount=6))
    texts = alt.Chart(alt.NamedData("rows")).mark_text(
        align="left", baseline="top", x=0, dy=2 - ROW / 2, color=var("muted")
    )
    bands = alt.Chart(alt.NamedData("bands")).mark_bar(height=9, yOffset=6, strokeWidth=1)
    bounds = alt.Chart(alt.NamedData("bounds")).mark_tick(
        yOffset=6, size=20, thickness=2, color=var("accent"), opacity=1
    )
    dots = alt.Chart(alt.NamedData("dots")).mark_circle(yOffset=6, size=62, opacity=0.55)
    tooltip = [alt.Tooltip("t:N", title="pair"), alt.Tooltip("x:Q", title="cosine")]
    layers = [
        texts.encode(y=y, text="t:N"),
        bands.encode(
            y=y,
            x=alt.X("lo:Q", title=TITLE),
            x2="hi:Q",
            color=plain("c"),
            stroke=alt.Stroke("c:N", scale=None),
        ),
        bounds.encode(y=y, x=x),
        dots.encode(y=y, x=x, color=plain("c"), tooltip=tooltip),
        chosen(alt.Chart(alt.NamedData("dots")))
        .mark_point(yOffset=6, size=130, strokeWidth=2, color=var("opposite"), opacity=1)
        .encode(y=y, x=x),
    ]  # fmt: skip
    return spec(layers, ("low", "who"))


def ruler(index: Index, pairs: Sequence[PairReadings], noun: str) -> Chart:
    """All cosines of pairs on one line, over those of the floors and the bands of the nulls."""
    data: dict[str, list[Row]] = {"rows": [], "dots": [], "bands": [], "bounds": []}

    def row(text: str) -> int:
        data["rows"].append({"i": len(data["rows"]), "t": text})
        return len(data["rows"]) - 1

    defined = [(pair, value) for pair in pairs if (value := cosine(pair)) is not None]
    i = row(f"{notation.count(len(defined), 'pair')} of {noun}")
    for pair, value in defined:
        data["dots"].append(
            {
                "i": i,
                "x": rounded(value),
                "t": f"{pair.a}, {pair.b}",
                "c": var("ink"),
                "a": pair.a,
                "b": pair.b,
                "k": len(data["dots"]),
            }
        )
    for floor in index.comparison.floors:
        bound = "" if floor.low is None else f", lower bound {notation.fixed(floor.low, 3)}"
        count = notation.count(len(floor.cosines), "pair")
        i = row(f"floor: {floor.arm}, {floor.kind} ({count}{bound})")
        for value in floor.cosines:
            data["dots"].append({"i": i, "x": rounded(value), "t": floor.kind, "c": var("accent")})
        if floor.low is not None:
            data["bounds"].append({"i": i, "x": rounded(floor.low)})
    groups = sorted({pair.null_group for pair, _ in defined if pair.null_group})
    scope = whole(defined[0][0]) if defined else "union"
    for kind in NULL_KINDS:
        found = [b for group in groups if (b := index.null(group, scope, "cosine", kind))]
        if found:
            i = row(f"{NULL_NAMES[kind]} (95 % of {found[0].draws} draws)")
            for b in found:
                ends = {"lo": rounded(b.low), "hi": rounded(b.high)}
                data["bands"].append({"i": i, "c": NULL_COLOURS[kind], **ends})
    low = min([-0.05, *(1.1 * value for _, value in defined)])
    description = "Whole-model cosines of all pairs, with the floors and the nulls."
    return Chart("ruler", description, ROW * len(data["rows"]), data, {"low": low, "who": None})


def matrix_spec(runs: int) -> Spec:
    """The lower triangle of a square; a run's name stands on the diagonal and reads rightwards.

    Of very many runs the cells are too small for numbers: colour, and a tooltip, must do.
    """
    places = alt.Scale(domain=list(range(runs)), paddingInner=0.04)
    x, y = (alt.X("j:O", axis=None, scale=places), alt.Y("i:O", axis=None, scale=places))
    tooltip = [
        alt.Tooltip("a:N", title="run"),
        alt.Tooltip("b:N", title="and"),
        alt.Tooltip("long:N", title="cosine"),
        alt.Tooltip("verdict:N", title="verdict"),
    ]
    cells = alt.Chart(alt.NamedData("cells")).encode(x=x, y=y, tooltip=tooltip)
    worded = cells.transform_calculate(t=f"width / {runs} > 44 ? datum.long : datum.short")
    size = 9 if runs > MOST_NUMBERED else alt.Undefined
    heads = alt.Chart(alt.NamedData("names")).mark_text(
        align="left", dx=alt.expr(f"4 - width / {2 * runs}"), fontWeight=600, limit=LABEL,
        fontSize=size,
    )  # fmt: skip
    numbers = [worded.mark_text().encode(text="t:N", color=plain("ink"))]
    layers = [
        cells.mark_rect(cursor="pointer").encode(
            color=plain("fill"), opacity=alt.Opacity("share:Q", scale=None)
        ),
        *(numbers if runs <= MOST_NUMBERED else []),
        chosen(cells).mark_rect(
            filled=False, fillOpacity=0, stroke=var("opposite"), strokeWidth=2.5
        ),
        heads.encode(x=x, y=y, text="t:N", color=plain("c")),
    ]
    return spec(layers, ("who",))


def matrix(index: Index, order: Sequence[str]) -> Chart:
    """Cosines of all pairs in this order of runs."""
    cells = [
        _cell(index.pair(a, b), i, j) for i, b in enumerate(order) for j, a in enumerate(order[:i])
    ]
    names = [{"i": i, "j": i, "t": name, "c": index.colour(name)} for i, name in enumerate(order)]
    data = {"cells": cells, "names": names}
    padding = {"left": 2, "right": 16, "top": 2, "bottom": 2}
    description = "Cosine of each pair of runs."
    cell = CELL if len(order) <= MOST_NUMBERED else SMALL_CELL
    for k, row in enumerate(cells):
        row["k"] = k
    return Chart("matrix", description, cell * len(order), data, {"who": None}, padding)


def _cell(pair: PairReadings | None, i: int, j: int) -> Row:
    value = cosine(pair) if pair else None
    word = notation.state(pair) if pair else notation.NONE
    if value is not None and word != "same":
        long = notation.in_unit(value, "")
        short = notation.fixed(value, 2).replace("0.", ".", 1)
    else:
        long = short = word or "n/a"
    size = 0.0 if value is None else min(1.0, abs(value))
    return {
        "i": i,
        "j": j,
        "a": pair.a if pair else "",
        "b": pair.b if pair else "",
        "verdict": pair.verdict if pair else "",
        "long": long,
        "short": short,
        "share": round(0.05 + 0.95 * size, 3),
        "fill": var("accent") if value is None or value >= 0 else var("opposite"),
        "ink": var("on-accent") if size > 0.74 else var("ink"),
    }


def seriated(index: Index) -> tuple[str, ...]:
    """The runs but the grid's, alike ones side by side.

    Optimal leaf order, average linkage on 1 - cosine.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    names = index.shown
    if len(names) < 3:
        return names
    distances = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            pair = index.pair(a, b)
            value = cosine(pair) if pair else None
            distances.append(1.0 if value is None else 1 - value)
    order = [names[i] for i in leaves_list(linkage(distances, "average", optimal_ordering=True))]
    # A leaf order and its reverse are equally good: the first run goes nearer to the top.
    return tuple(order if order.index(names[0]) <= len(names) / 2 else order[::-1])
