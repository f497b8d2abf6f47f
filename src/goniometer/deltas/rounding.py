"""The noise that storage puts under an update: weights are rounded to the type they are stored in.

A rounded number x lies within half a unit in the last place, ulp(x) = eps 2^floor(log2 |x|), of
the number that was rounded; taken as uniform there (Widrow and Kollar, Quantization Noise, 2008,
ch. 12), the error has variance ulp^2 / 12. Errors of entries add in squares, so the norm of a
matrix's error is close to sqrt(sum ulp^2 / 12). Where |x| is a power of two the interval is
narrower below; that is left out (it lowers the norm by less than 1e-3 for bfloat16).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas.matrix import AbstractMatrix, Difference


def storage_noise(stored: Float[Tensor, "..."]) -> float:
    """Norm to expect of the rounding error of stored rows, sqrt(sum ulp^2 / 12), in their type.

    Over several blocks of rows the squares add. The rows must be as stored: float64 copies of
    bfloat16 rows have the noise of float64.
    """
    kind = torch.finfo(stored.dtype)
    # Numbers under the smallest normal one are spaced as those just above it.
    size = stored.abs().double().clamp(min=kind.tiny)
    ulp = torch.ldexp(torch.full_like(size, kind.eps), torch.frexp(size).exponent - 1)
    return math.sqrt(float(ulp.square().sum()) / 12)


def difference_noise(matrix: AbstractMatrix) -> float | None:
    """As `storage_noise`, of a run's stored weights, for its update against the base.

    The base's own rounding is none of the update's: training starts from the base as stored.
    None where the update was not made by subtracting stored weights.
    """
    if not isinstance(matrix, Difference):
        return None
    noise = (storage_noise(matrix.tuned.stored(*rows)) for rows in matrix.blocks())
    return abs(matrix.factor) * math.hypot(*noise)
