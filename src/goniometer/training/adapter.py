"""Adapters: put a LoRA on a network, write it to a folder, take it off. The only user of PEFT here.

LoRA is arXiv 2106.09685: W + (alpha / r) B A, with B = 0 at the start. PEFT draws A from the
global generator, so that an init would depend on all that was drawn before; here A is written
over, each module from its own seed, in PEFT's own distribution (Kaiming uniform with a = sqrt 5,
which is U(-1/sqrt n, 1/sqrt n) for n inputs).
"""

import json
import math
import warnings
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import nn

from goniometer.config import Adapter
from goniometer.errors import Faults, GoniometerError
from goniometer.seeds import derive

_NAME = "default"  # PEFT's name of the only adapter


def attach(network: nn.Module, settings: Adapter, seed: int) -> PeftModel:
    """Put a fresh adapter on the network's linear modules; the network itself is frozen.

    Adapter weights are float32 where the network is of lower precision, else of its precision. The
    global generators are left as they were.

    Args:
        network: changed in place; `detach` takes the adapter off again.
        settings: rank, alpha and the target modules, by the last part of their names.
        seed: A of a module depends on this seed and on the module's name, and on nothing else.

    Raises:
        GoniometerError: as `check_targets`.
    """
    check_targets(network, settings)
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # PEFT divides it like any float
        target_modules=sorted(settings.target_modules),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # PEFT asks transformers by a name that transformers will drop.
        warnings.simplefilter("ignore", FutureWarning)
        adapted = get_peft_model(network, lora)
    for name, module in adapted.get_base_model().named_modules():
        if isinstance(module, LoraLayer):
            _initialise(module, derive(seed, "init", name))
    return adapted


def check_targets(network: nn.Module, settings: Adapter) -> None:
    """Require that every target is the last part of some linear module's name.

    Raises:
        GoniometerError: one fault a target that matches nothing, with the names that exist.
    """
    linear = {
        name.rpartition(".")[2]
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }
    faults = Faults()
    faults.found += [
        GoniometerError(
            "no linear module of the network has this name",
            key="adapter.target_modules",
            found=repr(target),
            expected=f"some of {', '.join(sorted(linear))}",
        )
        for target in settings.target_modules
        if target not in linear
    ]
    faults.raise_any()


def _initialise(module: LoraLayer, seed: int) -> None:
    weight = cast(nn.Linear, module.lora_A[_NAME]).weight
    bound = 1 / math.sqrt(weight.shape[1])
    generator = torch.Generator().manual_seed(seed)
    # Drawn in float32 on the CPU, so that device and precision of the network do not matter.
    drawn = torch.empty(weight.shape).uniform_(-bound, bound, generator=generator)
    with torch.no_grad():
        weight.copy_(drawn)


def detach(adapted: PeftModel) -> nn.Module:
    """Take the adapter off; return the network that it was put on, its weights bit-equal.

    The network's parameters stay frozen, as `attach` left them.
    """
    return adapted.unload()


def save(adapted: PeftModel, folder: Path, base: str) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`, as PEFT reads them.

    Equal weights give equal bytes. PEFT's own writer would add a model card, write the target
    modules in the order of a set, and name the base by the path that it was loaded from.

    Args:
        adapted: what `attach` returned.
        folder: made where absent.
        base: what the file is to call the base model.
    """
    config = adapted.peft_config[_NAME].to_dict()
    config |= {"base_model_name_or_path": base, "inference_mode": True}
    config["target_modules"] = sorted(config["target_modules"])
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    weights = {
        name: weight.detach().cpu().contiguous()
        for name, weight in get_peft_model_state_dict(adapted, save_embedding_layers=False).items()
    }
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
