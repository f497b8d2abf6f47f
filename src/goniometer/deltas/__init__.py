"""What changed: updates to a base model, whoever trained them.

To add a format: write `deltas/yours.py` with a function (Path, Companions) -> Delta, and add its
line to FORMATS below with the file that gives such a folder away. The first that fits reads it.
"""

from collections.abc import Callable
from os.path import exists  # which never raises
from pathlib import Path

from goniometer.deltas.base_model import BaseModel, check_base
from goniometer.deltas.checkpoint import read_checkpoint
from goniometer.deltas.companions import Companions
from goniometer.deltas.delta import (
    Delta,
    Outline,
    Provenance,
    Stored,
    check_shapes,
    digest,
    fingerprint,
    layer_of,
    module_order,
    projection_of,
)
from goniometer.deltas.matrix import SVD, AbstractMatrix, Dense, Difference, LowRank, Sum
from goniometer.deltas.peft_adapter import read_peft_adapter
from goniometer.deltas.tensors import INDEX, SINGLE, StoredTensor
from goniometer.errors import GoniometerError

NONE_GIVEN = Companions()

FORMATS: dict[str, tuple[str, Callable[[Path, Companions], Delta]]] = {
    "peft": ("adapter_config.json", read_peft_adapter),
    "checkpoint": (SINGLE, read_checkpoint),
    "sharded checkpoint": (INDEX, read_checkpoint),
    "pickled checkpoint": ("pytorch_model.bin", read_checkpoint),  # refused by name
}


def read(path: Path, companions: Companions = NONE_GIVEN) -> Delta:
    """Read the update in a folder, by the first format whose file is there.

    Raises:
        GoniometerError: no such folder, no known format, or what the format's reader says.
    """
    if not exists(path):  # noqa: PTH110
        raise GoniometerError("no such folder", file=path)
    for signature, reader in FORMATS.values():
        if (path / signature).is_file():
            delta = reader(path, companions)
            return delta if companions.base is None else _as_in(companions.base, delta)
    expected = " or ".join(f"a folder with {signature}" for signature, _ in FORMATS.values())
    inside = sorted(
        {file.parent.name for name, _ in FORMATS.values() for file in path.glob(f"*/{name}")}
    )
    raise GoniometerError(
        "not an update that can be read", file=path, expected=expected,
        found=f"updates in its folders {', '.join(inside)}" if inside else None,
        fix="name one of those folders" if inside else None,
    )  # fmt: skip


def _as_in(base: BaseModel, delta: Delta) -> Delta:
    """Name the modules as the base does: runs saved with and without the `model.` of a head meet.

    A replicated layer has no name in the base, and keeps its own.
    """
    names = {
        module: module if delta.provenance.copies else _name_in(base, module) for module in delta
    }
    if len(set(names.values())) < len(names) or all(n == module for module, n in names.items()):
        return delta
    own = {name: module for module, name in names.items()}
    outlines = {name: delta.outline(module) for name, module in own.items()}
    return Delta(Stored(outlines, lambda name: delta[own[name]]), delta.provenance)


def _name_in(base: BaseModel, module: str) -> str:
    found = base.spelling(module)
    if found is None:  # a part of a fused module
        whole, _, part = module.rpartition(".")
        fused = base.spelling(whole)
        found = module if fused is None else f"{fused}.{part}"
    return found


__all__ = [
    "FORMATS",
    "SVD",
    "AbstractMatrix",
    "BaseModel",
    "Companions",
    "Delta",
    "Dense",
    "Difference",
    "LowRank",
    "Outline",
    "Provenance",
    "Stored",
    "StoredTensor",
    "Sum",
    "check_base",
    "check_shapes",
    "digest",
    "fingerprint",
    "layer_of",
    "module_order",
    "projection_of",
    "read",
]
