"""Where an update belongs in a network: modules by the names that updates have, in their shapes.

Updates name q, k and v apart, also where the network has one module for them (`deltas/fused.py`),
and all matrices are out by in features, which Conv1D stores the other way round.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, final

from torch import nn
from transformers.pytorch_utils import Conv1D

from goniometer.deltas import AbstractMatrix, Delta
from goniometer.deltas.base_model import HEADS
from goniometer.deltas.fused import Rows, parts, whole_of
from goniometer.deltas.joined import Piece, join
from goniometer.errors import GoniometerError

LINEAR = (nn.Linear, Conv1D)


@final
class Places:
    """Modules and parameters of a network by name, and which of them fused parts belong to."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.modules = dict(network.named_modules())
        self.parameters = dict(network.named_parameters())

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        found: Any = getattr(self.network, "config", None)
        return {} if found is None else found.to_dict()

    def part(self, name: str) -> tuple[str, Rows] | None:
        """The fused module, or its bias, that a name is a part of, with the rows; else None."""
        whole = None if name in self.modules or name in self.parameters else whole_of(name)
        if whole is None or not (whole in self.modules or whole in self.parameters):
            return None
        m, n = (*self.shape(whole), 1)[:2]
        rows = (parts(whole, (m, n), self._config) or {}).get(name)
        return None if rows is None else (whole, rows)

    def owner(self, name: str) -> str:
        """Name that the network has for the module that an update names."""
        found = self.part(name)
        if found is None and name in HEADS and name not in self.modules:
            # Files may call the head otherwise: GPT-NeoX's is `embed_out` there.
            return next((head for head in HEADS if head in self.modules), name)
        return name if found is None else found[0]

    def is_linear(self, name: str) -> bool:
        """Whether a module, or what it is a part of, is a linear map of its input."""
        return isinstance(self.modules.get(self.owner(name)), LINEAR)

    def is_turned(self, name: str) -> bool:
        """Whether the network stores a module's weight in by out features."""
        return isinstance(self.modules.get(name), Conv1D)

    def weight(self, name: str, run: str | None = None) -> nn.Parameter:
        """The weight of a module, or the parameter of that name.

        Raises:
            GoniometerError: the network has none.
        """
        module = self.modules.get(self.owner(name))
        found = self.parameters.get(name) if module is None else getattr(module, "weight", None)
        if not isinstance(found, nn.Parameter):
            raise GoniometerError(
                "the delta does not fit the network",
                file=run,
                key=name,
                found="no such module" if module is None else type(module).__name__,
                expected="a module with a weight",
            )
        return found

    def shape(self, name: str, run: str | None = None) -> tuple[int, ...]:
        """Shape of a weight's update, out by in features; a vector's has one column."""
        weight = self.weight(name, run)
        found = tuple(weight.shape) if weight.ndim > 1 else (weight.shape[0], 1)
        return found[::-1] if self.is_turned(name) else found

    def require(self, name: str, shape: tuple[int, int], run: str | None = None) -> None:
        """Require that an update of this shape has a place.

        Raises:
            GoniometerError: naming the run and the module.
        """
        part = self.part(name)
        if part is None:
            expected = self.shape(name, run)
        else:
            expected = (sum(map(len, part[1])), self.shape(part[0])[1])
        if shape != expected:
            raise GoniometerError(
                "the delta does not fit the network",
                file=run,
                key=name,
                found=f"shape {shape}",
                expected=f"{expected}",
            )

    def placed(self, delta: Mapping[str, AbstractMatrix]) -> dict[str, AbstractMatrix]:
        """The update by the network's own modules: parts of fused ones are put together.

        Raises:
            GoniometerError: what does not fit.
        """
        found: dict[str, AbstractMatrix] = {}
        pieces: dict[str, list[Piece]] = {}
        for name, matrix in delta.items():
            self.require(name, matrix.shape)
            part = self.part(name)
            if part is None:
                found[self.owner(name)] = matrix
            else:
                pieces.setdefault(part[0], []).append((part[1], matrix))
        for name, of in pieces.items():
            m, n = self.shape(name)
            found[name] = join(of, (m, n))
        return found


def require_fit(network: nn.Module, run: str, delta: Delta) -> None:
    """Require that the network has each module of an update, in its shape; no value is read.

    Raises:
        GoniometerError: naming the run and the first module that does not fit.
    """
    places = Places(network)
    for name in delta:
        places.require(name, delta.outline(name).shape, run)


def is_low_rank(network: nn.Module, delta: Delta) -> bool:
    """Whether rows of one batch can run at different multiples of an update, and cheaply."""
    places = Places(network)
    return all(delta.outline(name).low_rank and places.is_linear(name) for name in delta)
