"""The run folder: stages keyed by what goes into them, written aside, moved in whole. No torch.

A stage's folder appears by one rename, after its manifest, which is written last: what is there
is complete. A process killed at any moment leaves a `.partial-*` folder that the next one removes.
Studies whose folders stand side by side share what they have in common.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from goniometer.config import canonical
from goniometer.errors import GoniometerError

MANIFEST = "manifest.json"
_PARTIAL = ".partial-"


@final
@dataclass(frozen=True)
class Store:
    """A run folder."""

    root: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one process, and clear what a killed one left.

        Raises:
            GoniometerError: the folder cannot be written, or another process holds it.
        """
        _make_folder(self.root)
        with (self.root / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise GoniometerError(
                    "another study is running here",
                    file=self.root,
                    fix="wait, or choose another -o",
                ) from None
            for left in self.root.rglob(f"{_PARTIAL}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def ensure(
        self,
        stage: str,
        label: str,
        inputs: Mapping[str, Any],
        make: Callable[[Path], None],
        tell: Callable[[str], None] = lambda _: None,
    ) -> Path:
        """Return the folder of a stage for these inputs; call `make(folder)` if it is not there.

        The folder is ROOT/STAGE/LABEL-KEY, KEY a hash of `inputs`, which must hold all that the
        result depends on. What a study beside this one, or a run of this one, has made of the same
        inputs is linked (or copied) here instead, and `tell` is called with the study's folder.

        Raises:
            GoniometerError: a file of a finished stage is not what its manifest says.
        """
        key = hashlib.sha256(canonical(inputs).encode()).hexdigest()
        folder = self.root / stage / f"{_slug(label)}-{key[:12]}"
        about = {"stage": stage, "label": label, "key": key}
        if (folder / MANIFEST).is_file():
            _verify(folder)
        elif not self._shares(folder, about, tell):
            write_folder(folder, make, about)
        return folder

    def _shares(self, folder: Path, about: Mapping[str, Any], tell: Callable[[str], None]) -> bool:
        """Link a stage of the same key, of this study or one beside it; False without one."""
        beside = self.root.absolute().parent
        for other in sorted(beside.glob(f"*/{about['stage']}/*-{about['key'][:12]}")):
            if _is_whole(other, about["key"]):
                try:
                    write_folder(folder, partial(_link, other), about)
                except OSError:  # it went away, or cannot be read
                    continue
                tell(other.parent.parent.name)
                return True
        return False


def write_folder(folder: Path, make: Callable[[Path], None], about: Mapping[str, Any]) -> None:
    """Let `make` fill a new folder aside, write its manifest last, and move it to its place.

    An older folder of ours is replaced; one that we did not write is not touched.

    Raises:
        GoniometerError: the place cannot be written, is full, or holds files that are not ours.
    """
    check_replaceable(folder)
    _make_folder(folder.parent)
    try:
        aside = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder.parent))
    except OSError as error:
        reason = f"cannot be written: {error.strerror}"
        raise GoniometerError(reason, file=folder.parent) from None
    try:
        make(aside)
        files = {str(p.relative_to(aside)): _digest(p) for p in _files(aside)}
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
    _make_folder(file.parent)
    aside = file.with_name(f"{_PARTIAL}{file.name}")
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


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise GoniometerError(f"cannot be written: {error.strerror}", file=folder) from None
    if not writable:
        raise GoniometerError("cannot be written: permission denied", file=folder)


def _verify(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    for name, digest in manifest["files"].items():
        file = folder / name
        if not file.is_file() or _digest(file) != digest:
            raise GoniometerError(
                "changed since it was written", file=file, fix=f"remove {folder} to make it again"
            )


def _is_whole(folder: Path, key: str) -> bool:
    """Whether a folder of another study is ours, finished, of this key and unchanged."""
    try:
        if folder.stat().st_uid != os.getuid():
            return False
        manifest = json.loads((folder / MANIFEST).read_text())
        files: Mapping[str, str] = manifest["files"]
        same = all(_digest(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(manifest.get("key") == key and same)


def _link(source: Path, target: Path) -> None:
    for name in json.loads((source / MANIFEST).read_text())["files"]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            (target / name).hardlink_to(source / name)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source / name, target / name)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _slug(label: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in label.lower()).strip("-") or "run"
