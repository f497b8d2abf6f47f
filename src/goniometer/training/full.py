"""Full fine-tuning: all weights move, or those of the attention's projections; no adapter.

What is saved is a checkpoint of the weights that moved, in float32, as a delta's reader takes it:
with its base beside it, not alone.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from goniometer.deltas.tensors import SINGLE
from goniometer.errors import GoniometerError

# What architectures call the module around the projections of an attention.
ATTENTION = ("self_attn", "attn", "attention", "self_attention", "self_attn_layer")


@final
@dataclass(frozen=True)
class Unfrozen:
    """A network of which some weights move, and what its weights were.

    Attributes:
        network: whose parameters that require a gradient are those that move.
        before: the base's weights by name, as they were.
    """

    network: nn.Module
    before: Mapping[str, Tensor]

    @contextmanager
    def as_base(self) -> Iterator[None]:
        """Let the network be the base for a while; no gradient may be taken across."""
        now = {name: weight.data for name, weight in self.network.named_parameters()}
        _put(self.network, self.before)
        try:
            yield
        finally:
            _put(self.network, now)

    def save(self, folder: Path, base: str) -> None:
        """Write the weights that move and `config.json`, which names the base.

        Equal weights give equal bytes.

        Args:
            folder: made where absent.
            base: what the file is to call the base model.
        """
        moving = {n: w.data for n, w in self.network.named_parameters() if w.requires_grad}
        write_checkpoint(moving, self.network.config, folder, base)


@contextmanager
def unfrozen(network: nn.Module, regime: Literal["attention", "full"]) -> Iterator[Unfrozen]:
    """Let weights of the network move, and put the base's back at the end, bit-equal.

    The weights that move are copies; all are float32 where the base is of lower precision, as
    an update of 1e-5 of a weight would be lost in bfloat16.

    Args:
        network: changed in place until the context ends.
        regime: `full`, all weights, norms and embeddings too; or `attention`, the matrices and
            biases of its projections.

    Raises:
        GoniometerError: no attention is found by its name.
    """
    weights = dict(network.named_parameters())
    moving = set(weights) if regime == "full" else of_attention(network)
    before = {name: weight.data for name, weight in weights.items()}
    learnt = {name: weight.requires_grad for name, weight in weights.items()}
    for name, weight in weights.items():
        wide = torch.promote_types(weight.dtype, torch.float32)
        weight.data = weight.data.to(wide, copy=name in moving)
        weight.requires_grad_(name in moving)
    try:
        yield Unfrozen(network, before)
    finally:
        for name, weight in weights.items():
            weight.grad = None
            weight.requires_grad_(learnt[name])
        _put(network, before)


def write_checkpoint(weights: Mapping[str, Tensor], config: Any, folder: Path, base: str) -> None:
    """Write `model.safetensors` in float32 and `config.json`.

    Args:
        weights: by name, none twice.
        config: of the network, as transformers has it.
        folder: made where absent.
        base: what `config.json` calls the model that the weights were trained from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: weight.detach().float().cpu().contiguous() for name, weight in weights.items()}
    save_file(tensors, folder / SINGLE, metadata={"format": "pt"})
    tree = config.to_dict() | {"_name_or_path": base, "dtype": "float32"}
    text = json.dumps(tree, indent=2, sort_keys=True, default=str) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def of_attention(network: nn.Module) -> set[str]:
    """Name the weights of the attention's projections, with their biases.

    Raises:
        GoniometerError: no attention is found by its name.
    """
    found = set()
    for name, module in network.named_modules():
        matrix = getattr(module, "weight", None)
        inside = set(name.split(".")) & set(ATTENTION)
        if inside and isinstance(matrix, nn.Parameter) and matrix.ndim == 2:
            found |= {f"{name}.{part}" for part, _ in module.named_parameters(recurse=False)}
    if not found:
        raise GoniometerError(
            "no attention in the network",
            key="arms.regime",
            expected=f"modules called {', '.join(ATTENTION)}",
            fix="take the regime full or lora",
        )
    return found


def _put(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, weight in network.named_parameters():
        weight.data = weights[name]
