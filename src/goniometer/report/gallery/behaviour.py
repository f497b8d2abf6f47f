"""The charts of what needs the model: paths, activations, answers and sums."""

from collections.abc import Callable

from goniometer.report import charts
from goniometer.report.charts.chart import Chart
from goniometer.report.facts.index import Index
from goniometer.report.facts.measured import lowest, with_kl
from goniometer.report.gallery.menu import Menu, alone
from goniometer.report.gallery.numbered import hang_numbered
from goniometer.report.theme import Spec
from goniometer.results import Connectivity, Segment, Similarity

MOST_CHOICES = 200  # of a menu; the rest is in the table and in results.json


def specifications(index: Index) -> dict[str, Callable[[], Spec]]:
    """The Vega-Lite specification of each base."""
    found = index.results.behaviour
    made: dict[str, Callable[[], Spec]] = {
        "path": charts.paths.path_spec,
        "contrasts": charts.contrasts.contrasts_spec,
        "kl": lambda: charts.sizes.divergence_spec(""),
        "agreement": charts.together.agreement_spec,
        "composed": charts.together.composed_spec,
    }
    if found and found.similarity:
        xs = charts.similarity.labels(found.similarity)
        made["cka"] = lambda: charts.similarity.heat_spec(xs)
        made["blocks"] = lambda: charts.depth.profile_spec(xs, "layer")
    return made


def behaviour_charts(
    hung: dict[str, Chart], index: Index
) -> tuple[dict[str, Menu], dict[str, tuple[str, ...]]]:
    """Add the charts; give their menus, and their names by grid."""
    found = index.results.behaviour
    menus: dict[str, Menu] = {}
    grids: dict[str, tuple[str, ...]] = {}
    if found is None:
        return menus, grids
    if found.connectivity and found.connectivity.segments:
        menus["paths"], named = _paths(hung, found.connectivity)
        grids["paths"] = named
    if found.similarity and found.similarity.pairs:
        menus["activations"], named = _activations(hung, found.similarity)
        grids["activations"] = named
    # A study's own divergences are drawn with its sizes.
    diverged = charts.sizes.kl(index, found.divergence)
    if diverged and not with_kl(index):
        hung["kl"] = diverged
    if found.agreement:
        hung["agreement"] = charts.together.agreement(found.agreement)
    drawn = charts.together.composed(found.composed)
    if drawn:
        grids["composed"] = hang_numbered(hung, "composed", drawn)
    return menus, grids


def _paths(hung: dict[str, Chart], found: Connectivity) -> tuple[Menu, tuple[str, ...]]:
    """Paths between runs stand before those from the base; the highest contrast is shown first."""
    of_runs = [one for one in found.segments if one.start != found.base]
    ordered = [*of_runs, *(one for one in found.segments if one.start == found.base)]
    offered = ordered[:MOST_CHOICES]

    def height(one: Segment) -> float:
        return float("-inf") if one.midpoint.value is None else one.midpoint.value

    first = max(range(len(offered[: len(of_runs)]) or 1), key=lambda i: height(offered[i]))
    drawn = charts.paths.paths(offered, found.base, found.base_loss, first)
    named = hang_numbered(hung, "paths", drawn)
    if drawn_all := charts.contrasts.contrasts(of_runs):
        hung["contrasts"] = drawn_all
    about = tuple((one.start, one.end) for one in offered)
    return alone("paths", "Path", about, first, len(ordered) - len(offered)), named


def _activations(hung: dict[str, Chart], found: Similarity) -> tuple[Menu, tuple[str, ...]]:
    """The pair whose lowest CKA is lowest is shown first."""
    every = charts.similarity.between(found)
    offered = every[:MOST_CHOICES]

    def height(i: int) -> float:
        value = lowest(offered[i])
        return float("inf") if value is None else value

    first = min(range(len(offered)), key=height)
    hung["cka"] = charts.similarity.heat(found)
    drawn = charts.similarity.profiles(found, offered, first)
    named = hang_numbered(hung, "activations", drawn)
    about = tuple((one.a, one.b) for one in offered)
    menu = alone("activations", "CKA of", about, first, len(every) - len(offered))
    return menu, named
