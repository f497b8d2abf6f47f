"""The charts of answers and sums: how often two runs agree, and two updates together."""

from collections.abc import Sequence

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import PADDING, Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import (
    MOST_ROWS,
    PAIR_ROW,
    SPARSE,
    chart_heading,
    chosen_ring,
    ending,
    names_axis,
    ringed,
    room,
)
from goniometer.report.theme import Spec, var
from goniometer.report.words.labels import interference, weights_name
from goniometer.results import Agreement, Composed

RIGHT = PADDING | {"right": 60}


def agreement_spec() -> Spec:
    """Share of problems with the same outcome (filled), and kappa (hollow)."""
    y = names_axis("pair")
    scale = ending("low", "1")
    title = "share of problems; hollow: kappa"
    x = alt.X("x:Q", title=title, scale=scale, axis=SPARSE)
    rows = alt.Chart(alt.NamedData("pairs"))
    tooltip = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("what:N", title="what"),
        alt.Tooltip("x:Q", title="value"),
        alt.Tooltip("n:Q", title="problems"),
    ]
    layers = [
        ringed(rows, cursor="pointer").encode(y=y, x=x, tooltip=tooltip),
        chosen_ring(rows, x, y, 170),
    ]
    return spec(layers, ("low", "room", "who"))


def agreement(found: Sequence[Agreement]) -> Chart:
    """How often two runs are both right or both wrong, and beyond what accuracies give."""
    shown = sorted(found, key=lambda one: -one.same_outcome)[:MOST_ROWS]
    rows: list[Row] = []
    for k, one in enumerate(shown):
        for what, value, fill in (
            ("same outcome", one.same_outcome, var("ink")),
            ("kappa", one.kappa.value, var("ground")),
        ):
            if value is not None:
                row = {"k": k, "a": one.a, "b": one.b, "pair": f"{one.a}, {one.b}", "n": one.n}
                rows.append(
                    row | {"what": what, "x": rounded(value), "c": var("ink"), "fill": fill}
                )
    signals = {
        "low": min(0.0, *(row["x"] for row in rows)),
        "room": room([row["pair"] for row in rows]),
        "who": None,
    }
    description = "Agreement of each pair of runs on the same problems."
    return Chart("agreement", description, PAIR_ROW * len(shown), {"pairs": rows}, signals)


def composed_spec() -> Spec:
    """Measured loss with its interval beside what is expected, without and with the cosine."""
    y = names_axis("pair")
    scale = ending(zero=False)
    title = "nats a token"
    x = alt.X("x:Q", title=title, scale=scale, axis=SPARSE)
    rows = alt.Chart(alt.NamedData("pairs"))
    tooltip = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("x:Q", title="measured"),
        alt.Tooltip("e:Q", title="expected"),
        alt.Tooltip("by:Q", title="expected by cosine"),
        alt.Tooltip("i:N", title="interference"),
        alt.Tooltip("cos:N", title="cosine"),
        alt.Tooltip("off:N", title="off subspace"),
    ]
    beside = rows.mark_text(align="left", x=alt.expr("width + 8"), color=var("muted"))
    layers = [
        rows.mark_rule(strokeWidth=2, color=var("ink"), cursor="pointer").encode(
            y=y, x=alt.X("lo:Q", title=title), x2="hi:Q"
        ),
        *(
            rows.mark_tick(thickness=2, size=14, color=var(token)).encode(
                y=y, x=alt.X(f"{key}:Q", title=title)
            )
            for key, token in (("by", "muted"), ("e", "opposite"))
        ),
        rows.mark_circle(size=44, opacity=1, cursor="pointer").encode(
            y=y, x=x, color=plain("c"), tooltip=tooltip
        ),
        beside.encode(y=y, text="t:N"),
        chosen_ring(rows, x, y),
    ]
    return spec(layers, ("low", "high", "room", "heading", "who"), chart_heading())


def composed(found: Sequence[Composed]) -> list[Chart]:
    """One chart a pair of weights: the sum, the mean."""
    charts = []
    for weights in dict.fromkeys(one.weights for one in found):
        mine = [one for one in found if one.weights == weights and one.nll.value is not None]
        if mine:
            charts.append(_composed(weights, mine))
    return charts


def _composed(weights: tuple[float, float], found: Sequence[Composed]) -> Chart:
    shown = sorted(found, key=lambda one: -(one.interference.value or 0.0))[:MOST_ROWS]
    rows: list[Row] = []
    for k, one in enumerate(shown):
        value = one.nll.value
        rows.append(
            {
                "k": k,
                "a": one.a,
                "b": one.b,
                "pair": f"{one.a}, {one.b}",
                "x": rounded(value),
                "lo": rounded(value if one.low is None else one.low),
                "hi": rounded(value if one.high is None else one.high),
                "e": rounded(one.expected.value),
                "by": rounded(_by_cosine(one)),
                "i": interference(one),
                "cos": notation.reading(one.cosine),
                "off": notation.reading(one.off_subspace),
                "t": _beside(one),
                "c": var("ink"),
            }
        )
    values = [
        v for row in rows for v in (row["lo"], row["hi"], row["e"], row["by"]) if v is not None
    ]
    edge = 0.05 * (max(values) - min(values)) or 0.01
    signals = {
        "low": min(values) - edge,
        "high": max(values) + edge,
        "room": room([row["pair"] for row in rows]),
        "heading": f"{weights_name(weights).capitalize()} of two updates",
        "who": None,
    }
    description = f"Loss of the {weights_name(weights)} of two updates, against what is expected."
    return Chart("composed", description, PAIR_ROW * len(rows), {"pairs": rows}, signals, RIGHT)


def _by_cosine(one: Composed) -> float | None:
    """The loss that is expected with the interference that the cosine predicts."""
    expected, more = one.expected.value, one.by_cosine.value
    return None if expected is None or more is None else expected + more


def _beside(one: Composed) -> str:
    parts = [
        "\u2013" if found.value is None else notation.fixed(found.value, 2)
        for found in (one.cosine, one.off_subspace)
    ]
    return " / ".join(parts)
