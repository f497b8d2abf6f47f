"""DoRA's update, formed a block of rows at a time against the base.

DoRA (arXiv 2402.09353, equation 5) replaces the weight W by m * (W + s B A) / ||W + s B A||, with
one norm and one learned magnitude m for each output. An embedding's outputs are the columns of
its stored weight. The norm stands outside the gradient in training; the value is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas.matrix import AbstractMatrix, LowRank
from goniometer.deltas.tensors import StoredTensor


@final
@dataclass(frozen=True, eq=False)
class Dora(AbstractMatrix):
    """factor * (magnitude * V / ||V|| - W) with V = W + s B A and W the base's weight, in a file.

    `magnitude` has one entry for each row, or for each column where `by_column`.
    """

    magnitude: Float[Tensor, " outputs"]
    added: LowRank
    base: StoredTensor
    by_column: bool = False
    factor: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.added.shape

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Rows of the merged weight minus those of the base."""
        stop = min(stop, self.shape[0])
        W = self._base_rows(start, stop)
        V = W + self.added.rows(start, stop)
        if self.by_column:
            return self.factor * (self._column_gains * V - W)
        gains = self.magnitude[start:stop].double() / V.norm(dim=1)
        return self.factor * (gains[:, None] * V - W)

    def scaled(self, factor: float) -> "Dora":
        """Return factor times the update: only the factor changes."""
        return replace(self, factor=self.factor * factor)

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """The magnitude, both factors of LoRA, and the base's weight as stored."""
        yield f"magnitude {self.factor!r}", self.magnitude
        yield from self.added.parts()
        for start, stop in self.blocks():
            yield "base", self.base.stored(start, stop)

    def _base_rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        return self.base.rows(start, stop).flatten(1)

    @cached_property
    def _column_gains(self) -> Float[Tensor, " n"]:
        squares = torch.zeros(self.shape[1], dtype=torch.float64)
        for start, stop in self.blocks():
            V = self._base_rows(start, stop) + self.added.rows(start, stop)
            squares += V.square().sum(dim=0)
        return self.magnitude.double() / squares.sqrt()
