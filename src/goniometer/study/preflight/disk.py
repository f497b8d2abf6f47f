"""Whether the disk holds what a study will write."""

import os
import shutil
from pathlib import Path

from goniometer.errors import GoniometerError
from goniometer.study.estimate.memory import Disk

GB = 1e9


def check_writable(out: Path) -> None:
    """Require that the run folder can be made or written, without making it.

    Raises:
        GoniometerError: a file is in its way, or the place is not ours to write.
    """
    place = existing(out)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise GoniometerError("cannot be written", file=place, fix="choose another -o")


def existing(out: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(place for place in (out, *out.absolute().parents) if os.path.lexists(place))


def check_disk(disk: Disk, out: Path) -> None:
    """Require that the run folder's disk has room for what is not there yet.

    Raises:
        GoniometerError: it has not, with what takes most.
    """
    place = existing(out)
    free = shutil.disk_usage(place).free
    there = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    needed = disk.total - there
    if needed <= free:
        return
    parts = {"cells": disk.cells, "rollouts": disk.rollouts, "scores": disk.scores}
    parts |= {"paths": disk.paths, "the base": disk.base, "the report": disk.report}
    most = max(parts, key=lambda name: parts[name])
    raise GoniometerError(
        "not enough disk for what is planned",
        file=place,
        found=f"{free / GB:,.1f} GB free",
        expected=f"{needed / GB:,.1f} GB, most of it for {most}",
        fix="plan fewer or smaller ones, or choose another -o",
    )
