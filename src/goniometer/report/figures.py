"""Figures that leave the page: SVG and PNG files in light colours."""

import re
from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path

from goniometer.report.charts.chart import Chart, filled
from goniometer.report.facts import grid
from goniometer.report.gallery.hang import Gallery
from goniometer.report.gallery.keys import Mark
from goniometer.report.theme import LIGHT

GAP = 14
LINE = 18
LETTER = 6.4  # pixels of a letter, about
WIDE = 640  # pixels of a chart that stands alone
WHOLE = 900  # of a row of small multiples
SINGLE = (
    "map", "accuracies", "held-out", "divergence", "seeds", "seed-scores",
    "contrasts", "cka", "kl", "agreement",
)  # fmt: skip
GRIDS = {"reference": 4, "angles": 2, "layers": 3, "projections": 3, "sizes": 4}  # their columns
ALONE = ("paths", "activations", "composed")  # one below the other
_SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)" height="([\d.]+)"')


def draw(gallery: Gallery, folder: Path, formats: Collection[str]) -> None:
    """Write the charts as svg or png files; grids of small multiples are one figure each."""
    import vl_convert

    folder.mkdir(exist_ok=True)
    for name, (rows, width) in plan(gallery).items():
        svg = tiled(
            gallery.keys.get(name, ()),
            [
                [
                    vl_convert.vega_to_svg(filled(gallery.bases[chart.base], chart, width))
                    for chart in row
                ]
                for row in rows
            ],
        )
        if "svg" in formats:
            (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        if "png" in formats:
            (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=2))


def plan(gallery: Gallery) -> dict[str, tuple[list[list[Chart]], int]]:
    """Each figure: its charts row by row, and the width of one."""
    charts = gallery.charts
    runs = len(charts["matrix"].data["names"])
    widths = {"ruler": WIDE, "matrix": 64 * runs + 140}
    widths |= dict.fromkeys(SINGLE, WIDE)
    found = {name: ([[charts[name]]], width) for name, width in widths.items() if name in charts}

    def multiples(names: Sequence[str], columns: int) -> tuple[list[list[Chart]], int]:
        return _multiples(gallery, names, columns)

    def stacks(named: Sequence[Sequence[str]]) -> tuple[list[list[Chart]], int]:
        columns = min(4, len(named))
        rows = [named[i : i + columns] for i in range(0, len(named), columns)]
        return [
            [charts[stack[place]] for stack in row if place < len(stack)]
            for row in rows
            for place in range(max(map(len, row)))
        ], WHOLE // columns

    found |= {
        name: multiples(gallery.grids[name], columns)
        for name, columns in GRIDS.items()
        if gallery.grids.get(name)
    }
    found |= {
        name: ([[charts[chart]] for chart in gallery.grids[name]], WIDE)
        for name in ALONE
        if gallery.grids.get(name)
    }
    if gallery.forests:
        found["forest"] = [[charts[name]] for name in gallery.forests], WIDE
    if gallery.steps:
        found["steps"] = multiples([name for _, row in gallery.steps for name in row], 4)
    for of, names in gallery.sweeps.items():
        found[grid.slug(of)] = multiples(names, 5)
    if gallery.coefficients:
        found["coefficients"] = stacks(gallery.coefficients)
    if gallery.curves:
        found["training"] = stacks(gallery.curves)
    return found


def _multiples(
    gallery: Gallery, names: Sequence[str], columns: int
) -> tuple[list[list[Chart]], int]:
    rows = [names[i : i + columns] for i in range(0, len(names), columns)]
    return [[gallery.charts[name] for name in row] for row in rows], WHOLE // columns


def tiled(key: Sequence[Mark], rows: Sequence[Sequence[str]]) -> str:
    """Drawings as one SVG, left to right, top to bottom, each row as high as its highest.

    A page has the key beside its charts; a figure has it above them.
    """
    parts, top, right = _key(key)
    for row in rows:
        left = high = 0.0
        for drawing in row:
            match = _SIZE.match(drawing)
            if match is None:
                raise ValueError("a drawing without a size")
            parts.append(drawing.replace("<svg ", f'<svg x="{left:g}" y="{top:g}" ', 1))
            left += float(match[1]) + GAP
            high = max(high, float(match[2]))
        right = max(right, left - GAP)
        top += high + GAP
    size = f'width="{right:g}" height="{top - GAP:g}"'
    ground = f'<rect width="100%" height="100%" fill="{LIGHT["ground"]}"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {right:g} {top - GAP:g}">'
    return "\n".join([head, ground, *parts, "</svg>\n"])


def _key(marks: Sequence[Mark]) -> tuple[list[str], float, float]:
    """Marks with their words in lines: SVG, the height and the width that they take."""
    parts, left, top, right = [], 0.0, 0.0, 0.0
    for mark in marks:
        wide = 18 + LETTER * len(mark.text) + GAP
        if left and left + wide > WIDE:
            left, top = 0.0, top + LINE
        place = f'<g transform="translate({left + 7:g} {top + 8:g})">'
        shape = _SHAPES[mark.shape].format(c=LIGHT[mark.token], g=LIGHT["ground"])
        text = f'<text x="11" y="4" font-family="sans-serif" font-size="12" fill="{LIGHT["ink"]}">'
        parts.append(f"{place}{shape}{text}{escape(mark.text)}</text></g>")
        left += wide
        right = max(right, left)
    return parts, (top + LINE + 4 if marks else 0.0), right


_SHAPES = {
    "bar": '<rect x="-6" y="-4" width="12" height="8" fill="{c}"/>',
    "dot": '<circle r="4" fill="{c}"/>',
    "ring": '<circle r="3.5" fill="{g}" stroke="{c}" stroke-width="1.5"/>',
    "diamond": '<path d="M-5 0l5 -5 5 5 -5 5z" fill="{c}"/>',
    "band": '<rect x="-6" y="-4" width="12" height="8" fill="{c}" fill-opacity="0.3"/>'
    '<path d="M-6 -4h12M-6 4h12" stroke="{c}"/>',
    "dashed": '<rect x="-6" y="-4" width="12" height="8" fill="{c}" fill-opacity="0.12"/>'
    '<path d="M-6 -4h12M-6 4h12" stroke="{c}" stroke-dasharray="3 2"/>',
}
