"""Types that are read through PEFT's own merge: what of the base each needs, and its sizes.

To add a type: add its line to KINDS and its configurations to the contract battery's table. A
type is here where its update agrees there with PEFT's merge of a whole network.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from goniometer.deltas.peft_folder import Folder
from goniometer.errors import GoniometerError

# Entries of a dense update in float64 that may be formed: 8 GiB.
_MOST = 1 << 30
# Numbers that are no sizes. LoKr's rank is a bound: beyond half the module there are no factors.
_NO_SIZE = re.compile(r"seed|key|alpha|scaling|token|layers_")


@final
@dataclass(frozen=True)
class Kind:
    """One PEFT type: how its tensors begin, and what it needs of the base."""

    prefix: str
    weight: bool = True  # its values: the update is no sum with them
    bias: bool = False  # the outputs are changed, and the bias with them
    largest: bool = False  # shared projections are cut from those of the largest module


KINDS = {
    "LOHA": Kind("hada_", weight=False),
    "LOKR": Kind("lokr_", weight=False),
    "FOURIERFT": Kind("fourierft_", weight=False),
    "WAVEFT": Kind("waveft_", weight=False),
    "SHIRA": Kind("shira_", weight=False),
    "VBLORA": Kind("vblora_", weight=False),
    "C3A": Kind("c3a_", weight=False),
    "GRALORA": Kind("gralora_", weight=False),
    "RANDLORA": Kind("randlora_", weight=False, largest=True),
    "IA3": Kind("ia3_", bias=True),
    "OFT": Kind("oft_"),
    "BOFT": Kind("boft_"),
    "HRA": Kind("hra_"),
    "MISS": Kind("miss_"),
    "ROAD": Kind("road_", bias=True),
    "DELORA": Kind("delora_"),
    "HIRA": Kind("hira_"),
}


def check_sizes(module: str, names: Sequence[str], shape: tuple[int, int], folder: Folder) -> None:
    """Refuse sizes that the tensors at hand cannot have: PEFT would allocate them.

    Raises:
        GoniometerError: naming the field, or the module that is too large to be formed.
    """
    lokr = folder.tree["peft_type"] == "LOKR"
    most = max(*shape, *(math.prod(folder.weights.tensors[name].shape) for name in names))
    for key, value in folder.tree.items():
        if _NO_SIZE.search(key) or (key == "r" and lokr):
            continue
        for number in _numbers(value):
            if not -1 <= number <= most:  # -1 asks PEFT for a size of its own
                raise GoniometerError(
                    "larger than the tensors it is of" if number > 0 else "no size",
                    file=folder.config, key=key, found=number, expected=f"at most {most}",
                )  # fmt: skip
    if math.prod(shape) > _MOST:
        raise GoniometerError(
            "too large to be formed", file=folder.weights.file, key=module,
            found=f"shape {shape}", expected=f"at most {_MOST} entries",
        )  # fmt: skip


def _numbers(value: Any) -> Iterator[float]:
    """Every number in a field, in its lists and patterns too."""
    if type(value) in (int, float):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _numbers(part)


def shape_of(module: str, names: Sequence[str], folder: Folder) -> tuple[int, int]:
    """Out by in features: from the factors where they say them, else from the base."""
    shapes = {name.removeprefix(f"{module}."): folder.weights.tensors[name].shape for name in names}
    named = _SHAPES.get(str(folder.tree["peft_type"]))
    size = named(shapes) if named else None
    if size is not None:
        return size
    kind = str(folder.tree["peft_type"])
    base = folder.require(module, f"{kind} is read by PEFT's merge")
    if len(base.shape) != 2:
        raise GoniometerError(
            f"{kind} on what is no linear module cannot be read", file=folder.weights.file,
            key=module, found=f"shape {base.shape}",
        )  # fmt: skip
    return base.shape[0], base.shape[1]


def _loha_shape(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    return _product(shapes.get("hada_w1_a"), shapes.get("hada_w1_b"))


def _lokr_shape(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    sides = [
        shapes.get(f"lokr_{w}") or _product(shapes.get(f"lokr_{w}_a"), shapes.get(f"lokr_{w}_b"))
        for w in ("w1", "w2")
    ]
    first, second = sides
    if first is None or second is None or len(first) != 2 or len(second) != 2:
        return None
    return first[0] * second[0], first[1] * second[1]


def _product(a: tuple[int, ...] | None, b: tuple[int, ...] | None) -> tuple[int, int] | None:
    return (a[0], b[1]) if a and b and len(a) == len(b) == 2 else None


_SHAPES: dict[str, Callable[[Mapping[str, tuple[int, ...]]], tuple[int, int] | None]] = {
    "LOHA": _loha_shape,
    "LOKR": _lokr_shape,
}
