"""Where a run lies: a path on this machine, or a repository of the Hub, downloaded once.

What exists here, or looks like a path, is never sent out. Of a repository only JSON and
safetensors files are downloaded: no pickle, no code.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import final

from goniometer.deltas.base_model import BaseModel
from goniometer.deltas.companions import Companions
from goniometer.deltas.tensors import INDEX, SINGLE, weight_files
from goniometer.errors import GoniometerError

ADAPTER, ADAPTER_WEIGHTS, CONFIG = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "config.json",
)
_NAME = r"[A-Za-z0-9_][\w.-]{0,95}"
# owner/name, owner/name@revision, owner/name/sub/folder@revision
_ID = re.compile(
    rf"(?P<repo>{_NAME}/{_NAME})(?:(?:/(?P<folder>{_NAME}(?:/{_NAME})*))?@(?P<revision>[\w./-]+))?",
    re.ASCII,
)


@final
@dataclass(frozen=True)
class Located:
    """A folder on this machine, and where it came from: its path, or repository@commit."""

    path: Path
    source: str


@final
@dataclass(frozen=True)
class HubId:
    """A repository of models on the Hub, a folder in it, and a branch, tag or commit."""

    repo: str
    folder: str = ""
    revision: str = "main"

    def within(self, name: str) -> str:
        """Path of a file in the repository."""
        return f"{self.folder}/{name}" if self.folder else name


def hub_id(argument: str) -> HubId | None:
    """Read an argument as a Hub id; None where it is, or looks like, a path on this machine.

    A folder within a repository needs its revision, `owner/name/folder@main`: without one it
    looks like a path. So does `folder/name` where the folder is here.
    """
    match = _ID.fullmatch(argument)
    if match is None or ".." in argument or "//" in argument or os.path.lexists(argument):
        return None
    if match["revision"] is None and os.path.lexists(argument.partition("/")[0]):
        return None
    return HubId(match["repo"], match["folder"] or "", match["revision"] or "main")


def argument_of(run: str | Path) -> str:
    """Say a run as an argument: a Path is a path, even one that reads like a Hub id."""
    return run if isinstance(run, str) else os.path.join(".", run)  # noqa: PTH118 (keeps the dot)


def locate(argument: str, beside: Sequence[str] = (), *, weights: bool = True) -> Located:
    """Return the folder of a run or a base; a Hub id is downloaded, or found in the cache.

    Args:
        argument: a path, or a Hub id.
        beside: names of further files to download where the repository has them.
        weights: whether the weights are downloaded too, or only what describes them.

    Raises:
        GoniometerError: no such repository or revision, no access to it, no weights that can be
            read in it; the Hub cannot be reached, or must not be, and the cache has not all of it.
    """
    asked = hub_id(argument)
    if asked is None:
        return Located(Path(os.path.expanduser(argument)), argument)  # noqa: PTH111 (never raises)
    try:
        return _downloaded(asked, beside) if weights else _header(asked, beside)
    except GoniometerError:
        raise
    except Exception as error:  # the network library behind it, and its errors, vary by version
        raise _refusal(argument, error) from None


def find_base(name: str) -> BaseModel | None:
    """Find a base by the name that a run holds: a folder here, or in the Hub's local cache.

    Nothing is downloaded, and no other name tried. None where it is not here, or not whole.
    """
    if os.path.lexists(name) or re.fullmatch(rf"(?:{_NAME}/)?{_NAME}", name, re.ASCII) is None:
        folder = Path(name)
    else:
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(name, local_files_only=True, allow_patterns=[CONFIG]))
        except Exception:  # not in the cache, a name that the Hub would not take
            return None
    try:
        whole = all(file.is_file() for file in weight_files(folder))
    except (GoniometerError, OSError, ValueError):
        return None
    return BaseModel(folder) if whole else None


def companions(base: str | None = None, initial: str | None = None) -> Companions:
    """What the readers may use, from what the user names: folders or Hub ids.

    Raises:
        GoniometerError: as `locate`.
    """
    return Companions(
        base=None if base is None else BaseModel(_present(base)),
        initial=None if initial is None else _present(initial),
        find_base=find_base,
    )


def _present(argument: str) -> Path:
    path = locate(argument).path
    if not os.path.exists(path):  # noqa: PTH110 (never raises)
        raise GoniometerError("no such folder", file=argument)
    return path


def _header(asked: HubId, beside: Sequence[str]) -> Located:
    from huggingface_hub import snapshot_download

    patterns = [escape(asked.within(name)) for name in (CONFIG, *beside)]
    snapshot = Path(snapshot_download(asked.repo, revision=asked.revision, allow_patterns=patterns))
    return Located(snapshot / asked.folder, _source(asked, snapshot.name))


def _source(asked: HubId, commit: str) -> str:
    return f"{asked.repo}{'/' + asked.folder if asked.folder else ''}@{commit}"


def _downloaded(asked: HubId, beside: Sequence[str]) -> Located:
    from huggingface_hub import snapshot_download

    def get(revision: str, *names: str) -> Path:
        patterns = [escape(asked.within(name)) for name in names]
        return Path(snapshot_download(asked.repo, revision=revision, allow_patterns=patterns))

    snapshot = get(asked.revision, ADAPTER, CONFIG, INDEX)
    folder = snapshot / asked.folder
    if (folder / ADAPTER).is_file():
        weights = [ADAPTER_WEIGHTS]
    elif (folder / INDEX).is_file():
        weights = [SINGLE, *(file.name for file in weight_files(folder))]
    else:
        weights = [SINGLE]
    commit = snapshot.name
    get(commit, ADAPTER, CONFIG, INDEX, *weights, *beside)
    source = _source(asked, commit)
    if not any((folder / name).is_file() for name in weights):
        raise GoniometerError(
            "no weights that can be read", file=source,
            expected=f"{ADAPTER_WEIGHTS}, {SINGLE} or {INDEX}",
            fix="pickles and code are never downloaded",
        )  # fmt: skip
    return Located(folder, source)


def _refusal(argument: str, error: Exception) -> GoniometerError:
    from huggingface_hub import constants, errors

    fix = None
    if isinstance(error, errors.GatedRepoError):
        message, fix = "a gated repository", "ask for access on its page, then log in with hf auth"
    elif isinstance(error, errors.RepositoryNotFoundError):
        message = "no such folder here, and no such repository on the Hub, or a private one"
    elif isinstance(error, errors.RevisionNotFoundError):
        message = "no such revision of that repository"
    elif constants.HF_HUB_OFFLINE:
        message, fix = "not in the local cache", "unset HF_HUB_OFFLINE to download it"
    elif isinstance(error, errors.LocalEntryNotFoundError):
        message = "not in the local cache, and the Hub cannot be reached"
    else:
        message = f"the Hub gave no answer that can be used: {type(error).__name__}"
    return GoniometerError(message, file=argument, fix=fix)
