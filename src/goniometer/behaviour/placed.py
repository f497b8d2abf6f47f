"""A base model with an update on it, as something that can be run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch

from goniometer.deltas import AbstractMatrix
from goniometer.model import LanguageModel, perturbed


@final
@dataclass(frozen=True, eq=False)
class Placed:
    """A base and the update on it, times a factor; None for the base alone."""

    base: LanguageModel
    delta: Mapping[str, AbstractMatrix] | None = None
    factor: float = 1.0

    @contextmanager
    def running(self) -> Iterator[LanguageModel]:
        """Put the update on for the time of the context, and take it off again.

        Raises:
            GoniometerError: the update does not fit the base; the module is named.
        """
        deltas = [] if self.delta is None else [self.delta]
        with perturbed(
            self.base.network,
            deltas,
            torch.full((1, len(deltas)), self.factor, dtype=torch.float64),
        ):
            yield self.base
