"""What strangers share at a module by its inputs alone, as bands beside the other nulls."""

import re
import statistics
from collections.abc import Sequence
from typing import Final

from goniometer.report.chart import Row, rounded
from goniometer.report.index import Index
from goniometer.report.theme import var
from goniometer.results import Band, InputMoment, InputNull

MOMENTS: Final[tuple[InputMoment, ...]] = ("covariance", "second moment")
NAMES: Final[dict[InputMoment, str]] = {
    "covariance": "null, inputs' covariance",
    "second moment": "null, inputs' second moment",
}
_DASH: Final = {"covariance": [1, 0], "second moment": [3, 2]}
_OPACITY: Final = {"covariance": 0.3, "second moment": 0.1}
_LAYER = re.compile(r"(?:^|\.)(\d+)(?=\.|$)")  # as geometry reads layers from names


def input_rows(index: Index, scopes: Sequence[str], measure: str) -> list[Row]:
    """Bands of a measure over scopes: of a single module, as the median over those of a scope.

    The median over modules of strangers would vary less, so that the band is wider than one of
    that median: what lies outside it lies outside both.
    """
    similarity = index.results.behaviour.similarity if index.results.behaviour else None
    nulls = similarity.input_nulls if similarity else None
    if nulls is None:
        return []
    of_scope: dict[str, list[InputNull]] = {}
    for module in nulls.modules:
        for scope in _scopes(module.module):
            of_scope.setdefault(scope, []).append(module)
    rows: list[Row] = []
    for moment in MOMENTS:
        ends = [_ends(of_scope.get(scope, []), moment, measure) for scope in scopes]
        if any(ends):
            look = {"c": var("opposite"), "o": _OPACITY[moment], "d": _DASH[moment], "g": None}
            low = [rounded(end[0]) if end else None for end in ends]
            high = [rounded(end[1]) if end else None for end in ends]
            rows.append({"t": NAMES[moment], "lo": low, "hi": high} | look)
    return rows


def whole_band(index: Index, moment: InputMoment, measure: str) -> Band | None:
    """The band of a whole-model measure; None where it was not measured."""
    similarity = index.results.behaviour.similarity if index.results.behaviour else None
    nulls = similarity.input_nulls if similarity else None
    return nulls.whole.get(moment, {}).get(measure) if nulls else None


def _scopes(module: str) -> tuple[str, ...]:
    layer = _LAYER.search(module)
    own = (f"projection.{module.rpartition('.')[2]}",)
    return (f"layer.{layer[1]}", *own) if layer else own


def _ends(
    modules: Sequence[InputNull], moment: InputMoment, measure: str
) -> tuple[float, float] | None:
    bands = [band for one in modules if (band := one.bands.get(moment, {}).get(measure))]
    if not bands:
        return None
    return statistics.median(b.low for b in bands), statistics.median(b.high for b in bands)
