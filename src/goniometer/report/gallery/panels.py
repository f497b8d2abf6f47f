"""Which small multiples a report has: by run, by measure of one pair, and the sizes of each run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from goniometer.report.charts.chart import Row
from goniometer.report.charts.depth import Panel
from goniometer.report.charts.rows import floor_rows, input_rows, limits, line, null_rows, readings
from goniometer.report.facts.index import Index, alike_first, cosine
from goniometer.report.facts.measured import SIZES
from goniometer.results import PairReadings

# Numbers that the panels of a pair may carry for all choices of their menu: about 0.55 MB.
MOST_NUMBERS = 60_000
MOST_RUNS = 20

# Panels of one pair, three a row: title, then the lines as (measure, name).
PairPanels = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
PAIR_PANELS: PairPanels = (
    ("Cosine", (("cosine", "cosine"),)),
    ("Top left, |u1·u1'|", (("u1", "|u1·u1'|"),)),
    ("Top right, |v1·v1'|", (("v1", "|v1·v1'|"),)),
    *(
        (
            f"{which.capitalize()} angle, {side}",
            ((f"angle_{side}_{which}", f"{which} {side} angle"),),
        )
        for side in ("left", "right")
        for which in ("smallest", "median", "largest")
    ),
    *(
        (
            f"Outside, {side}",
            (
                (f"off_subspace_{side}", "second outside first"),
                (f"off_subspace_{side}_reverse", "first outside second"),
            ),
        )
        for side in ("left", "right", "joint")
    ),
)


@final
@dataclass(frozen=True)
class Grid:
    """Panels under one menu: its choices in words, and the one that is shown first."""

    panels: tuple[Panel, ...]
    choices: tuple[str, ...]
    first: int
    left_out: int = 0  # choices that the page has no room for
    about: tuple[tuple[str, str], ...] = ()  # the pair of runs of each choice


def pair_panels(index: Index) -> PairPanels:
    """The panels of one pair; of top-1 subspaces the three angles are one, and drawn once."""
    if index.comparison.k > 1:
        return PAIR_PANELS
    kept = (panel for panel in PAIR_PANELS if not panel[0].startswith(("Smallest", "Largest")))
    alone = {f"Median angle, {side}": f"Angle, {side}" for side in ("left", "right")}
    return tuple((alone.get(heading, heading), lines) for heading, lines in kept)


def axis(index: Index, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and scopes of the layers or of the projections."""
    comparison = index.comparison
    layers = tuple(str(layer) for layer in comparison.layers)
    names = layers if kind == "layer" else comparison.projections
    short = tuple(name.removesuffix("_proj") for name in names)
    labels = short if len(set(short)) == len(names) else names
    return labels, tuple(f"{kind}.{name}" for name in names)


def detailed(index: Index) -> tuple[PairReadings, ...]:
    """The pairs that have readings by layer or by projection; a large comparison has few or none.

    Arms stand first, then repeats, then the grid's runs.
    """
    rank = {name: (name in index.repeats) + 2 * (name in index.grid) for name in index.names}
    found = [
        pair
        for pair in index.comparison.pairs
        if any(scope.startswith(("layer.", "projection.")) for scope in pair.scopes)
    ]
    return tuple(sorted(found, key=lambda pair: max(rank[pair.a], rank[pair.b])))


def cosines_by_run(index: Index) -> Grid:
    """One panel a run: its cosine by layer to the run of the menu."""
    known = {name for pair in detailed(index) for name in (pair.a, pair.b)}
    ordered = (*index.arms, *(name for name in index.shown if name not in index.arms))
    every = [name for name in ordered if name in known]
    runs = tuple(every[:MOST_RUNS])
    labels, scopes = axis(index, "layer")
    floors = floor_rows(index, scopes, "cosine")
    panels = []
    for run in runs:
        rows: list[Row] = []
        groups: list[str | None] = []
        for choice, other in enumerate(runs):
            pair = index.pair(run, other)
            groups.append(pair.null_group if pair else None)
            rows.append(line(choice, 0, readings(pair, scopes, "cosine")))
            if run == other:
                rows[-1]["n"] = ["the run itself"]
        bands = null_rows(index, groups, [(scope, "cosine") for scope in scopes]) + floors
        own = [limits(index, "cosine", rows + bands)]
        colour = index.colour(run)
        panels.append(Panel(run, "layer", labels, ("cosine",), rows, own, bands, groups, colour))
    lowest = min((panel.limits[0][0] for panel in panels), default=0.0)
    alike = tuple(replace(panel, limits=[(lowest, 1.0)]) for panel in panels)
    return Grid(alike, runs, _central(index, runs), len(every) - len(runs))


def _central(index: Index, runs: Sequence[str]) -> int:
    """The run that is most alike to the others, the first of equals."""

    def likeness(run: str) -> float:
        pairs = [index.pair(run, other) for other in index.arms]
        return sum(cosine(pair) or 0.0 for pair in pairs if pair)

    return max(range(len(runs)), key=lambda i: likeness(runs[i]), default=0)


def menu_pairs(index: Index) -> tuple[PairReadings, ...]:
    """The pairs that a menu offers: of arms first, as many as the page has room for."""
    ordered = detailed(index)
    scopes = len(index.comparison.layers) + len(index.comparison.projections)
    drawn = pair_panels(index)
    lines = sum(len(lines) for _, lines in drawn)
    bands = 4 * len(drawn)  # both ends of both nulls
    groups: set[str | None] = {None}
    room = MOST_NUMBERS
    for taken, pair in enumerate(ordered):
        room -= scopes * (lines + bands * (pair.null_group not in groups))
        groups.add(pair.null_group)
        if room < 0:
            return ordered[:taken]
    return ordered


def measures_of_pair(index: Index, kind: str) -> Grid:
    """One panel a measure, by layer or by projection, for the pair of the menu."""
    labels, scopes = axis(index, kind)
    pairs = menu_pairs(index)
    groups = [pair.null_group for pair in pairs]
    panels = []
    for heading, lines in pair_panels(index):
        present = [(key, name) for key, name in lines if key in index.comparison.measures]
        if not present:
            continue
        rows = [
            line(choice, place, readings(pair, scopes, key), place)
            for choice, pair in enumerate(pairs)
            for place, (key, _) in enumerate(present)
        ]
        first = present[0][0]
        bands = null_rows(index, groups, [(scope, first) for scope in scopes])
        bands += input_rows(index, scopes, first) + floor_rows(index, scopes, first)
        own = [limits(index, first, rows + bands)]
        names = tuple(name for _, name in present)
        unit = "°" if index.comparison.measures[first].unit == "degrees" else ""
        panel = Panel(heading, kind, labels, names, rows, own, bands, groups, unit=unit)
        panels.append(panel)
    return of_pairs(index, panels, pairs)


def of_pairs(index: Index, panels: Sequence[Panel], pairs: Sequence[PairReadings]) -> Grid:
    """Panels under the menu of pairs."""
    choices = tuple(f"{pair.a} and {pair.b}" for pair in pairs)
    # The pair to look into first is the most alike: is it one update at every depth?
    distinct = [pair for pair in index.arm_pairs if pair.state == "comparable"]
    shown = next(iter(alike_first(distinct)), None)
    first_shown = pairs.index(shown) if shown in pairs else 0
    about = tuple((pair.a, pair.b) for pair in pairs)
    return Grid(tuple(panels), choices, first_shown, len(detailed(index)) - len(pairs), about)


def sizes_by_run(index: Index) -> Grid:
    """One panel a run: the size of the menu by layer, on one scale for all runs."""
    labels, scopes = axis(index, "layer")
    present = [key for key in SIZES if key in index.comparison.measures]
    every = [run for run in index.comparison.runs if run.name in index.shown]
    runs = every[:MOST_RUNS]
    rows = {
        run.name: [
            line(choice, choice, [run.scopes.get(scope, {}).get(key) for scope in scopes])
            for choice, key in enumerate(present)
        ]
        for run in runs
    }
    own = [
        limits(index, key, [lines[choice] for lines in rows.values()])
        for choice, key in enumerate(present)
    ]
    titles = tuple(index.comparison.measures[key].title for key in present)
    panels = tuple(
        Panel(name, "layer", labels, titles, lines, own, colour=index.colour(name))
        for name, lines in rows.items()
    )
    return Grid(panels, titles, 0, len(every) - len(panels))
