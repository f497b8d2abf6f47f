"""The chart of midpoint contrasts: of every straight path between two runs, with its interval."""

from collections.abc import Sequence

import altair as alt

from goniometer.report.charts.chart import Chart, Row, rounded, spec
from goniometer.report.charts.parts import (
    MOST_ROWS,
    PAIR_ROW,
    SPARSE,
    chosen_ring,
    ending,
    names_axis,
    room,
)
from goniometer.report.theme import Spec, var
from goniometer.report.words.labels import contrast
from goniometer.results import Segment


def contrasts_spec() -> Spec:
    """Midpoint contrasts with intervals around 0."""
    y = names_axis("pair")
    title = "midpoint contrast, nats a token"
    scale = ending()
    x = alt.X("x:Q", title=title, scale=scale, axis=SPARSE)
    tooltip = [alt.Tooltip("pair:N"), alt.Tooltip("t:N", title="midpoint contrast")]
    rows = alt.Chart(alt.NamedData("pairs"))
    layers = [
        alt.Chart(alt.NamedData("zero")).mark_rule(color=var("axis")).encode(x=x),
        rows.mark_rule(strokeWidth=1.5, color=var("ink"), cursor="pointer").encode(
            y=y, x=alt.X("lo:Q", title=title), x2="hi:Q"
        ),
        rows.mark_circle(size=40, opacity=1, color=var("ink"), cursor="pointer").encode(
            y=y, x=x, tooltip=tooltip
        ),
        chosen_ring(rows, x, y),
    ]
    return spec(layers, ("low", "high", "room", "who"))


def contrasts(found: Sequence[Segment]) -> Chart | None:
    """Contrasts of paths between runs, the highest first; None where none is defined."""
    defined = [s for s in found if s.midpoint.value is not None]
    shown = sorted(defined, key=lambda s: -(s.midpoint.value or 0.0))[:MOST_ROWS]
    if not shown:
        return None
    rows: list[Row] = [
        {
            "k": k,
            "a": s.start,
            "b": s.end,
            "pair": f"{s.start}, {s.end}",
            "x": rounded(s.midpoint.value),
            "lo": rounded(s.midpoint.value if s.midpoint_low is None else s.midpoint_low),
            "hi": rounded(s.midpoint.value if s.midpoint_high is None else s.midpoint_high),
            "t": contrast(s),
        }
        for k, s in enumerate(shown)
    ]
    low, high = min(0.0, *(r["lo"] for r in rows)), max(0.0, *(r["hi"] for r in rows))
    edge = 0.04 * (high - low) or 0.01
    signals = {"low": low - edge, "high": high + edge, "who": None}
    signals["room"] = room([str(row["pair"]) for row in rows])
    data: dict[str, list[Row]] = {"pairs": rows, "zero": [{"x": 0}]}
    description = "Midpoint contrast of each path between two runs."
    return Chart("contrasts", description, PAIR_ROW * len(rows) + 8, data, signals)
