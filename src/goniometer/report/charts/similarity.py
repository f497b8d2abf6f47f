"""The charts of activations: CKA of all pairs over layers, and one pair with its yardsticks."""

from collections.abc import Sequence
from dataclasses import replace

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts.depth import Panel
from goniometer.report.charts.parts import names_axis, room
from goniometer.report.charts.rows import band, line
from goniometer.report.theme import Spec, var
from goniometer.results import BASE, PairSimilarity, Reading, Similarity

ROW = 20
HEIGHT = 130
MOST_ROWS = 60  # of the heat map; the table holds the rest
FAINTEST = 0.06


def labels(found: Similarity) -> tuple[str, ...]:
    """Layers by the number of the block whose output they are, as weights are numbered."""
    layers = sorted({one.layer for pair in found.pairs for one in pair.layers})
    return tuple("emb" if layer == 0 else str(layer - 1) for layer in layers)


def heat_spec(xs: Sequence[str]) -> Spec:
    """Pairs by layers; the chosen pair and the chosen layer are framed."""
    y = names_axis("pair", ticks=False)
    places = alt.Scale(domain=list(xs), paddingInner=0.03)
    ticks = alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=4, ticks=False)
    x = alt.X("x:N", title=None, scale=places, axis=ticks)
    tooltip = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("x:N", title="after block"),
        alt.Tooltip("t:N", title="CKA"),
    ]
    cells = alt.Chart(alt.NamedData("cells")).encode(x=x, y=y)
    worded = cells.transform_filter(f"width - room > {40 * len(xs)}")
    layers = [
        cells.mark_rect(color=var("accent"), cursor="pointer").encode(
            opacity=alt.Opacity("o:Q", scale=None), tooltip=tooltip
        ),
        worded.mark_text(fontSize=10).encode(text="s:N", color=plain("ink")),
        cells.transform_filter(
            "isValid(who) && datum.k === who || isValid(at) && datum.x === at"
        ).mark_rect(filled=False, stroke=var("opposite"), strokeWidth=1.5, fillOpacity=0),
    ]
    return spec(layers, ("room", "who", "at"))


def heat(found: Similarity) -> Chart:
    """CKA of each pair (rows, the base's first) after each block."""
    shown = found.pairs[:MOST_ROWS]
    xs = labels(found)
    values = [one.cka.value for pair in shown for one in pair.layers if one.cka.value is not None]
    low = min(values, default=0.0)
    wide = (1 - low) or 1.0
    cells: list[Row] = []
    for k, pair in enumerate(shown):
        for one in pair.layers:
            value = one.cka.value
            share = 0.0 if value is None else max(0.0, (value - low) / wide)
            cells.append(
                {
                    "k": k,
                    "a": pair.a,
                    "b": pair.b,
                    "pair": f"{pair.a}, {pair.b}",
                    "x": "emb" if one.layer == 0 else str(one.layer - 1),
                    "o": round(FAINTEST + (1 - FAINTEST) * share, 3),
                    "t": _with_interval(one.cka, one.low, one.high),
                    "s": notation.NONE if value is None else notation.fixed(value, 3),
                    "ink": var("on-accent") if share > 0.65 else var("ink"),
                }
            )
    signals = {"room": room([f"{p.a}, {p.b}" for p in shown]), "who": None, "at": None}
    description = f"CKA of each pair after each block, {len(xs)} layers."
    return Chart("cka", description, ROW * len(shown), {"cells": cells}, signals)


def _with_interval(found: Reading, low: float | None, high: float | None) -> str:
    if found.value is None or low is None or high is None:
        return notation.reading(found) if found.value is not None else found.undefined or ""
    return f"{notation.reading(found)} ({notation.span(low, high)})"


def between(found: Similarity) -> tuple[PairSimilarity, ...]:
    """The pairs of two runs; where there is none, those with the base."""
    return tuple(pair for pair in found.pairs if pair.a != BASE) or found.pairs


def profiles(found: Similarity, shown: Sequence[PairSimilarity], pick: int) -> list[Chart]:
    """One pair's CKA with its interval, both runs' to the base, the ceiling and the null.

    Twice: from 0 with the null, and enlarged without it, as CKA of fine-tunes lies near 1.
    """
    xs = labels(found)
    to_base = {pair.b: pair for pair in found.pairs if pair.a == BASE}
    rows: list[Row] = []
    bands: list[Row] = []
    for p, pair in enumerate(shown):
        rows.append(line(p, 0, [one.cka for one in pair.layers]))
        rows += [
            line(p, m, [one.cka for one in to_base[run].layers], m)
            for m, run in ((1, pair.a), (2, pair.b))
            if run in to_base
        ]
        ends = [(one.low, one.high) for one in pair.layers]
        look = {"c": var("muted"), "o": 0.18, "d": [1, 2], "g": str(p)}
        if any(low is not None for low, _ in ends):
            bands.append(band("95 %, jackknife over prompts", ends) | look)
    null = found.random_features
    look = {"c": var("null"), "o": 1, "d": [1, 0], "g": None}
    flat = [(null.low, null.high)] * len(xs)
    bands.insert(0, band("null: random features", flat) | look)
    ceiling = next((p for p in found.pairs if (p.a, p.b) == found.ceiling), None)
    if ceiling:
        look = {"c": var("accent"), "o": 0.36, "d": [1, 0], "g": None}
        ends = [_or_value(one.low, one.high, one.cka.value) for one in ceiling.layers]
        bands.insert(1, band(f"ceiling: {ceiling.a}, {ceiling.b}", ends) | look)
    low = min([0.0, *(v for r in rows for v in r["v"] if v is not None), null.low])
    names = ("the pair", "base and first", "base and second")
    groups = [str(p) for p in range(len(shown))]
    whole = Panel(
        "CKA after each block", "layer", xs, names, rows, [(low, 1.0)], bands, list(groups)
    )
    near = bands[1:]
    limits = [
        _near(
            [r["v"] for r in rows if r["p"] == p]
            + [r["lo"] for r in near if r["g"] in (None, str(p))]
        )
        for p in range(len(shown))
    ]
    enlarged = Panel("Enlarged", "layer", xs, names, rows, limits, near, list(groups))
    return [
        replace(panel.chart(pick), base="blocks", height=height)
        for panel, height in ((whole, HEIGHT), (enlarged, HEIGHT))
    ]


def _near(lines: Sequence[Sequence[float | None]]) -> tuple[float, float]:
    """From a little below the smallest of these up to 1."""
    low = min((v for values in lines for v in values if v is not None), default=0.0)
    edge = 0.08 * (1 - low) or 1e-4
    return rounded(low - edge) or 0.0, 1 + edge


def _or_value(
    low: float | None, high: float | None, value: float | None
) -> tuple[float | None, float | None]:
    return (value, value) if low is None or high is None else (low, high)
