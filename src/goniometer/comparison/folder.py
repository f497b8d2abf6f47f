"""A comparison as a folder: results, tables, report."""

import platform
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from goniometer.atomic import write_folder
from goniometer.geometry.readings import Readings
from goniometer.geometry.table import write_modules
from goniometer.report import FigureFormat, build
from goniometer.results import Results, to_json
from goniometer.tidy import write_tables

if TYPE_CHECKING:
    from goniometer.geometry.base_measures import AtModule


VERSIONED = ("goniometer", "torch", "numpy", "safetensors")


def write(
    results: Results,
    readings: Readings,
    folder: Path,
    *,
    at_base: "Sequence[AtModule]" = (),
    figures: Collection[FigureFormat] = (),
) -> Path:
    """Write results.json, the tables and the report; return the path of report.html."""

    def make(partial: Path) -> None:
        (partial / "results.json").write_text(to_json(results))
        write_modules(readings, partial / "modules.parquet")
        if at_base:
            from goniometer.geometry.base_table import write_base_modules

            write_base_modules(at_base, partial / "base_modules.parquet")
        write_tables(results, partial)
        build(results, partial, figures=figures)

    write_folder(folder, make, {"stage": "compare", "schema_version": results.schema_version})
    return folder / "report.html"


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
