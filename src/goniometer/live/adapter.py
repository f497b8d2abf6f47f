"""The update that a PEFT model trains, from its own parameters, as a Delta."""

import re
from typing import Any

from accelerate.utils import extract_model_from_parallel
from torch import nn

from goniometer.deltas import Delta, LowRank, Provenance
from goniometer.errors import GoniometerError

SOURCE = "the model in training"
_FACTOR = re.compile(r"^(?P<layer>.+)\.lora_(?P<side>[AB])\.(?P<adapter>[^.]+)\.weight$")
_WRAPPERS = re.compile(r"^(?:base_model\.model\.|module\.)+|_orig_mod\.")
_PLAIN_INITS = (None, True, False, "gaussian", "eva", "orthogonal")
_NOT_A_PRODUCT = {
    "use_qalora": "QALoRA: A acts on pooled inputs",
    "use_bdlora": "block-diagonal LoRA",
    "target_parameters": "LoRA on parameters instead of modules",
    "alora_invocation_tokens": "activated LoRA: the update depends on the prompt",
    "arrow_config": "Arrow routing: the update depends on the input",
    "kasa_config": "KaSA: the base was changed at the start",
    "monteclora_config": "MonteCLoRA: the update is sampled",
}


def live_lora(model: nn.Module) -> Delta:
    """Return the update that a PEFT LoRA model trains, as a Delta of its own parameters.

    The model may be wrapped (DDP, compiled). Adapters that are frozen are not read. The values
    change as the parameters do; `provenance.not_read` lists what is trained besides the factors
    of linear modules (DoRA's magnitudes, biases, modules_to_save, embeddings).

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
    matrices = {}
    for layer, adapter in dict.fromkeys((m["layer"], m["adapter"]) for m in factors.values()):
        module: Any = model.get_submodule(layer)
        B, A = module.lora_B[adapter].weight, module.lora_A[adapter].weight
        matrices[_WRAPPERS.sub("", layer)] = LowRank(B, A, float(module.scaling[adapter]))
    others = tuple(sorted(_WRAPPERS.sub("", key) for key in trained if key not in factors))
    kind = "DoRA" if config.get("use_dora") else "rsLoRA" if config.get("use_rslora") else "LoRA"
    return Delta(matrices, Provenance(SOURCE, kind, not_read=others))


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


def _config(model: nn.Module, adapters: set[str]) -> dict[str, Any]:
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
    config: dict[str, Any] = configs[adapters.pop()].to_dict()
    if config["peft_type"] != "LORA":
        raise GoniometerError(
            "not a LoRA", file=SOURCE, key="peft_type", found=kinds[0], expected="LORA"
        )
    for key, name in _NOT_A_PRODUCT.items():
        if config.get(key):
            raise GoniometerError(f"{name}: not scale * B A", file=SOURCE, key=key)
    init = config.get("init_lora_weights")
    if init not in _PLAIN_INITS:
        raise GoniometerError(
            f"the {init} initialisation changed the base: B A is not the update", file=SOURCE,
            key="init_lora_weights", found=repr(init),
        )  # fmt: skip
    return config
