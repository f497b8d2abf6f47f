"""How one module runs with updates on it: by its outputs, or with another weight while it runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from goniometer.deltas import AbstractMatrix, LowRank
from goniometer.errors import GoniometerError

Addition = tuple[int, AbstractMatrix]  # which delta, and its update


def moved(
    weight: Tensor, additions: Sequence[Addition], coefficients: Float[Tensor, "1 delta"]
) -> Tensor:
    """Add in float64, a block of rows at a time, and round once."""
    found = torch.empty_like(weight)
    for start, stop in additions[0][1].blocks():
        total = weight[start:stop].double()
        for index, matrix in additions:
            rows = matrix.rows(start, stop).to(total).view_as(total)
            total = total + float(coefficients[0, index]) * rows
        found[start:stop] = total
    return found


@final
class Factors:
    """The factors of all low-rank updates of a weight side by side, in the weight's precision."""

    def __init__(
        self,
        weight: Tensor,
        additions: Sequence[Addition],
        coefficients: Float[Tensor, "row delta"],
    ) -> None:
        low_rank = [(i, matrix) for i, matrix in additions if isinstance(matrix, LowRank)]
        self.inputs = torch.cat([matrix.A.to(weight) for _, matrix in low_rank])
        scaled = [(matrix.scale * matrix.B.double()).to(weight) for _, matrix in low_rank]
        self.outputs = torch.cat(scaled, dim=1)
        columns = [i for i, matrix in low_rank for _ in range(matrix.A.shape[0])]
        self.weights = coefficients.to(weight)[:, columns]

    def merged(self, weight: Float[Tensor, "m n"]) -> Float[Tensor, "m n"]:
        """Add the updates of the one row of coefficients, in one product."""
        return torch.addmm(weight, self.outputs * self.weights[0], self.inputs)


@final
class InFlight:
    """Hooks of a module whose weight is the moved one while it runs."""

    def __init__(self, weight: nn.Parameter, move: Callable[[Tensor], Tensor]) -> None:
        self.weight, self.move = weight, move
        self.own = weight.data

    @contextmanager
    def hooked(self, module: nn.Module) -> Iterator[None]:
        """Put the hooks on for the time of the context."""
        before = module.register_forward_pre_hook(self._before)
        after = module.register_forward_hook(self._after, always_call=True)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def _before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.weight.data = self.move(self.own)

    def _after(self, module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        self.weight.data = self.own


@final
class Added:
    """Forward hook of one linear module: output + sum_d c[row, d] * scale_d * (x A_d') B_d'.

    The factors of all low-rank updates stand side by side: x meets them in one product, and the
    coefficients are applied there, where a row has as many numbers as the ranks add up to.
    """

    def __init__(
        self,
        weight: Tensor,
        additions: Sequence[Addition],
        coefficients: Float[Tensor, "row delta"],
    ) -> None:
        self.rows = coefficients.shape[0]
        low_rank = any(isinstance(matrix, LowRank) for _, matrix in additions)
        self.factors = Factors(weight, additions, coefficients) if low_rank else None
        self.whole = [
            (coefficients.to(weight)[:, i], matrix.dense().to(weight))
            for i, matrix in additions
            if not isinstance(matrix, LowRank)
        ]

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Return the module's output with the updates' in it."""
        x = inputs[0]
        if self.rows not in (1, x.shape[0]):
            raise GoniometerError(
                "coefficients do not fit the batch", found=f"{self.rows} rows", expected=x.shape[0]
            )
        between = [1] * (x.ndim - 2)
        if self.factors is not None:
            inner = nn.functional.linear(x, self.factors.inputs)
            inner = inner * self.factors.weights.view(self.rows, *between, -1)
            output = _plus_product(output, inner, self.factors.outputs)
        for weights, matrix in self.whole:
            y = nn.functional.linear(x, matrix)
            output = output + weights.view(self.rows, *between, 1) * y
        return output


def _plus_product(
    output: Float[Tensor, "*row m"], inner: Float[Tensor, "*row r"], factor: Float[Tensor, "m r"]
) -> Float[Tensor, "*row m"]:
    """Return output + inner factor', in the place of the output where nobody misses it."""
    flat, left = output.reshape(-1, output.shape[-1]), inner.reshape(-1, inner.shape[-1])
    in_place = not torch.is_grad_enabled() and flat.dtype == left.dtype == factor.dtype
    added = flat.addmm_(left, factor.T) if in_place else flat.addmm(left, factor.T)
    return added.view_as(output)
