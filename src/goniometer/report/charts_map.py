"""A map of the runs: updates scaled to norm 1, in the plane that holds most of their distances."""

import math
from dataclasses import dataclass
from typing import final

import altair as alt
import numpy as np

from goniometer.report.chart import Chart, Row, plain, rounded, spec
from goniometer.report.charts_study import ringed
from goniometer.report.index import Index, cosine
from goniometer.report.theme import Spec, var

HEIGHT = 260
LETTER = 6.6  # pixels
MOST_LABEL = 128
LINE = 14  # pixels between two labels
MOST_LABELS = HEIGHT // LINE


@final
@dataclass(frozen=True)
class Plane:
    """Places of runs, and the share of their squared distances that the two axes hold."""

    names: tuple[str, ...]
    places: tuple[tuple[float, float], ...]
    share: float
    left_out: tuple[str, ...]  # without a cosine to all others

    @property
    def by_chance(self) -> float:
        """The share for as many mutually orthogonal updates: their n - 1 axes are alike."""
        return min(1.0, 2 / max(len(self.names) - 1, 1))


def plane(index: Index) -> Plane | None:
    """Classical scaling (Torgerson 1952) of the distances sqrt(2 - 2 cosine).

    These are the distances of updates scaled to norm 1, so the doubly centred matrix of cosines
    is their Gram matrix and its two largest eigenvalues are what the plane holds. None for fewer
    than three runs that have cosines.
    """
    names = list(index.shown)
    known = {
        frozenset((p.a, p.b)): value for p in index.shown_pairs if (value := cosine(p)) is not None
    }
    left_out: list[str] = []
    while True:
        missing = {a: sum(frozenset((a, b)) not in known for b in names if b != a) for a in names}
        worst = max(names, key=lambda name: missing[name], default=None)
        if worst is None or not missing[worst]:
            break
        names.remove(worst)
        left_out.append(worst)
    if len(names) < 3:
        return None
    gram = np.array([[known.get(frozenset((a, b)), 1.0) for b in names] for a in names])
    values, vectors = scaled(gram)
    whole = float(np.abs(values).sum())
    places = vectors[:, :2] * np.sqrt(np.clip(values[:2], 0, None))
    # An axis has no direction of its own: the first run lies to the left, and above.
    places *= np.where(places[0] > 0, np.array([-1.0, 1.0]), np.array([1.0, -1.0]))
    share = float(np.clip(values[:2], 0, None).sum()) / whole if whole > 0 else 1.0
    found = tuple((float(x), float(y)) for x, y in places)
    return Plane(tuple(names), found, share, tuple(left_out))


def scaled(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, falling, and eigenvectors of a Gram matrix (n, n) after double centring."""
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    values, vectors = np.linalg.eigh(centred)
    return values[::-1], vectors[:, ::-1]


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
