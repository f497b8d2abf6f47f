"""The charts of answers and sums: KL from the base, agreement, and two updates together."""

from collections.abc import Sequence

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import (
    MOST_ROWS,
    PAIR_ROW,
    ROW,
    SPARSE,
    names_axis,
    ringed,
    room,
)
from goniometer.report.facts.index import Index
from goniometer.report.theme import Spec, var
from goniometer.report.words.labels import interference, weights_name
from goniometer.results import Agreement, Composed, Divergence

RIGHT = {"left": 2, "right": 60, "top": 4, "bottom": 2}


def kl(index: Index, found: Sequence[Divergence]) -> Chart | None:
    """Forward KL of each run; None where none is defined."""
    rows: list[Row] = [
        {
            "run": one.run,
            "x": rounded(one.kl.value),
            "lo": rounded(max(0.0, one.kl.value - (one.error or 0.0))),
            "hi": rounded(one.kl.value + (one.error or 0.0)),
            "t": notation.significant(one.kl.value),
            "e": notation.with_error(one.kl.value, one.error),
            "c": index.colour(one.run),
            "fill": index.fill(one.run),
        }
        for one in found
        if one.kl.value is not None
    ]
    if not rows:
        return None
    signals = {
        "high": 1.06 * max(row["hi"] for row in rows) or 1.0,
        "room": room([row["run"] for row in rows]),
    }
    description = "Forward KL of each run from the base, with its standard error."
    return Chart("kl", description, ROW * len(rows), {"runs": rows}, signals, RIGHT)


def agreement_spec() -> Spec:
    """Share of problems with the same outcome (filled), and kappa (hollow)."""
    y = names_axis("pair")
    scale = alt.Scale(domain=[alt.expr("low"), alt.expr("1")], nice=False)
    title = "share of problems; hollow: kappa"
    x = alt.X("x:Q", title=title, scale=scale, axis=SPARSE)
    rows = alt.Chart(alt.NamedData("pairs"))
    tooltip = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("what:N", title="what"),
        alt.Tooltip("x:Q", title="value"),
        alt.Tooltip("n:Q", title="problems"),
    ]
    chosen = rows.transform_filter("isValid(who) && datum.k === who")
    layers = [
        ringed(rows, cursor="pointer").encode(y=y, x=x, tooltip=tooltip),
        chosen.mark_point(size=170, color=var("accent"), strokeWidth=2, opacity=1).encode(y=y, x=x),
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
    """Measured loss with its interval beside what two updates that do not meet would give."""
    y = names_axis("pair")
    scale = alt.Scale(domain=[alt.expr("low"), alt.expr("high")], nice=False, zero=False)
    title = "nats a token"
    x = alt.X("x:Q", title=title, scale=scale, axis=SPARSE)
    rows = alt.Chart(alt.NamedData("pairs"))
    tooltip = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("x:Q", title="measured"),
        alt.Tooltip("e:Q", title="expected"),
        alt.Tooltip("i:N", title="interference"),
        alt.Tooltip("cos:N", title="cosine"),
        alt.Tooltip("off:N", title="off subspace"),
    ]
    chosen = rows.transform_filter("isValid(who) && datum.k === who")
    beside = rows.mark_text(align="left", x=alt.expr("width + 8"), color=var("muted"))
    layers = [
        rows.mark_rule(strokeWidth=2, color=var("ink"), cursor="pointer").encode(
            y=y, x=alt.X("lo:Q", title=title), x2="hi:Q"
        ),
        rows.mark_tick(thickness=2, size=14, color=var("opposite")).encode(
            y=y, x=alt.X("e:Q", title=title)
        ),
        rows.mark_circle(size=44, opacity=1, cursor="pointer").encode(
            y=y, x=x, color=plain("c"), tooltip=tooltip
        ),
        beside.encode(y=y, text="t:N"),
        chosen.mark_point(size=130, color=var("accent"), strokeWidth=2, opacity=1).encode(y=y, x=x),
    ]
    title_of = alt.TitleParams(alt.expr("heading"), frame="bounds")
    return spec(layers, ("low", "high", "room", "heading", "who"), title_of)


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
                "i": interference(one),
                "cos": notation.reading(one.cosine),
                "off": notation.reading(one.off_subspace),
                "t": _beside(one),
                "c": var("ink"),
            }
        )
    values = [v for row in rows for v in (row["lo"], row["hi"], row["e"]) if v is not None]
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


def _beside(one: Composed) -> str:
    parts = [
        "\u2013" if found.value is None else notation.fixed(found.value, 2)
        for found in (one.cosine, one.off_subspace)
    ]
    return " / ".join(parts)
