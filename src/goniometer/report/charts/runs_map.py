"""A map of the runs: updates scaled to norm 1, in the plane that holds most of their distances."""

import math

import altair as alt

from goniometer.report.charts.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts.parts import ringed
from goniometer.report.facts.index import Index
from goniometer.report.facts.plane import Plane
from goniometer.report.theme import Spec, var

HEIGHT = 260
LETTER = 6.6  # pixels
MOST_LABEL = 128
LINE = 14  # pixels between two labels
MOST_LABELS = HEIGHT // LINE


def map_spec() -> Spec:
    """Dots of one scale in both directions; names in a column to the right, with leaders."""
    # Half the height in the map's own unit: as little as shows all, at any width.
    half = f"max(tall, wide * {HEIGHT} / (width - room))"
    ends = [alt.expr(f"-{half}"), alt.expr(half)]
    across = [
        alt.expr(f"-{half} * (width - room) / {HEIGHT}"),
        alt.expr(f"{half} * (width + room) / {HEIGHT}"),
    ]
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=across, nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=ends, nice=False))
    dots = alt.Chart(alt.NamedData("dots"))
    named = alt.Chart(alt.NamedData("names")).transform_calculate(
        x2=f"{half} * (width - room) / {HEIGHT}", y2=f"{half} * (1 - 2 * datum.h / {HEIGHT})"
    )
    tooltip = [alt.Tooltip("t:N", title="run"), alt.Tooltip("of:N", title="repeat of")]
    layers = [
        alt.Chart(alt.NamedData("ties"))
        .mark_rule(strokeWidth=1)
        .encode(x=x, y=y, x2="x2:Q", y2="y2:Q", color=plain("c")),
        named.mark_rule(strokeWidth=0.8, strokeDash=[1, 3], color=var("axis")).encode(
            x=x, y=y, x2="x2:Q", y2="y2:Q"
        ),
        ringed(dots).encode(x=x, y=y, tooltip=tooltip),
        named.mark_text(align="left", dx=5, limit=MOST_LABEL).encode(
            x="x2:Q", y="y2:Q", text="t:N", color=plain("c")
        ),
    ]
    return spec(layers, ("tall", "wide", "room"))


def runs_map(index: Index, found: Plane) -> Chart:
    """The map; repeats are hollow and tied to their arm."""
    place = dict(zip(found.names, found.places, strict=True))
    tall = 1.1 * max(abs(y) for _, y in found.places) or 1e-6
    wide = 1.06 * max(abs(x) for x, _ in found.places) or 1e-6
    dots: list[Row] = []
    ties: list[Row] = []
    for name, (x, y) in place.items():
        arm = index.cell_of[name].arm if name in index.cell_of else name
        here = {"x": rounded(x), "y": rounded(y)}
        look = {"c": index.colour(name), "fill": index.fill(name)}
        dots.append(here | look | {"t": name, "of": arm if arm != name else ""})
        if arm != name and arm in place:
            to = {"x2": rounded(place[arm][0]), "y2": rounded(place[arm][1])}
            ties.append(here | to | {"c": index.colour(name)})
    arms = sorted((n for n in found.names if n in index.arms), key=lambda n: -place[n][1])
    arms = arms[:MOST_LABELS]
    heights = _apart([(1 - place[name][1] / tall) * HEIGHT / 2 for name in arms])
    names = [
        {
            "x": rounded(place[name][0]),
            "y": rounded(place[name][1]),
            "h": round(height, 1),
            "t": name,
            "c": index.colour(name),
        }
        for name, height in zip(arms, heights, strict=True)
    ]
    room = min(MOST_LABEL, math.ceil(LETTER * max((len(name) for name in arms), default=0))) + 6
    data = {"dots": dots, "ties": ties, "names": names}
    signals = {"tall": rounded(tall), "wide": rounded(wide), "room": room}
    return Chart("map", "Map of the runs by their cosines.", HEIGHT, data, signals)


def _apart(heights: list[float]) -> list[float]:
    """Rising heights in pixels, moved as little as a pass down and one up allow, a line apart."""
    found: list[float] = []
    for height in heights:
        found.append(max(height, found[-1] + LINE if found else LINE / 2))
    limit = HEIGHT - LINE / 2
    for i in range(len(found) - 1, -1, -1):
        found[i] = min(found[i], limit)
        limit = found[i] - LINE
    return found
