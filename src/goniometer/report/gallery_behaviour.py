"""The charts of what needs the model: paths, activations, answers and sums."""

from collections.abc import Callable

from goniometer.report import charts_paths, charts_similarity, charts_sizes, charts_together
from goniometer.report.chart import Chart
from goniometer.report.index import Index
from goniometer.report.menu import Menu, alone
from goniometer.report.theme import Spec
from goniometer.results import Connectivity, Segment, Similarity

MOST_CHOICES = 200  # of a menu; the rest is in the table and in results.json


def specifications(index: Index) -> dict[str, Callable[[], Spec]]:
    """The Vega-Lite specification of each base."""
    found = index.results.behaviour
    made: dict[str, Callable[[], Spec]] = {
        "path": charts_paths.path_spec,
        "contrasts": charts_paths.contrasts_spec,
        "kl": lambda: charts_sizes.divergence_spec(""),
        "agreement": charts_together.agreement_spec,
        "composed": charts_together.composed_spec,
    }
    if found and found.similarity:
        xs = charts_similarity.labels(found.similarity)
        made["cka"] = lambda: charts_similarity.heat_spec(xs)
        made["blocks"] = lambda: charts_similarity.profile_spec(xs, "layer")
    return made


def behaviour_charts(
    charts: dict[str, Chart], index: Index
) -> tuple[dict[str, Menu], dict[str, tuple[str, ...]]]:
    """Add the charts; give their menus, and their names by grid."""
    found = index.results.behaviour
    menus: dict[str, Menu] = {}
    grids: dict[str, tuple[str, ...]] = {}
    if found is None:
        return menus, grids
    if found.connectivity and found.connectivity.segments:
        menus["paths"], named = _paths(charts, found.connectivity)
        grids["paths"] = named
    if found.similarity and found.similarity.pairs:
        menus["activations"], named = _activations(charts, found.similarity)
        grids["activations"] = named
    # A study's own divergences are drawn with its sizes.
    diverged = charts_together.kl(index, found.divergence)
    if diverged and not charts_sizes.measured(index):
        charts["kl"] = diverged
    if found.agreement:
        charts["agreement"] = charts_together.agreement(found.agreement)
    drawn = charts_together.composed(found.composed)
    named = tuple(f"composed-{i}" for i in range(len(drawn)))
    charts |= dict(zip(named, drawn, strict=True))
    if named:
        grids["composed"] = named
    return menus, grids


def _paths(charts: dict[str, Chart], found: Connectivity) -> tuple[Menu, tuple[str, ...]]:
    """Paths between runs stand before those from the base; the highest contrast is shown first."""
    of_runs = [one for one in found.segments if one.start != found.base]
    ordered = [*of_runs, *(one for one in found.segments if one.start == found.base)]
    offered = ordered[:MOST_CHOICES]

    def height(one: Segment) -> float:
        return float("-inf") if one.midpoint.value is None else one.midpoint.value

    first = max(range(len(offered[: len(of_runs)]) or 1), key=lambda i: height(offered[i]))
    drawn = charts_paths.paths(offered, found.base, found.base_loss, first)
    named = tuple(f"paths-{i}" for i in range(len(drawn)))
    charts |= dict(zip(named, drawn, strict=True))
    if contrasts := charts_paths.contrasts(of_runs):
        charts["contrasts"] = contrasts
    about = tuple((one.start, one.end) for one in offered)
    return alone("paths", "Path", about, first, len(ordered) - len(offered)), named


def _activations(charts: dict[str, Chart], found: Similarity) -> tuple[Menu, tuple[str, ...]]:
    """The pair whose lowest CKA is lowest is shown first."""
    every = charts_similarity.between(found)
    offered = every[:MOST_CHOICES]

    def height(i: int) -> float:
        value = charts_similarity.lowest(offered[i])
        return float("inf") if value is None else value

    first = min(range(len(offered)), key=height)
    charts["cka"] = charts_similarity.heat(found)
    drawn = charts_similarity.profiles(found, offered, first)
    named = tuple(f"activations-{i}" for i in range(len(drawn)))
    charts |= dict(zip(named, drawn, strict=True))
    about = tuple((one.a, one.b) for one in offered)
    menu = alone("activations", "CKA of", about, first, len(every) - len(offered))
    return menu, named
