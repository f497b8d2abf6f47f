"""A chart: which specification draws it, with which data and signals.

Small multiples share one specification. It is written with Altair, compiled to Vega once, and
each of its charts fills in its own data, signals and height, here for figures and in report.js
for the page: 75 charts are then 9 specifications, and neither Python nor the browser compiles
the same thing again and again.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import altair as alt
from altair.utils import schemapi

from goniometer.report.theme import CONFIG, Spec, in_light

Row = dict[str, Any]
PADDING = {"left": 2, "right": 6, "top": 4, "bottom": 2}


@final
@dataclass(frozen=True)
class Chart:
    """One drawing. `base` names its specification; The rest is filled into it."""

    base: str
    description: str
    height: int
    data: dict[str, list[Row]]
    signals: dict[str, Any] = field(default_factory=dict)
    padding: dict[str, int] = field(default_factory=lambda: PADDING)


@contextmanager
def unchecked() -> Iterator[None]:
    """Let Altair skip its schema: that costs more than all else; the tests check each spec."""
    with schemapi.debug_mode(False):
        yield


def spec(
    layers: Sequence[alt.Chart],
    signals: tuple[str, ...] = (),
    title: alt.TitleParams | None = None,
) -> Spec:
    """Layers as a specification that fills its container, with the signals that charts set."""
    chart = alt.LayerChart(layer=list(layers), width="container", height=100)
    if title is not None:
        chart = chart.properties(title=title)
    chart = chart.add_params(*(alt.param(name=name, value=None) for name in signals))
    found: Spec = chart.to_dict(validate=schemapi.DEBUG_MODE)
    return {**found, "config": CONFIG}


def filled(vega: Spec, chart: Chart, width: int) -> Spec:
    """The Vega specification of one chart at a fixed width and in light colours, for a figure."""
    whole = copy.deepcopy(vega) | {"height": chart.height, "padding": chart.padding}
    for signal in whole["signals"]:
        if signal["name"] == "width":
            signal.clear()
            signal.update(name="width", value=width)
        elif signal["name"] in chart.signals:
            signal["value"] = chart.signals[signal["name"]]
    for table in whole["data"]:
        if table["name"] in chart.data:
            table["values"] = chart.data[table["name"]]
    return in_light(whole)


def rounded(value: float | None, digits: int = 5) -> float | None:
    """A number as charts carry it: short, so that a page of thousands stays small."""
    return None if value is None else float(f"{value:.{digits}g}")


def plain(field: str) -> alt.Color:
    """Colour from the data as it stands."""
    return alt.Color(f"{field}:N", scale=None)
