"""Updates of q, k and v put together again, as the module that the network has: undoes `split`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas.fused import Rows
from goniometer.deltas.matrix import AbstractMatrix, LowRank

Piece = tuple[Rows, AbstractMatrix]  # a part's rows in the whole, and its update


@final
@dataclass(frozen=True, eq=False)
class Joined(AbstractMatrix):
    """A matrix whose rows are those of others; rows that none has are zero."""

    size: tuple[int, int]
    pieces: tuple[Piece, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.size

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Rows of the whole, each read from the part that has it."""
        found = torch.zeros(stop - start, self.size[1], dtype=torch.float64)
        for ranges, matrix in self.pieces:
            before = 0  # rows of the part in its ranges before
            for taken in ranges:
                first, last = max(start, taken.start), min(stop, taken.stop)
                if first < last:
                    offset = before - taken.start
                    rows = matrix.rows(first + offset, last + offset)
                    found[first - start : last - start] = rows
                before += len(taken)
        return found

    def scaled(self, factor: float) -> "Joined":
        """Return factor times the matrix."""
        pieces = tuple((ranges, matrix.scaled(factor)) for ranges, matrix in self.pieces)
        return replace(self, pieces=pieces)

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """The parts of each piece, and which rows it is."""
        for ranges, matrix in self.pieces:
            yield f"rows {ranges}", torch.zeros(0)
            yield from matrix.parts()


def join(pieces: Sequence[Piece], shape: tuple[int, int]) -> AbstractMatrix:
    """Put parts together as one m x n matrix; what no part has is zero.

    Low rank stays low rank: of the same rank where all parts have one A, as those of one fused
    module do, else of the sum of their ranks.
    """
    low_rank = [(ranges, matrix) for ranges, matrix in pieces if isinstance(matrix, LowRank)]
    if not low_rank or len(low_rank) < len(pieces):
        return Joined(shape, tuple(pieces))
    inputs = [matrix.A.double() for _, matrix in low_rank]
    one_input = all(torch.equal(A, inputs[0]) for A in inputs)
    A = inputs[0] if one_input else torch.cat(inputs)
    B = torch.zeros(shape[0], A.shape[0], dtype=torch.float64)
    column = 0
    for ranges, matrix in low_rank:
        rows = torch.cat([torch.arange(taken.start, taken.stop) for taken in ranges])
        rank = matrix.A.shape[0]
        B[rows, column : column + rank] = matrix.scale * matrix.B.double()
        column += 0 if one_input else rank
    return LowRank(B, A, 1.0)
