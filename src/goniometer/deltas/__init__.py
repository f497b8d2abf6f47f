"""What changed: updates to a base model, whoever trained them.

To add a format: write `deltas/yours.py` with a function Path -> Delta, and add its line to
FORMATS below with the file that gives such a folder away. The first that fits reads it.
"""

from collections.abc import Callable
from pathlib import Path

from goniometer.deltas.base_model import check_base
from goniometer.deltas.delta import (
    Delta,
    Provenance,
    check_shapes,
    layer_of,
    module_order,
    projection_of,
)
from goniometer.deltas.matrix import SVD, AbstractMatrix, Dense, LowRank
from goniometer.deltas.peft_adapter import read_peft_adapter
from goniometer.errors import GoniometerError

FORMATS: dict[str, tuple[str, Callable[[Path], Delta]]] = {
    "peft": ("adapter_config.json", read_peft_adapter),
}


def read(path: Path) -> Delta:
    """Read the update in a folder, by the first format whose file is there.

    Raises:
        GoniometerError: no such folder, no known format, or what the format's reader says.
    """
    if not path.exists():
        raise GoniometerError("no such folder", file=path)
    for signature, reader in FORMATS.values():
        if (path / signature).is_file():
            return reader(path)
    expected = " or ".join(f"a folder with {signature}" for signature, _ in FORMATS.values())
    raise GoniometerError("not an update that can be read", file=path, expected=expected)


__all__ = [
    "FORMATS",
    "SVD",
    "AbstractMatrix",
    "Delta",
    "Dense",
    "LowRank",
    "Provenance",
    "check_base",
    "check_shapes",
    "layer_of",
    "module_order",
    "projection_of",
    "read",
]
