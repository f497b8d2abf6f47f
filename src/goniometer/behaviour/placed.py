"""A base model with an update on it, as something that can be run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch

from goniometer.deltas import AbstractMatrix, Delta, LowRank
from goniometer.model import LanguageModel, perturbed


@final
@dataclass(frozen=True, eq=False)
class Placed:
    """A base and the update on it, times a factor; None for the base alone."""

    base: LanguageModel
    delta: Mapping[str, AbstractMatrix] | None = None
    factor: float = 1.0

    @property
    def whole(self) -> bool:
        """Whether some of the update is of no low rank; nothing is read from files."""
        if isinstance(self.delta, Delta):
            outlines = map(self.delta.outline, self.delta)
            return not all(outline.low_rank for outline in outlines)
        return not all(isinstance(matrix, LowRank) for matrix in (self.delta or {}).values())

    @contextmanager
    def running(self, *, in_flight: bool = False) -> Iterator[LanguageModel]:
        """Put the update on for the time of the context, and take it off again.

        Args:
            in_flight: let an update of no low rank move one weight at a time, anew for each batch
                (see `perturbed`), so that no merged copy is made; one of low rank runs as ever.

        Raises:
            GoniometerError: the update does not fit the base; the module is named.
        """
        deltas = [] if self.delta is None else [self.delta]
        with perturbed(
            self.base.network,
            deltas,
            torch.full((1, len(deltas)), self.factor, dtype=torch.float64),
            in_flight=in_flight and self.whole,
        ):
            yield self.base
