"""Texts that are slow to make and always the same, kept in the user's cache."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from goniometer.cache import cache_folder


def kept(name: str, make: Callable[[], str]) -> str:
    """Read a text from the user's cache, or make it and keep it there.

    A cache that cannot be read or written is done without.

    Args:
        name: of the file; it must change with all that the text depends on.
        make: called where there is no such file.
    """
    place = cache_folder()
    try:
        if place is not None and (place / name).is_file():
            return (place / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        place = None
    text = make()
    if place is not None:
        _keep(text, place / name)
    return text


def _keep(text: str, place: Path) -> None:
    """Write aside and rename, so that no other process reads half a text."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=place.parent, delete=False, encoding="utf-8"
        ) as partial:
            partial.write(text)
        Path(partial.name).replace(place)
    except OSError:
        return
