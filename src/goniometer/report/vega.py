"""The script that draws: Vega with vega-embed, as one text to stand in the page."""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

# The bundles of vl-convert up to 1.9 export null as `vega` and `vegaLite`; vegaEmbed is sound.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def script() -> str:
    """The bundle of the installed vl-convert, kept in the user's cache: it takes a second to make.

    A cache that cannot be read or written is done without.
    """
    import vl_convert

    kept = _place(version("vl-convert-python"))
    try:
        if kept is not None and kept.is_file():
            return kept.read_text(encoding="utf-8")
    except OSError:
        kept = None
    bundle: str = vl_convert.javascript_bundle(_SNIPPET)
    if kept is not None:
        _keep(bundle, kept)
    return bundle


def _place(made_by: str) -> Path | None:
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home
        return None
    return home / "goniometer" / f"vega-embed-{made_by}.js"


def _keep(bundle: str, place: Path) -> None:
    """Write aside and rename, so that no other process reads half a script."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=place.parent, delete=False, encoding="utf-8"
        ) as partial:
            partial.write(bundle)
        Path(partial.name).replace(place)
    except OSError:
        return
