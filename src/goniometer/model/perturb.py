"""Run a network as if updates were added to its weights, by hooks: no merged copy is made."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from goniometer.deltas import AbstractMatrix, LowRank
from goniometer.errors import GoniometerError


@contextmanager
def perturbed(
    network: nn.Module,
    deltas: Sequence[Mapping[str, AbstractMatrix]],
    coefficients: Float[Tensor, "row delta"],
) -> Iterator[None]:
    """Run the network as if sum_d coefficients[row, d] * delta_d were added to its weights.

    Forward hooks add the products to the outputs of linear modules, so rows of one batch can be
    at different points and nothing is merged or restored. The hooks go when the context ends.

    Args:
        network: names its modules as the deltas do, e.g. `model.layers.0.self_attn.q_proj`.
        deltas: updates by module; a module that one does not name is a zero in it.
        coefficients: one row for each row of the batches that are run, or one row for all.

    Raises:
        GoniometerError: a delta names a module that is absent, not linear or of another shape;
            a batch has neither one row a row of coefficients nor is there one row for all.
    """
    modules = dict(network.named_modules())
    terms: dict[str, list[tuple[int, AbstractMatrix]]] = {}
    for index, delta in enumerate(deltas):
        for name, matrix in delta.items():
            terms.setdefault(name, []).append((index, matrix))
    handles = []
    try:
        for name, additions in terms.items():
            module = _linear(modules, name, [matrix for _, matrix in additions])
            hook = _Addition(module.weight, additions, coefficients)
            handles.append(module.register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _linear(
    modules: Mapping[str, nn.Module], name: str, matrices: Sequence[AbstractMatrix]
) -> nn.Linear:
    module = modules.get(name)
    if not isinstance(module, nn.Linear):
        raise GoniometerError(
            "the delta does not fit the network",
            key=name,
            found="no such module" if module is None else type(module).__name__,
            expected="a linear module",
        )
    shape = (module.out_features, module.in_features)
    for matrix in matrices:
        if matrix.shape != shape:
            raise GoniometerError(
                "the delta does not fit the network",
                key=name,
                found=f"shape {matrix.shape}",
                expected=f"{shape}",
            )
    return module


@final
class _Addition:
    """Forward hook of one linear module: output + sum_d c[row, d] * scale_d * (x A_d') B_d'."""

    def __init__(
        self,
        weight: Tensor,
        additions: Sequence[tuple[int, AbstractMatrix]],
        coefficients: Float[Tensor, "row delta"],
    ) -> None:
        self.coefficients = coefficients.to(weight)
        self.terms = [(index, _factors(matrix, weight)) for index, matrix in additions]

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = inputs[0]
        rows = self.coefficients.shape[0]
        if rows not in (1, x.shape[0]):
            raise GoniometerError(
                "coefficients do not fit the batch", found=f"{rows} rows", expected=x.shape[0]
            )
        for index, factors in self.terms:
            y = x
            for factor in factors:
                y = nn.functional.linear(y, factor)
            weight = self.coefficients[:, index].reshape(-1, *[1] * (x.ndim - 1))
            output = output + weight * y
        return output


def _factors(matrix: AbstractMatrix, like: Tensor) -> tuple[Tensor, ...]:
    """Cast what x is multiplied with, one after the other, to the network's dtype and device."""
    if isinstance(matrix, LowRank):
        return matrix.A.to(like), (matrix.scale * matrix.B.double()).to(like)
    return (matrix.dense().to(like),)
