"""Colours and type, once, for the page and its charts.

Charts name colours as `var(--token)`: the page's style sheet gives each token its value for
light, dark and print, so a chart needs no redrawing. A figure that leaves the page (SVG, PNG)
gets the light values written in.
"""

import json
import re
from typing import Any

Spec = dict[str, Any]

# Hues near those of Okabe and Ito (2008), moved until any two differ by 15 or more in CIE Lab to
# normal, protan and deutan eyes and each has a contrast of 3 to the ground (tests hold both).
_RUNS_LIGHT = (
    "#0f6db0", "#bf0402", "#279d6b", "#a95089", "#c78800", "#3798c6", "#870f59", "#7a8b43",
)  # fmt: skip
_RUNS_DARK = (
    "#249cda", "#f97649", "#2bb88f", "#e38cc1", "#ffb01e", "#87d1fe", "#b1497e", "#d9ca78",
)  # fmt: skip
RUN_COLOURS = len(_RUNS_LIGHT)

LIGHT = {
    "ground": "#ffffff",
    "ink": "#1b1b1d",
    "muted": "#5c6066",
    "rule": "#e3e4e6",
    "axis": "#b4b7bb",
    "accent": "#3b3fa0",
    "opposite": "#b3500f",
    "on-accent": "#ffffff",
    "null": "#8d9299",
    "shared": "#cfd2d6",
    "panel": "#f6f6f4",
    "good": "#00664a",
    "bad": "#a3260b",
} | {f"run-{i}": colour for i, colour in enumerate(_RUNS_LIGHT)}

DARK = {
    "ground": "#15161a",
    "ink": "#ececee",
    "muted": "#a3a7ae",
    "rule": "#2c2e34",
    "axis": "#565a62",
    "accent": "#8f96ff",
    "opposite": "#f09a5b",
    "on-accent": "#15161a",
    "null": "#7d828c",
    "shared": "#43464d",
    "panel": "#1d1f24",
    "good": "#4cc9a4",
    "bad": "#ff8a70",
} | {f"run-{i}": colour for i, colour in enumerate(_RUNS_DARK)}

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "gridColor": "var(--rule)",
        "tickColor": "var(--axis)",
        "domainColor": "var(--axis)",
        "tickSize": 4,
        "labelPadding": 4,
    },
    "axisX": {"grid": False},
    "axisY": {"domain": False, "ticks": False},
    "axisBand": {"grid": False},
    "title": {
        "anchor": "start",
        "frame": "group",
        "fontSize": 12,
        "fontWeight": 600,
        "color": "var(--ink)",
        "subtitleColor": "var(--muted)",
        "subtitleFontSize": 11,
        "offset": 6,
    },
    "text": {"color": "var(--ink)", "fontSize": 11},
}

_VARIABLE = re.compile(r"var\(--([a-z0-9-]+)\)")


def var(token: str) -> str:
    """Name a colour so that style sheets can set it."""
    if token not in LIGHT:
        raise KeyError(token)
    return f"var(--{token})"


def css_variables(tokens: dict[str, str]) -> str:
    """Write tokens as CSS custom properties."""
    return "".join(f"--{name}:{value};" for name, value in tokens.items())


def in_light(spec: Spec) -> Spec:
    """Replace each named colour by its light value, for a figure that stands alone."""
    text = _VARIABLE.sub(lambda match: LIGHT[match[1]], json.dumps(spec))
    resolved: Spec = json.loads(text)
    return resolved
