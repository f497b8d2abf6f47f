"""Files of a folder that anybody may have made: opened only where they are what they should be."""

import json
import os
from pathlib import Path
from typing import Any

from goniometer.errors import GoniometerError

# Beyond these a file is no model's, and no configuration or index.
_MOST_BYTES, _MOST_JSON = 1 << 40, 1 << 25


def check_file(file: Path, most: int = _MOST_BYTES) -> None:
    """Require a regular file of at most so many bytes that lies in its own folder.

    A link may stay in the folder, or go where the Hub's cache keeps its files.

    Raises:
        GoniometerError: it is absent, a device or a pipe, a link to elsewhere, or larger.
    """
    try:
        regular = file.is_file()
        size = file.stat().st_size if regular else 0
    except OSError as error:
        raise GoniometerError(f"cannot be read: {error.strerror}", file=file) from None
    if not regular:
        raise GoniometerError("no such file", file=file)
    if not stays_inside(file):
        raise GoniometerError(
            "a link out of its folder is not followed", file=file, found=os.path.realpath(file),
            fix="copy the file into the folder",
        )  # fmt: skip
    if size > most:
        raise GoniometerError("too large", file=file, found=f"{size} bytes", expected=f"{most}")


def stays_inside(path: Path) -> bool:
    """Whether a file or folder lies, links followed, in the folder that it is named in.

    In the Hub's cache what is named in .../snapshots/COMMIT lies in .../blobs.
    """
    real, home = Path(os.path.realpath(path)), Path(os.path.realpath(path.parent))
    homes = [home, *(up.parent / "blobs" for up in home.parents if up.name == "snapshots")]
    return any(real.is_relative_to(one) for one in homes)


def json_object(file: Path, most: int = _MOST_JSON) -> dict[str, Any]:
    """Read a configuration or an index, or what else has at most so many bytes.

    Raises:
        GoniometerError: it is absent, elsewhere, too large, or no JSON object.
    """
    check_file(file, most)
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise GoniometerError(f"not valid JSON: {error}", file=file) from None
    if not isinstance(tree, dict):
        raise GoniometerError("not a JSON object", file=file, found=type(tree).__name__)
    return tree
