"""The angle spectra of one pair: each of its k principal angles, left and right, over the nulls."""

from goniometer.report.charts.depth import Panel
from goniometer.report.charts.rows import line, null_rows
from goniometer.report.facts.index import Index, read
from goniometer.report.gallery.panels import Grid, of_pairs
from goniometer.results import PairReadings

SIDES = ("left", "right")


def has_spectra(pairs: tuple[PairReadings, ...]) -> bool:
    """Whether single angles were kept: those of top-1 subspaces are drawn with the panels."""
    return any(read(pair, "union", "angle_left_2") is not None for pair in pairs)


def ranks(index: Index) -> tuple[str, ...]:
    """What stands along x: 1 to k."""
    return tuple(map(str, range(1, index.comparison.k + 1)))


def spectra_of_pair(index: Index, pairs: tuple[PairReadings, ...]) -> Grid:
    """One panel a side: angles by rank, smallest first, of the pair of the menu."""
    groups = [pair.null_group for pair in pairs]
    panels = []
    for side in SIDES:
        names = [f"angle_{side}_{rank}" for rank in ranks(index)]
        rows = [
            line(choice, 0, [read(pair, "union", name) for name in names])
            for choice, pair in enumerate(pairs)
        ]
        panels.append(
            Panel(
                f"Angle spectrum by rank, {side}",
                "rank",
                ranks(index),
                (f"{side} angle",),
                rows,
                [(0, 90)],
                null_rows(index, groups, [("union", name) for name in names]),
                groups,
                unit="°",
            )
        )
    return of_pairs(index, panels, pairs)
