"""The user's cache folder, where what is slow to make and always the same is kept."""

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """Return the folder of goniometer (XDG Base Directory Specification), which may not exist.

    The specification has a relative XDG_CACHE_HOME ignored. None for a user without a home.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(home) if Path(home).is_absolute() else Path.home() / ".cache") / "goniometer"
    except RuntimeError:
        return None
