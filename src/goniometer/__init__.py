"""Measures the angles between fine-tuning updates.

The public surface is lazy (PEP 562): `import goniometer` does not import torch.

    import goniometer
    compared = goniometer.compare(["adapters/a", "adapters/b"])
    compared.pair("a", "b").scopes["union"].readings["cosine"].value
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from goniometer.errors import GoniometerError

if TYPE_CHECKING:
    from goniometer.compared import Compared, read_compared
    from goniometer.config import Study
    from goniometer.library import compare
    from goniometer.pipeline import run_study
    from goniometer.results import Results, read_results
    from goniometer.study_file import read_study

_HOMES = {
    "Compared": "goniometer.compared",
    "compare": "goniometer.library",
    "read_compared": "goniometer.compared",
    "Study": "goniometer.config",
    "read_study": "goniometer.study_file",
    "run_study": "goniometer.pipeline",
    "Results": "goniometer.results",
    "read_results": "goniometer.results",
}

__all__ = [
    "Compared",
    "GoniometerError",
    "Results",
    "Study",
    "compare",
    "read_compared",
    "read_results",
    "read_study",
    "run_study",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for."""
    if name == "callback":
        return import_module("goniometer.callback")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'goniometer' has no attribute {name!r}")
