"""An update as a value: module name -> Matrix, with where it came from and a fingerprint."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import final

import torch

from goniometer.deltas.matrix import AbstractMatrix, Dense, LowRank
from goniometer.errors import GoniometerError

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


@final
@dataclass(frozen=True, eq=False)
class Delta(Mapping[str, AbstractMatrix]):
    """A frozen mapping from module name to its update, in the order of layers.

    A module that is not in the mapping has a true zero update.
    """

    matrices: Mapping[str, AbstractMatrix]
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

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every module's name, factors and scale: of the content, not of the file."""
        digest = hashlib.sha256()
        for name in self.names:
            matrix = self[name]
            match matrix:
                case LowRank(B, A, scale, _):
                    digest.update(f"{name} {scale!r}".encode())
                    tensors = [B, A]
                case Dense(value):
                    digest.update(name.encode())
                    tensors = [value]
                case _:
                    raise TypeError(type(matrix).__name__)
            for tensor in tensors:
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def minus(self, origin: "Delta") -> "Delta":
        """Subtract a common starting update: what the run added to it.

        Raises:
            GoniometerError: a module that both have has two shapes.
        """
        check_shapes({self.provenance.source: self, origin.provenance.source: origin})
        zero = {name: origin[name].scaled(-1.0) for name in origin if name not in self}
        both = {n: self._added(n, origin[n]) if n in origin else self[n] for n in self}
        return Delta(both | zero, self.provenance)

    def _added(self, name: str, start: AbstractMatrix) -> AbstractMatrix:
        mine = self[name]
        added = mine - start
        if isinstance(mine, LowRank) and isinstance(added, LowRank):
            # The factors of both stand in it, but one run of this rank made the difference.
            return replace(added, trained_rank=mine.rank)
        return added


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
            shape = delta[module].shape
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
