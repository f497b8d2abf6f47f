"""What strangers share at a module by its inputs alone, as bands beside the other nulls."""

import re
import statistics
from collections.abc import Sequence
from typing import Final

from goniometer.report.facts.index import Index
from goniometer.results import Band, InputMoment, InputNull, InputNulls

MOMENTS: Final[tuple[InputMoment, ...]] = ("covariance", "second moment")
NAMES: Final[dict[InputMoment, str]] = {
    "covariance": "null, inputs' covariance",
    "second moment": "null, inputs' second moment",
}
_LAYER = re.compile(r"(?:^|\.)(\d+)(?=\.|$)")  # as geometry reads layers from names


def bands(
    index: Index, scopes: Sequence[str], moment: InputMoment, measure: str
) -> list[tuple[float, float] | None]:
    """Both ends over scopes: of a single module, as the median over those of a scope.

    The median over modules of strangers would vary less, so that the band is wider than one of
    that median: what lies outside it lies outside both.
    """
    nulls = _nulls(index)
    of_scope: dict[str, list[InputNull]] = {}
    for module in nulls.modules if nulls else ():
        for scope in _scopes(module.module):
            of_scope.setdefault(scope, []).append(module)
    return [_ends(of_scope.get(scope, []), moment, measure) for scope in scopes]


def whole_band(index: Index, moment: InputMoment, measure: str) -> Band | None:
    """The band of a whole-model measure; None where it was not measured."""
    nulls = _nulls(index)
    return nulls.whole.get(moment, {}).get(measure) if nulls else None


def _nulls(index: Index) -> InputNulls | None:
    similarity = index.results.behaviour.similarity if index.results.behaviour else None
    return similarity.input_nulls if similarity else None


def _scopes(module: str) -> tuple[str, ...]:
    layer = _LAYER.search(module)
    own = (f"projection.{module.rpartition('.')[2]}",)
    return (f"layer.{layer[1]}", *own) if layer else own


def _ends(
    modules: Sequence[InputNull], moment: InputMoment, measure: str
) -> tuple[float, float] | None:
    found = [band for one in modules if (band := one.bands.get(moment, {}).get(measure))]
    if not found:
        return None
    return statistics.median(b.low for b in found), statistics.median(b.high for b in found)
