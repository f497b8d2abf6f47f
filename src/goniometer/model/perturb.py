"""Run a network as if updates were added to its weights, without a merged copy of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from goniometer.deltas import AbstractMatrix, LowRank
from goniometer.errors import GoniometerError
from goniometer.model.additions import Added, Addition, Factors, InFlight, moved
from goniometer.model.fit import Places

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
            name can also be that of a parameter, e.g. `model.layers.0.self_attn.q_proj.bias`, or
            of a part of a fused module, e.g. `model.layers.0.self_attn.qkv_proj.q`.
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
    places = Places(network)
    terms: dict[str, list[Addition]] = {}
    for index, delta in enumerate(deltas):
        for name, matrix in places.placed(delta).items():
            terms.setdefault(name, []).append((index, matrix))
    owners = _owners(network) if in_flight else {}
    one_point = coefficients.shape[0] == 1
    changed: set[int] = set()
    with ExitStack() as stack:
        for name, additions in terms.items():
            weight = places.weight(name)
            low_rank = all(isinstance(matrix, LowRank) for _, matrix in additions)
            merges = id(weight) in owners and weight.dtype in EXACT
            if places.is_linear(name) and (not one_point or (low_rank and not merges)):
                hook = Added(weight, additions, coefficients)
                stack.callback(places.modules[name].register_forward_hook(hook).remove)
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
            move = _mover(
                weight, additions, coefficients,
                by_factors=low_rank and merges and weight.ndim == 2, turned=places.is_turned(name),
            )  # fmt: skip
            if id(weight) in owners:
                stack.enter_context(InFlight(weight, move).hooked(owners[id(weight)]))
            else:
                weight.data = move(weight.data)
        yield


def _mover(
    weight: nn.Parameter,
    additions: Sequence[Addition],
    coefficients: Float[Tensor, "1 delta"],
    *,
    by_factors: bool,
    turned: bool,
) -> Callable[[Tensor], Tensor]:
    """Say how a weight is moved, in one product or a block of rows at a time."""
    move: Callable[[Tensor], Tensor]
    if by_factors:
        move = Factors(weight, additions, coefficients).merged
    else:
        move = partial(moved, additions=additions, coefficients=coefficients)
    return (lambda own: move(own.T).T) if turned else move


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
