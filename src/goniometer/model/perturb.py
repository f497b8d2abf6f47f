"""Run a network as if updates were added to its weights, without a merged copy of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from goniometer.deltas import AbstractMatrix, Delta, LowRank
from goniometer.errors import GoniometerError
from goniometer.model.additions import Added, Addition, Factors, InFlight, moved

EXACT = (torch.float32, torch.float64)  # a small update added in these is not rounded away


@contextmanager
def perturbed(
    network: nn.Module,
    deltas: Sequence[Mapping[str, AbstractMatrix]],
    coefficients: Float[Tensor, "row delta"],
    *,
    in_flight: bool = False,
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
        in_flight: form a moved weight anew each time its module runs and drop it after, so that
            one of them lives at a time, besides that of the head. Slow where a module runs often.
            With one row of coefficients low-rank updates go this way too, where weights are in
            float32 or better: cheaper than by outputs where a batch has many tokens.

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
    owners = _owners(network) if in_flight else {}
    one_point = coefficients.shape[0] == 1
    changed: set[int] = set()
    with ExitStack() as stack:
        for name, additions in terms.items():
            module = modules.get(name)
            weight = _weight(name, module, parameters)
            for _, matrix in additions:
                _require_shape(name, weight, matrix.shape)
            low_rank = all(isinstance(matrix, LowRank) for _, matrix in additions)
            merges = id(weight) in owners and weight.dtype in EXACT
            if isinstance(module, nn.Linear) and (not one_point or (low_rank and not merges)):
                hook = Added(weight, additions, coefficients)
                stack.callback(module.register_forward_hook(hook).remove)
                continue
            if not one_point:
                raise GoniometerError(
                    "an update of what is not linear runs at one point at a time",
                    key=name,
                    found=f"{coefficients.shape[0]} rows of coefficients",
                    expected="1",
                )
            if id(weight) in changed:
                continue
            changed.add(id(weight))
            stack.callback(setattr, weight, "data", weight.data)
            if id(weight) in owners:
                hooks = InFlight(weight, _move(weight, additions, coefficients))
                stack.enter_context(hooks.hooked(owners[id(weight)]))
            else:
                weight.data = moved(weight.data, additions, coefficients)
        yield


def _move(
    weight: nn.Parameter, additions: Sequence[Addition], coefficients: Float[Tensor, "1 delta"]
) -> Callable[[Tensor], Tensor]:
    """Say how a weight is moved: low rank in one product, where rounding does not drown it."""
    low_rank = all(isinstance(matrix, LowRank) for _, matrix in additions)
    if low_rank and weight.ndim == 2 and weight.dtype in EXACT:
        return Factors(weight, additions, coefficients).merged
    return partial(moved, additions=additions, coefficients=coefficients)


def require_fit(network: nn.Module, run: str, delta: Delta) -> None:
    """Require that the network has each module of an update, in its shape; no value is read.

    Raises:
        GoniometerError: naming the run and the first module that does not fit.
    """
    modules, parameters = dict(network.named_modules()), dict(network.named_parameters())
    for name in delta:
        weight = _weight(name, modules.get(name), parameters, run)
        _require_shape(name, weight, delta.outline(name).shape, run)


def is_low_rank(network: nn.Module, delta: Delta) -> bool:
    """Whether rows of one batch can run at different multiples of an update, and cheaply."""
    modules = dict(network.named_modules())
    return all(
        delta.outline(name).low_rank and isinstance(modules.get(name), nn.Linear) for name in delta
    )


def _weight(
    name: str,
    module: nn.Module | None,
    parameters: Mapping[str, nn.Parameter],
    run: str | None = None,
) -> nn.Parameter:
    found = parameters.get(name) if module is None else getattr(module, "weight", None)
    if not isinstance(found, nn.Parameter):
        raise GoniometerError(
            "the delta does not fit the network",
            file=run,
            key=name,
            found="no such module" if module is None else type(module).__name__,
            expected="a module with a weight",
        )
    return found


def _require_shape(
    name: str, weight: Tensor, shape: tuple[int, int], run: str | None = None
) -> None:
    # A vector's update is a matrix of one column.
    expected = tuple(weight.shape) if weight.ndim > 1 else (weight.shape[0], 1)
    if shape != expected:
        raise GoniometerError(
            "the delta does not fit the network",
            file=run,
            key=name,
            found=f"shape {shape}",
            expected=f"{expected}",
        )


def _owners(network: nn.Module) -> dict[int, nn.Module]:
    """Find the one module that has each parameter, by the parameter's id.

    Left out are parameters that two modules share and those of the head, which is used outside of
    its own forward pass where log-probs are wanted at some positions only.
    """
    causal: Any = next(
        (m for m in network.modules() if hasattr(type(m), "get_output_embeddings")), None
    )
    head = None if causal is None else causal.get_output_embeddings()
    found: dict[int, list[nn.Module]] = {}
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            found.setdefault(id(parameter), []).append(module)
    return {
        key: modules[0]
        for key, modules in found.items()
        if len(modules) == 1 and modules[0] is not head
    }
