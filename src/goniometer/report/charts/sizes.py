"""The chart of sizes by what they do: forward KL from the base, with its standard error."""

from collections.abc import Sequence

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import PADDING, Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import ROW, ending, names_axis, ringed, room
from goniometer.report.facts.index import Index
from goniometer.report.facts.measured import with_kl
from goniometer.report.theme import Spec
from goniometer.results import Divergence, Reading


def divergence_spec(cut: str) -> Spec:
    """Dots with a standard error to either side, from 0 on; `cut` ends the axis' title."""
    y = names_axis("run")
    title = f"KL(base || run), nats a completion{cut}"
    scale = ending("0", "high", zero=True)
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
    """Forward KL of each of a study's runs."""
    rows = [_row(index, cell.name, cell.kl, cell.kl_error) for cell in with_kl(index)]
    return _chart("divergence", rows)


def kl(index: Index, found: Sequence[Divergence]) -> Chart | None:
    """Forward KL of each run that was measured with the model; None where none is defined."""
    defined = [one for one in found if one.kl.value is not None]
    rows = [_row(index, one.run, one.kl, one.error) for one in defined]
    return _chart("kl", rows) if rows else None


def _row(index: Index, run: str, found: Reading, error: float | None) -> Row:
    value, aside = found.value or 0.0, error or 0.0
    return {
        "run": run,
        "x": rounded(value),
        "lo": rounded(max(0.0, value - aside)),
        "hi": rounded(value + aside),
        "t": notation.significant(value),
        "e": notation.with_error(value, error),
        "c": index.colour(run),
        "fill": index.fill(run),
    }


def _chart(base: str, rows: list[Row]) -> Chart:
    signals = {
        "high": 1.06 * max(row["hi"] for row in rows) or 1.0,
        "room": room([row["run"] for row in rows]),
    }
    description = "Forward KL of each run from the base, with its standard error."
    padding = PADDING | {"right": 60}
    return Chart(base, description, ROW * len(rows), {"runs": rows}, signals, padding)
