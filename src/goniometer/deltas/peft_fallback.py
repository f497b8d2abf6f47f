"""Updates whose formula is PEFT's: one module is built, its tensors loaded, merged, subtracted.

The only file that imports peft to read an update. A network of one linear module, by its name in
the tuned network and with the base's weight in float64, is given to PEFT with the adapter's
configuration; the update is the merged weight minus the base's. What is not saved in the folder
and decides the update (the frequencies of FourierFT, the projections of RandLora) PEFT draws
again from the seed in the configuration, as it does when it loads the adapter.
"""

import math
import threading
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from goniometer.errors import GoniometerError

# PEFT warns through global state and draws initial values that are then written over.
_ONE_AT_A_TIME = threading.Lock()
_LARGEST = "largest_of_all"
# What is no part of the update; a task's type would ask for that task's kind of network.
_NOT_PASSED = (
    "peft_type", "task_type", "auto_mapping", "inference_mode", "modules_to_save", "peft_version",
)  # fmt: skip


def merged_update(
    tree: Mapping[str, Any],
    module: str,
    tensors: Mapping[str, Tensor],
    weight: Float[Tensor, "m n"],
    bias: Float[Tensor, " m"] | None = None,
    largest: tuple[int, int] | None = None,
) -> tuple[Float[Tensor, "m n"], Float[Tensor, "m 1"]]:
    """What PEFT adds to a linear module's weight and bias when it merges, in float64.

    Args:
        tree: adapter_config.json, of its patterns what fits the module.
        module: its name in the tuned network.
        tensors: the adapter's tensors of this module, and what all modules share.
        weight: the base's, or zeros where the update does not depend on it.
        bias: the base's, where the update may change it.
        largest: out and in features of the largest module, where PEFT cuts shared projections.

    Raises:
        GoniometerError: PEFT cannot build, load or merge it; the message is PEFT's.
    """
    with (
        _ONE_AT_A_TIME,
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        try:
            return _merged(tree, module, tensors, _network(module, weight, bias, largest))
        except GoniometerError:
            raise
        except Exception as error:  # whatever a configuration can make PEFT raise
            text = f"{type(error).__name__}: {error}"[:300]
            raise GoniometerError(f"PEFT cannot merge it: {text}", key=module) from None


def vera_projections(rank: int, sizes: tuple[int, int], seed: int) -> tuple[Tensor, Tensor]:
    """VeRA's frozen A and B, drawn by PEFT from its seed: (rank, in) and (out, rank).

    Args:
        rank: of all modules.
        sizes: the largest numbers of out and of in features over the adapted modules.
        seed: `projection_prng_key`.
    """
    from peft.tuners.vera.model import _kaiming_init

    generator = torch.Generator().manual_seed(seed)
    A = _kaiming_init((rank, sizes[1]), generator=generator)
    return A, _kaiming_init((sizes[0], rank), generator=generator)


def _network(
    module: str, weight: Tensor, bias: Tensor | None, largest: tuple[int, int] | None
) -> nn.Module:
    root = nn.Module()
    _place(root, module, _linear(weight, bias))
    if largest is not None:
        _place(root, _LARGEST, _linear(torch.zeros(largest, dtype=torch.float64), None))
    return root


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    m, n = weight.shape
    found = nn.Linear(n, m, bias=bias is not None, device="meta")
    found.weight = nn.Parameter(weight.clone())
    if bias is not None:
        found.bias = nn.Parameter(bias.clone())
    return found


def _place(root: nn.Module, name: str, leaf: nn.Module) -> None:
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, leaf)


def _merged(
    tree: Mapping[str, Any], module: str, tensors: Mapping[str, Tensor], network: nn.Module
) -> tuple[Tensor, Tensor]:
    import peft

    base = network.get_submodule(module)
    assert isinstance(base, nn.Linear)  # noqa: S101  (of _network)
    weight, bias = base.weight.clone(), None if base.bias is None else base.bias.clone()
    targets = [module, _LARGEST] if hasattr(network, _LARGEST) else [module]
    model = peft.get_peft_model(network, _config(tree, targets, tensors))
    for name, parameter in model.named_parameters():
        if ".base_layer." not in name:
            # What the folder does not set stays NaN, and is found below.
            parameter.data = torch.full_like(parameter, math.nan, dtype=torch.float64)
    state = {
        name if name.startswith("base_model.") else f"base_model.model.{name}": tensor
        for name, tensor in tensors.items()
    }
    result: Any = peft.set_peft_model_state_dict(model, state)
    if result.unexpected_keys:
        raise GoniometerError(
            "PEFT knows no such tensor", key=result.unexpected_keys[0], expected=model.peft_type
        )
    merged = model.get_base_model().get_submodule(module)
    merged.merge()
    layer = merged.get_base_layer()
    change = layer.weight - weight
    if not bool(torch.isfinite(change).all()):
        raise GoniometerError("a tensor is missing, or the merged weight is not finite", key=module)
    if bias is None or layer.bias is None:
        return change, change.new_zeros(len(change), 1)
    return change, (layer.bias - bias)[:, None]


def _config(tree: Mapping[str, Any], targets: list[str], tensors: Mapping[str, Tensor]) -> Any:
    import peft

    kind = peft.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(tree["peft_type"])]
    fields = {
        key: value
        for key, value in tree.items()
        if key in kind.__dataclass_fields__ and key not in _NOT_PASSED
    }
    fields |= {"target_modules": targets}
    fields |= {
        key: None
        for key in ("exclude_modules", "layers_to_transform", "layers_pattern")
        if key in fields
    }
    if "feedforward_modules" in fields:
        # IA3 scales what goes into a feedforward module: its vector is a row.
        rows = [name for name, tensor in tensors.items() if tensor.shape[0] == 1]
        fields["feedforward_modules"] = targets if rows else []
    return kind(**fields)
