"""The run folder: stages keyed by what goes into them, written aside, moved in whole. No torch.

A stage's folder appears by one rename, after its manifest, which is written last: what is there
is complete. A process killed at any moment leaves a `.partial-*` folder that the next one removes.
Studies whose folders stand side by side share what they have in common.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from goniometer.atomic import MANIFEST, PARTIAL, digest_of, make_folder, write_folder
from goniometer.config import canonical
from goniometer.errors import GoniometerError


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
        make_folder(self.root)
        with (self.root / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise GoniometerError(
                    "another study is running here",
                    file=self.root,
                    fix="wait, or choose another -o",
                ) from None
            for left in self.root.rglob(f"{PARTIAL}*"):
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


def _verify(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    for name, digest in manifest["files"].items():
        file = folder / name
        if not file.is_file() or digest_of(file) != digest:
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
        same = all(digest_of(folder / name) == digest for name, digest in files.items())
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


def _slug(label: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in label.lower()).strip("-") or "run"
