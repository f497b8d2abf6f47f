"""The update that a PEFT model trains, from its own parameters, as a Delta."""

import re
from collections.abc import Callable, Container, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from torch import nn

from goniometer.deltas import Delta, LowRank, Provenance, Stored
from goniometer.deltas.delta import outline_of
from goniometer.deltas.fused import Rows, parts
from goniometer.deltas.peft_config import PLAIN_INITS, LoraConfig, lora_config
from goniometer.deltas.peft_folder import plain_name
from goniometer.errors import GoniometerError

SOURCE = "the model in training"
_FACTOR = re.compile(r"^(?P<layer>.+)\.lora_(?P<side>[AB])\.(?P<adapter>[^.]+)\.weight$")


def live_lora(model: nn.Module, whole: Container[str] = ()) -> Delta:
    """Return the update that a PEFT LoRA model trains, its values those of the moment of asking.

    The model may be wrapped (DDP, compiled). Adapters that are frozen are not read. Fused
    projections are split into q, k and v, as readers of folders do, but for those in `whole`.
    `provenance.not_read` lists what is trained besides the factors of linear modules (DoRA's
    magnitudes, biases, modules_to_save, embeddings).

    Raises:
        GoniometerError: sharded parameters, no LoRA in training, two adapters at once, or a LoRA
            whose update is not scale * B A on the base as it was loaded.
    """
    _refuse_sharded(model)
    model = extract_model_from_parallel(model, keep_torch_compile=False)
    trained = {key: value for key, value in model.named_parameters() if value.requires_grad}
    matches = {key: _FACTOR.match(key) for key, value in trained.items() if value.ndim == 2}
    factors = {key: match for key, match in matches.items() if match}
    config = _config(model, {match["adapter"] for match in factors.values()})
    loads: dict[str, Callable[[], LowRank]] = {}
    for layer, adapter in dict.fromkeys((m["layer"], m["adapter"]) for m in factors.values()):
        name, load = plain_name(layer), partial(_product, model.get_submodule(layer), adapter)
        fused = None if name in whole else parts(name, load().shape, _architecture(model))
        rows: Mapping[str, Rows | None] = fused or {name: None}
        loads |= {part: partial(load, ranges) for part, ranges in rows.items()}
    outlines = {name: outline_of(load()) for name, load in loads.items()}
    others = tuple(sorted(plain_name(key) for key in trained if key not in factors))
    kind = "DoRA" if config.use_dora else "rsLoRA" if config.use_rslora else "LoRA"
    matrices = Stored(outlines, lambda name: loads[name]())
    return Delta(matrices, Provenance(SOURCE, kind, not_read=others))


def _product(layer: Any, adapter: str, ranges: Rows | None = None) -> LowRank:
    """The update of a layer as it is now, or some of its rows."""
    B, A = layer.lora_B[adapter].weight.detach(), layer.lora_A[adapter].weight.detach()
    if ranges is not None:
        B = torch.cat([B[taken.start : taken.stop] for taken in ranges])
    return LowRank(B, A, float(layer.scaling[adapter]))


def _architecture(model: Any) -> Mapping[str, Any]:
    """The base's configuration, {} where it has none."""
    config = getattr(model, "config", {})
    return config if isinstance(config, Mapping) else config.to_dict()


def _refuse_sharded(model: nn.Module) -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    kinds = {
        "FSDP": any(isinstance(module, FullyShardedDataParallel) for module in model.modules()),
        "FSDP or tensor parallel": any(isinstance(p, DTensor) for p in model.parameters()),
        # DeepSpeed marks the parameters that it partitions.
        "DeepSpeed ZeRO-3": any(getattr(p, "ds_id", None) is not None for p in model.parameters()),
    }
    for kind, found in kinds.items():
        if found:
            raise GoniometerError(
                f"{kind} shards the parameters: no process holds a whole factor", file=SOURCE,
                fix="compare the saved checkpoints instead, with `goniometer compare`",
            )  # fmt: skip


def _config(model: nn.Module, adapters: set[str]) -> LoraConfig:
    """Return the adapter's configuration, or say by name why its update cannot be read."""
    configs = getattr(model, "peft_config", None)
    if not configs:
        raise GoniometerError(
            "a full fine-tune: its update would need a second copy of the model", file=SOURCE,
            expected="a PEFT LoRA model", fix="compare the saved checkpoints instead",
        )  # fmt: skip
    kinds = [getattr(config.peft_type, "value", config.peft_type) for config in configs.values()]
    if len(adapters) != 1:
        raise GoniometerError(
            "LoRA factors of one adapter in training are needed", file=SOURCE, key="peft_type",
            found=" and ".join(sorted(adapters) or kinds), expected="one LORA adapter",
        )  # fmt: skip
    found = configs[adapters.pop()].to_dict()
    if found["peft_type"] != "LORA":
        raise GoniometerError(
            "not a LoRA", file=SOURCE, key="peft_type", found=kinds[0], expected="LORA"
        )
    config = lora_config(found, Path(SOURCE))
    if config.target_parameters:
        raise GoniometerError(
            "LoRA on parameters instead of modules", file=SOURCE, key="target_parameters"
        )
    if config.init_lora_weights not in PLAIN_INITS:
        raise GoniometerError(
            f"the {config.init_lora_weights} initialisation changed the base: B A is not the "
            "update", file=SOURCE, key="init_lora_weights", found=repr(config.init_lora_weights),
            fix="compare the saved checkpoints with the initial adapter",
        )  # fmt: skip
    return config
