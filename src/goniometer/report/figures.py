"""Figures that leave the page: SVG and PNG files in light colours."""

import re
from collections.abc import Collection
from pathlib import Path

from goniometer.report.chart import Chart, filled
from goniometer.report.gallery import Gallery
from goniometer.report.theme import LIGHT

GAP = 14
_SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)" height="([\d.]+)"')


def draw(gallery: Gallery, folder: Path, formats: Collection[str]) -> None:
    """Write the charts as svg or png files; grids of small multiples are one figure each."""
    import vl_convert

    folder.mkdir(exist_ok=True)
    for name, (charts, columns, width) in plan(gallery).items():
        drawn = [
            vl_convert.vega_to_svg(filled(gallery.bases[chart.base], chart, width))
            for chart in charts
        ]
        svg = tiled(drawn, columns)
        if "svg" in formats:
            (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        if "png" in formats:
            (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=2))


def plan(gallery: Gallery) -> dict[str, tuple[list[Chart], int, int]]:
    """Each figure: its charts, how many stand in a row, and the width of one."""
    charts = gallery.charts
    runs = len(charts["matrix"].data["names"])
    widths = {"ruler": 640, "matrix": 64 * runs + 140}
    widths |= {"accuracies": 640, "held-out": 640}
    found = {name: ([charts[name]], 1, width) for name, width in widths.items() if name in charts}
    for name, columns in (("reference", 4), ("layers", 3), ("projections", 3), ("sizes", 4)):
        if gallery.grids.get(name):
            found[name] = (
                [charts[chart] for chart in gallery.grids[name]],
                columns,
                900 // columns,
            )
    if gallery.forests:
        found["forest"] = ([charts[chart] for chart in gallery.forests], 1, 640)
    if gallery.steps:
        found["steps"] = ([charts[name] for _, row in gallery.steps for name in row], 4, 225)
    if gallery.curves:
        columns = min(4, len(gallery.curves))
        rows = [gallery.curves[i : i + columns] for i in range(0, len(gallery.curves), columns)]
        order = [pair[kind] for row in rows for kind in (0, 1) for pair in row]
        found["training"] = ([charts[chart] for chart in order], columns, 900 // columns)
    return found


def tiled(drawings: list[str], columns: int) -> str:
    """Drawings as one SVG, left to right, top to bottom, each row as high as its highest."""
    sizes = []
    for drawing in drawings:
        match = _SIZE.match(drawing)
        if match is None:
            raise ValueError("a drawing without a size")
        sizes.append((float(match[1]), float(match[2])))
    parts, top, right = [], 0.0, 0.0
    for start in range(0, len(drawings), columns):
        left = 0.0
        row = range(start, min(start + columns, len(drawings)))
        for i in row:
            parts.append(drawings[i].replace("<svg ", f'<svg x="{left:g}" y="{top:g}" ', 1))
            left += sizes[i][0] + GAP
        right = max(right, left - GAP)
        top += max(sizes[i][1] for i in row) + GAP
    size = f'width="{right:g}" height="{top - GAP:g}"'
    ground = f'<rect width="100%" height="100%" fill="{LIGHT["ground"]}"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {right:g} {top - GAP:g}">'
    return "\n".join([head, ground, *parts, "</svg>\n"])
