"""The tables, a topic a file: a function gives a `Table`; page/tables.py says which are shown."""

from goniometer.report.tables import (
    base,
    behaviour,
    claims,
    geometry,
    grid,
    matched,
    pairs,
    seeds,
    steps,
    study,
)

__all__ = [
    "base",
    "behaviour",
    "claims",
    "geometry",
    "grid",
    "matched",
    "pairs",
    "seeds",
    "steps",
    "study",
]
