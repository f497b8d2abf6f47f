"""An update as a value: module name -> Matrix, with where it came from and a fingerprint.

A delta may lie in files still: what is known of a module without reading it is its Outline.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, final

import torch

from goniometer.deltas.matrix import AbstractMatrix, LowRank
from goniometer.deltas.peft_layers import replace_layer
from goniometer.errors import GoniometerError

if TYPE_CHECKING:
    Matrices = Mapping[str, AbstractMatrix]
else:
    Matrices = Mapping  # a type check at run time would read a value from a file

_LAYER = re.compile(r"(?:^|\.)(\d+)(?:\.|$)")


@final
@dataclass(frozen=True)
class Provenance:
    """Where a delta was read from, and what of it was not read."""

    source: str
    format: str
    base: str | None = None
    not_read: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    copies: tuple[int, ...] = ()  # which layer of the base each layer is a copy of, where any is


@final
@dataclass(frozen=True)
class Outline:
    """What is known of a module's update before its values are read."""

    shape: tuple[int, int]
    rank: int  # nominal: columns of B, the smaller side of what is dense
    low_rank: bool = True


@final
@dataclass(frozen=True)
class Stored(Matrices):
    """Matrices that are read each time one is asked for, and not kept."""

    outlines: Mapping[str, Outline]
    load: Callable[[str], AbstractMatrix]

    def __getitem__(self, name: str) -> AbstractMatrix:
        if name not in self.outlines:
            raise KeyError(name)
        return self.load(name)

    def __contains__(self, name: object) -> bool:
        return name in self.outlines  # Mapping's own would read the matrix

    def __iter__(self) -> Iterator[str]:
        return iter(self.outlines)

    def __len__(self) -> int:
        return len(self.outlines)


@final
@dataclass(frozen=True, eq=False)
class Delta(Matrices):
    """A frozen mapping from module name to its update, in the order of layers.

    A module that is not in the mapping has a true zero update.
    """

    matrices: Matrices
    provenance: Provenance
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the modules by layer, then by name."""
        object.__setattr__(self, "names", tuple(sorted(self.matrices, key=module_order)))

    def __getitem__(self, name: str) -> AbstractMatrix:
        return self.matrices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.matrices

    def outline(self, name: str) -> Outline:
        """Shape and nominal rank of a module, without reading it where it lies in a file."""
        if isinstance(self.matrices, Stored):
            return self.matrices.outlines[name]
        return outline_of(self.matrices[name])

    def in_base(self, name: str) -> str:
        """Name of the base's module that this one is, or is a copy of (layer replication)."""
        return replace_layer(name, self.provenance.copies)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every module's name and content: of the values read, not of the file."""
        return fingerprint({name: digest(self[name]) for name in self})

    def minus(self, origin: "Delta") -> "Delta":
        """Subtract a common starting update: what the run added to it.

        Raises:
            GoniometerError: a module that both have has two shapes.
        """
        check_shapes({self.provenance.source: self, origin.provenance.source: origin})
        outlines = {name: origin.outline(name) for name in origin if name not in self}
        outlines |= {name: self.outline(name) for name in self}
        return Delta(Stored(outlines, partial(_added, self, origin)), self.provenance)


def _added(run: Delta, origin: Delta, name: str) -> AbstractMatrix:
    if name not in origin:
        return run[name]
    if name not in run:
        return origin[name].scaled(-1.0)
    mine = run[name]
    added = mine - origin[name]
    if isinstance(mine, LowRank) and isinstance(added, LowRank):
        # The factors of both stand in it, but one run of this rank made the difference.
        return replace(added, trained_rank=mine.rank)
    return added


def outline_of(matrix: AbstractMatrix) -> Outline:
    """Outline of a matrix at hand."""
    if isinstance(matrix, LowRank):
        return Outline(matrix.shape, matrix.rank)
    return Outline(matrix.shape, min(matrix.shape), low_rank=False)


def digest(matrix: AbstractMatrix) -> str:
    """SHA-256 of a matrix's parts: their names, types, shapes and bytes."""
    found = hashlib.sha256()
    for name, tensor in matrix.parts():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()


def fingerprint(digests: Mapping[str, str]) -> str:
    """SHA-256 of a delta from the digests of its modules, whatever their order."""
    text = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()


def layer_of(module: str) -> int | None:
    """Return the first number that is a whole part of the name: its layer, or None."""
    match = _LAYER.search(module)
    return int(match.group(1)) if match else None


def module_order(module: str) -> tuple[int, str]:
    """Sort key of modules: by layer, what has none first, then by name."""
    layer = layer_of(module)
    return (-1 if layer is None else layer, module)


def projection_of(module: str) -> str:
    """Return the last part of the name: q_proj, o_proj, ..."""
    return module.rpartition(".")[2]


def check_shapes(deltas: Mapping[str, Delta]) -> None:
    """Require that each module has one shape in all runs that have it.

    Raises:
        GoniometerError: naming the first module whose shapes differ, as the bases must then.
    """
    seen: dict[str, tuple[str, tuple[int, int]]] = {}
    for run, delta in deltas.items():
        for module in delta:
            shape = delta.outline(module).shape
            first_run, first_shape = seen.setdefault(module, (run, shape))
            if shape != first_shape:
                raise GoniometerError(
                    "the runs have different base models",
                    file=run,
                    key=module,
                    found=f"shape {shape}",
                    expected=f"{first_shape} as in {first_run}",
                    fix="compare fine-tunes of one base",
                )
