"""Run a network as if updates were added to its weights, without a merged copy of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from goniometer.deltas import AbstractMatrix, LowRank
from goniometer.errors import GoniometerError

Addition = tuple[int, AbstractMatrix]  # which delta, and its update


@contextmanager
def perturbed(
    network: nn.Module,
    deltas: Sequence[Mapping[str, AbstractMatrix]],
    coefficients: Float[Tensor, "row delta"],
) -> Iterator[None]:
    """Run the network as if sum_d coefficients[row, d] * delta_d were added to its weights.

    Low-rank updates of linear modules are added to their outputs by forward hooks, so rows of one
    batch can be at different points. With one row of coefficients, whole updates of linear
    modules, embeddings, norms and biases are added to the weight itself, which is put back as it
    was when the context ends; a weight that two modules share is changed once. With several rows
    whole updates of linear modules go by hooks too, and the others cannot be run.

    Args:
        network: names its modules as the deltas do, e.g. `model.layers.0.self_attn.q_proj`; a
            name can also be that of a parameter, e.g. `model.layers.0.self_attn.q_proj.bias`.
        deltas: updates by module; a module that one does not name is a zero in it.
        coefficients: one row for each row of the batches that are run, or one row for all.

    Raises:
        GoniometerError: a delta names what is absent, has no such weight or is of another shape;
            several rows of coefficients for an update of what is not linear; a batch has neither
            one row a row of coefficients nor is there one row for all.
    """
    terms: dict[str, list[Addition]] = {}
    for index, delta in enumerate(deltas):
        for name, matrix in delta.items():
            terms.setdefault(name, []).append((index, matrix))
    modules, parameters = dict(network.named_modules()), dict(network.named_parameters())
    one_point = coefficients.shape[0] == 1
    changed: set[int] = set()
    with ExitStack() as stack:
        for name, additions in terms.items():
            module = modules.get(name)
            low_rank = all(isinstance(matrix, LowRank) for _, matrix in additions)
            if isinstance(module, nn.Linear) and (low_rank or not one_point):
                _require_shape(name, module.weight, additions)
                hook = _Addition(module.weight, additions, coefficients)
                stack.callback(module.register_forward_hook(hook).remove)
                continue
            weight = _weight(name, module, parameters)
            _require_shape(name, weight, additions)
            if not one_point:
                raise GoniometerError(
                    "an update of what is not linear runs at one point at a time",
                    key=name,
                    found=f"{coefficients.shape[0]} rows of coefficients",
                    expected="1",
                )
            if id(weight) not in changed:
                changed.add(id(weight))
                stack.callback(setattr, weight, "data", weight.data)
                weight.data = _moved(weight, additions, coefficients)
        yield


def _weight(
    name: str, module: nn.Module | None, parameters: Mapping[str, nn.Parameter]
) -> nn.Parameter:
    found = parameters.get(name) if module is None else getattr(module, "weight", None)
    if not isinstance(found, nn.Parameter):
        raise GoniometerError(
            "the delta does not fit the network",
            key=name,
            found="no such module" if module is None else type(module).__name__,
            expected="a module with a weight",
        )
    return found


def _require_shape(name: str, weight: Tensor, additions: Sequence[Addition]) -> None:
    # A vector's update is a matrix of one column.
    shape = tuple(weight.shape) if weight.ndim > 1 else (weight.shape[0], 1)
    for _, matrix in additions:
        if matrix.shape != shape:
            raise GoniometerError(
                "the delta does not fit the network",
                key=name,
                found=f"shape {matrix.shape}",
                expected=f"{shape}",
            )


def _moved(
    weight: nn.Parameter, additions: Sequence[Addition], coefficients: Float[Tensor, "1 delta"]
) -> Tensor:
    """Add in float64, and round once."""
    total = weight.data.double()
    for index, matrix in additions:
        total = total + float(coefficients[0, index]) * matrix.dense().to(total).view_as(total)
    return total.to(weight)


@final
class _Addition:
    """Forward hook of one linear module: output + sum_d c[row, d] * scale_d * (x A_d') B_d'."""

    def __init__(
        self,
        weight: Tensor,
        additions: Sequence[Addition],
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
