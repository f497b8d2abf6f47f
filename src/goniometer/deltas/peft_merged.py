"""Formats that are read through PEFT's own merge: which, what of the base each needs, and when.

A format is here where its update agrees with PEFT's merge of a whole network in the tests. The
update of one module is formed when its rows are asked for.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas.delta import Outline
from goniometer.deltas.matrix import AbstractMatrix
from goniometer.deltas.peft_folder import Entries, Entry, Folder
from goniometer.deltas.tensors import StoredTensor
from goniometer.errors import GoniometerError

# Entries of a dense update in float64 that may be formed: 8 GiB.
_MOST = 1 << 30
# Fields that say where and how it was trained, not what the update is.
_NOT_CONTENT = re.compile(
    r"dropout|target_modules|exclude_modules|layers_|base_model|revision|version|task_type|mapping"
    r"|inference_mode|modules_to_save|bias|init_weights"
)

# Integers that are no sizes. LoKr's rank is a bound: beyond half the module there are no factors.
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


@final
@dataclass(frozen=True, eq=False)
class Merged(AbstractMatrix):
    """factor times what PEFT adds when it merges: formed once, when it is first asked for."""

    size: tuple[int, int]
    form: Callable[[], Float[Tensor, "m n"]]
    sources: Callable[[], Iterator[tuple[str, Tensor]]]
    factor: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.size

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Rows of the update."""
        return self.factor * self.form()[start:stop]

    def scaled(self, factor: float) -> "Merged":
        """Return factor times the update: only the factor changes."""
        return replace(self, factor=self.factor * factor)

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """The configuration, the adapter's tensors and, where it matters, the base's weight."""
        yield f"factor {self.factor!r}", torch.zeros(0)
        yield from self.sources()


def merged_entries(names: Sequence[str], folder: Folder) -> tuple[Entries, list[str]]:
    """Entries of all modules, and the names of what does not belong to them.

    Raises:
        GoniometerError: the base is needed and absent, or a size is beyond what can be formed.
    """
    kind = KINDS[folder.tree["peft_type"]]
    pattern = re.compile(rf"^(?:(?P<module>.+)\.)?{kind.prefix}[^.]*(?:\.[^.]+)?$")
    modules: dict[str, list[str]] = {}
    shared, others = [], []
    for name in names:
        match = pattern.match(name)
        if match is None:
            others.append(name)
        elif match["module"] in (None, "base_model"):
            shared.append(name)
        else:
            modules.setdefault(match["module"], []).append(name)
    shapes = {module: _shape(module, mine, folder) for module, mine in modules.items()}
    largest = None
    if kind.largest and shapes:
        largest = (max(m for m, _ in shapes.values()), max(n for _, n in shapes.values()))
    found: Entries = {}
    for module, mine in modules.items():
        reader = _Reader(folder, module, (*mine, *shared), shapes[module], kind, largest)
        reader.check()
        found |= reader.entries()
    return found, others


@final
@dataclass(frozen=True)
class _Reader:
    """Reads one module."""

    folder: Folder
    module: str
    names: tuple[str, ...]
    shape: tuple[int, int]
    kind: Kind
    largest: tuple[int, int] | None

    def check(self) -> None:
        """Refuse sizes that the tensors at hand cannot have: PEFT would allocate them."""
        counts = [math.prod(self.folder.weights.tensors[name].shape) for name in self.names]
        most = max(*self.shape, *counts)
        for key, value in self.folder.tree.items():
            if _NO_SIZE.search(key) or (key == "r" and self.kind.prefix == "lokr_"):
                continue
            for number in _integers(value):
                if number > most:
                    raise GoniometerError(
                        "larger than the tensors it is of", file=self.folder.config, key=key,
                        found=number, expected=f"at most {most}",
                    )  # fmt: skip
        if math.prod(self.shape) > _MOST:
            raise GoniometerError(
                "too large to be formed", file=self.folder.weights.file, key=self.module,
                found=f"shape {self.shape}", expected=f"at most {_MOST} entries",
            )  # fmt: skip

    def entries(self) -> Entries:
        m, n = self.shape
        found = {self.module: self._entry((m, n), 0)}
        if self.bias is not None and not self._feedforward:
            found[f"{self.module}.bias"] = self._entry((m, 1), 1)
        return found

    @property
    def bias(self) -> StoredTensor | None:
        return self.folder.find(f"{self.module}.bias") if self.kind.bias else None

    @property
    def _feedforward(self) -> bool:
        """IA3 on what goes into a module leaves its bias alone."""
        shapes = (self.folder.weights.tensors[name].shape for name in self.names)
        return self.kind.prefix == "ia3_" and any(shape[:1] == (1,) for shape in shapes)

    def _entry(self, size: tuple[int, int], which: int) -> Entry:
        def load() -> Merged:
            return Merged(size, cache(lambda: self.form()[which]), self.sources)

        return Entry(Outline(size, min(size), low_rank=False), load)

    def form(self) -> tuple[Tensor, Tensor]:
        """The update of weight and bias, by PEFT."""
        from goniometer.deltas.peft_fallback import merged_update

        weight = torch.zeros(self.shape, dtype=torch.float64)
        if self.kind.weight:
            why = f"{self.folder.tree['peft_type']} acts on the base's weight"
            weight = self.folder.require(self.module, why).rows()
        bias = None if self.bias is None else self.bias.rows()
        tensors = {name: self.folder.weights.value(name) for name in self.names}
        tree = self.folder.tree
        return merged_update(tree, self.module, tensors, weight, bias, self.largest)

    def sources(self) -> Iterator[tuple[str, Tensor]]:
        """What the update is made of."""
        tree = self.folder.tree
        content = {k: v for k, v in sorted(tree.items()) if not _NOT_CONTENT.search(k)}
        yield json.dumps(content, sort_keys=True), torch.zeros(0)
        for name in sorted(self.names):
            yield name, self.folder.weights.value(name)
        if self.kind.weight:
            base = self.folder.require(self.module, "")
            yield "base", base.stored()


def _integers(value: Any) -> Iterator[int]:
    """Every integer in a field, in its lists and patterns too."""
    if type(value) is int:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _integers(part)


def _shape(module: str, names: Sequence[str], folder: Folder) -> tuple[int, int]:
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
