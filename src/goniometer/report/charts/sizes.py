"""The chart of sizes by what they do: forward KL from the base, with its standard error."""

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import ROW, names_axis, ringed, room
from goniometer.report.facts.index import Index
from goniometer.report.facts.measured import with_kl
from goniometer.report.theme import Spec
from goniometer.report.words.labels import kl_text


def divergence_spec(cut: str) -> Spec:
    """Dots with a standard error to either side, from 0 on; `cut` ends the axis' title."""
    y = names_axis("run")
    title = f"KL(base || run), nats a completion{cut}"
    scale = alt.Scale(domain=[alt.expr("0"), alt.expr("high")], nice=False, zero=True)
    axis = alt.Axis(grid=True, tickCount=5)
    x, low = alt.X("x:Q", title=title, scale=scale, axis=axis), alt.X("lo:Q", title=title)
    tooltip = [alt.Tooltip("run:N"), alt.Tooltip("e:N", title="KL")]
    runs = alt.Chart(alt.NamedData("runs"))
    layers = [
        runs.mark_rule(strokeWidth=2).encode(y=y, x=low, x2="hi:Q", color=plain("c")),
        ringed(runs).encode(y=y, x=x, tooltip=tooltip),
        runs.mark_text(align="left", x=alt.expr("width + 8"), fontSize=12).encode(y=y, text="t:N"),
    ]
    return spec(layers, ("high", "room"))


def divergence(index: Index) -> Chart:
    """Forward KL of each run."""
    rows: list[Row] = []
    for cell in with_kl(index):
        value, error = cell.kl.value or 0.0, cell.kl_error or 0.0
        rows.append(
            {
                "run": cell.name,
                "x": rounded(value),
                "lo": rounded(max(0.0, value - error)),
                "hi": rounded(value + error),
                "t": notation.significant(value),
                "e": kl_text(cell),
                "c": index.colour(cell.name),
                "fill": index.fill(cell.name),
            }
        )
    signals = {
        "high": 1.06 * max(row["hi"] for row in rows) or 1.0,
        "room": room([row["run"] for row in rows]),
    }
    padding = {"left": 2, "right": 60, "top": 4, "bottom": 2}
    description = "Forward KL of each run from the base, with its standard error."
    return Chart("divergence", description, ROW * len(rows), {"runs": rows}, signals, padding)
