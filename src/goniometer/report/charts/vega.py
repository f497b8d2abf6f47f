"""What draws: Vega with vega-embed as one script, and Vega-Lite specifications compiled to Vega.

Both come from vl-convert, whose engine takes half a second to start: they are kept.
"""

import hashlib
import json
from importlib.metadata import version

from goniometer.report.charts.kept import kept
from goniometer.report.theme import Spec

# The bundles of vl-convert up to 1.9 export null as `vega` and `vegaLite`; vegaEmbed is sound.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def script() -> str:
    """The bundle of the installed vl-convert, as one text to stand in the page."""

    def make() -> str:
        import vl_convert

        bundle: str = vl_convert.javascript_bundle(_SNIPPET)
        return bundle

    return kept(f"vega-embed-{_version()}.js", make)


def compiled(bases: dict[str, Spec]) -> dict[str, Spec]:
    """Each Vega-Lite specification as Vega."""
    texts = {name: json.dumps(base, sort_keys=True) for name, base in bases.items()}
    # The order in which a specification names its parts is no part of it.
    key = hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()[:16]

    def make() -> str:
        import vl_convert

        made = {name: vl_convert.vegalite_to_vega(base) for name, base in bases.items()}
        return json.dumps(made)

    found: dict[str, Spec] = json.loads(kept(f"vega-{_version()}-{key}.json", make))
    return found


def _version() -> str:
    return version("vl-convert-python")
