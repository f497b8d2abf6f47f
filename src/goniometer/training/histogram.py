"""Histograms of gradient coefficients over steps, on one grid for all runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from goniometer.results import Coefficients

# Four bins a factor of ten, from about 1e-4 to 1e4 on either side, and one bin around 0. Powers of
# ten lie in the middle of a bin, so that a 1 that is rounded stays in its own.
_MAGNITUDES = tuple(10 ** (k / 8) for k in range(-33, 34, 2))
EDGES = (*(-m for m in reversed(_MAGNITUDES)), *_MAGNITUDES)
_BINS = len(EDGES) - 1


@final
@dataclass(frozen=True)
class Counts:
    """Tokens by bin of EDGES, those of right and of wrong rows; what is beyond is in the last.

    `low` and `high` are the smallest and the largest coefficient, 0 where there is none.
    """

    right: Int[Tensor, " bin"]
    wrong: Int[Tensor, " bin"]
    low: float
    high: float

    @staticmethod
    def none() -> "Counts":
        """Count nothing."""
        empty = torch.zeros(_BINS, dtype=torch.int64)
        return Counts(empty, empty, 0.0, 0.0)

    @staticmethod
    def of(
        coefficients: Float[Tensor, "example token"],
        mask: Bool[Tensor, "example token"],
        right: Bool[Tensor, " example"],
    ) -> "Counts":
        """Count the tokens of the mask, by whether their row is right; NaN counts as beyond."""
        edges = torch.tensor(EDGES, dtype=torch.float64)

        def histogram(side: Tensor) -> Tensor:
            values = coefficients[mask & side[:, None]].double().cpu()
            bins = (torch.bucketize(values, edges, right=True) - 1).clamp(0, _BINS - 1)
            return torch.bincount(bins, minlength=_BINS)

        seen = coefficients[mask]
        low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 0.0)
        return Counts(histogram(right), histogram(~right), low, high)

    def __add__(self, other: "Counts") -> "Counts":
        """Add the tokens of both."""
        return Counts(
            self.right + other.right,
            self.wrong + other.wrong,
            min(self.low, other.low),
            max(self.high, other.high),
        )


def first_and_last(by_step: Sequence[Counts], planned: int) -> tuple[Coefficients, ...]:
    """Sum over the first tenth and over the last tenth of the steps, one step each at least.

    Args:
        by_step: the steps that were made.
        planned: steps that were to be made; a tenth is of these.

    Returns:
        Two histograms, none where no step was made.
    """
    made, tenth = len(by_step), max(1, planned // 10)
    if not made:
        return ()
    ranges = (range(min(tenth, made)), range(max(0, made - tenth), made))
    return tuple(_histogram(by_step, steps) for steps in ranges)


def _histogram(by_step: Sequence[Counts], steps: range) -> Coefficients:
    total = sum((by_step[step] for step in steps), Counts.none())
    above = torch.nextafter(torch.tensor(total.high, dtype=torch.float64), torch.tensor(torch.inf))
    return Coefficients(
        first_step=steps[0],
        last_step=steps[-1],
        edges=(min(EDGES[0], total.low), *EDGES[1:-1], max(EDGES[-1], float(above))),
        right=tuple(total.right.tolist()),
        wrong=tuple(total.wrong.tolist()),
    )
