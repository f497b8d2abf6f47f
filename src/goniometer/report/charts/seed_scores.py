"""The chart of accuracy by seed: every run is a dot, and no mean hides them."""

import altair as alt

from goniometer.report import notation
from goniometer.report.charts.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import ending, names_axis, ringed, room
from goniometer.report.facts import grid
from goniometer.report.facts.index import Index
from goniometer.report.theme import Spec, var

LINE = 13  # pixels of one seed among those of an arm
GAP = 8


def scores_spec() -> Spec:
    """Accuracy of each seed of each arm, a line a seed; the base's interval is shaded."""
    y = names_axis("arm")
    seed = alt.YOffset("seed:O", sort=None)
    scale = ending(zero=False)
    title = "accuracy, Wilson 95 %"
    axis = alt.Axis(grid=True, format=".3~p", tickCount=5)
    x, low = alt.X("x:Q", title=title, scale=scale, axis=axis), alt.X("lo:Q", title=title)
    tooltip = [
        alt.Tooltip("run:N"),
        alt.Tooltip("t:N", title="accuracy"),
        alt.Tooltip("seed:O", title="seed"),
    ]
    runs = alt.Chart(alt.NamedData("runs"))
    base = alt.Chart(alt.NamedData("base"))
    layers = [
        base.mark_rect(color=var("shared"), opacity=0.5).encode(x=low, x2="hi:Q"),
        runs.mark_rule(strokeWidth=1.3).encode(
            y=y, yOffset=seed, x=low, x2="hi:Q", color=plain("c")
        ),
        ringed(runs).encode(y=y, yOffset=seed, x=x, tooltip=tooltip),
    ]
    return spec(layers, ("low", "high", "room"))


def scores(index: Index) -> Chart | None:
    """Accuracy by seed within each arm; None without seeds or scores."""
    rows: list[Row] = []
    most = 1
    for arm, cells in grid.families(index, "seed").items():
        known = [(cell, index.scores[cell.name]) for cell in cells if cell.name in index.scores]
        for cell, score in known:
            look = {"c": index.colour(cell.name), "fill": index.fill(cell.name)}
            ends = {"lo": rounded(score.low), "hi": rounded(score.high)}
            text = notation.percent(score.accuracy)
            row = {"arm": arm, "run": cell.name, "seed": cell.seed, "x": rounded(score.accuracy)}
            rows.append({**row, **ends, **look, "t": text})
        most = max(most, len(known))
    study = index.results.study
    if not rows or study is None:
        return None
    base = [{"lo": rounded(a.low), "hi": rounded(a.high)} for a in study.accuracies[:1]]
    low = min(row["lo"] for row in (*rows, *base))
    high = max(row["hi"] for row in (*rows, *base))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    edge = 0.04 * (high - low)
    signals = {"low": max(0.0, low - edge), "high": min(1.0, high + edge)}
    signals["room"] = room(arms)
    height = len(arms) * (LINE * most + GAP)
    description = "Accuracy of each seed of each arm."
    data = {"runs": rows, "base": base}
    return Chart("seed-scores", description, height, data, signals)
