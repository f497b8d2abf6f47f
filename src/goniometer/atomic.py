"""Folders and files that are written whole or not at all. No torch.

A folder is filled aside and appears by one rename, after its manifest, which is written last: what
is there is complete. A process killed at any moment leaves a `.partial-*` beside its place.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from goniometer.errors import GoniometerError

MANIFEST = "manifest.json"
PARTIAL = ".partial-"


def write_folder(folder: Path, make: Callable[[Path], None], about: Mapping[str, Any]) -> None:
    """Let `make` fill a new folder aside, write its manifest last, and move it to its place.

    An older folder of ours is replaced; one that we did not write is not touched.

    Raises:
        GoniometerError: the place cannot be written, is full, or holds files that are not ours.
    """
    check_replaceable(folder)
    make_folder(folder.parent)
    try:
        aside = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=folder.parent))
    except OSError as error:
        reason = f"cannot be written: {error.strerror}"
        raise GoniometerError(reason, file=folder.parent) from None
    try:
        make(aside)
        files = {str(p.relative_to(aside)): digest_of(p) for p in _files(aside)}
        manifest = json.dumps({**about, "files": files}, sort_keys=True, indent=1)
        (aside / MANIFEST).write_text(manifest + "\n")
        aside.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
    except Exception as error:
        # safetensors and Arrow have errors of their own for a full disk.
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
            raise GoniometerError(
                "no space left on the device", file=folder, fix="free some, or choose another -o"
            ) from None
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_file(file: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        GoniometerError: it is a folder, or its folder cannot be made.
    """
    if file.is_dir():
        raise GoniometerError("a folder, where a file is to be written", file=file)
    make_folder(file.parent)
    aside = file.with_name(f"{PARTIAL}{file.name}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(file)


def check_replaceable(folder: Path) -> None:
    """Require a folder that does not exist, is empty, or was written here before.

    Raises:
        GoniometerError: it is a file, holds files that are not ours, or cannot be written.
    """
    if folder.exists() and not (
        folder.is_dir() and ((folder / MANIFEST).is_file() or not any(folder.iterdir()))
    ):
        raise GoniometerError(
            "not empty, and not written by goniometer", file=folder, fix="choose another folder"
        )
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise GoniometerError("cannot be written", file=parent, fix="choose another folder")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        GoniometerError: it cannot be made, or not be written in.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise GoniometerError(f"cannot be written: {error.strerror}", file=folder) from None
    if not writable:
        raise GoniometerError("cannot be written: permission denied", file=folder)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as a manifest holds it."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
