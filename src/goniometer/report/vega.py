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

    made_by = version("vl-convert-python")
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        kept = home / "goniometer" / f"vega-embed-{made_by}.js"
        if kept.is_file():
            return kept.read_text(encoding="utf-8")
        bundle: str = vl_convert.javascript_bundle(_SNIPPET)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=kept.parent, delete=False, encoding="utf-8"
        ) as partial:
            partial.write(bundle)
        Path(partial.name).replace(kept)
    except (OSError, RuntimeError):  # read-only, or no home
        return str(vl_convert.javascript_bundle(_SNIPPET))
    return bundle
