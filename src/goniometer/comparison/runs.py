"""Read runs from folders or a hub."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from goniometer.deltas import Delta, read
from goniometer.deltas.hub import locate


def read_runs(
    runs: Mapping[str, str],
    origin: str | None = None,
    read_one: Callable[[Path], Delta] = read,
) -> dict[str, Delta]:
    """Read the update of each run by name, less the common origin where there is one.

    Runs and origin are folders or Hub ids.

    Raises:
        GoniometerError: as `locate` or the format's reader says.
    """
    deltas = {name: _read_located(run, read_one) for name, run in runs.items()}
    if origin is None:
        return deltas
    start = _read_located(origin, read_one)
    return {name: delta.minus(start) for name, delta in deltas.items()}


def _read_located(run: str, read_one: Callable[[Path], Delta]) -> Delta:
    located = locate(run)
    delta = read_one(located.path)
    return replace(delta, provenance=replace(delta.provenance, source=located.source))
