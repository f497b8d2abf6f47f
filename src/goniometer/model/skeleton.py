"""A model without its weights: shapes, vocabulary and prompts, from config and tokenizer alone.

What a plan or a check asks of a model is answered in a second whatever its size: the network is
made on torch's meta device, where tensors have a shape and no memory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from goniometer.deltas.hub import hub_id
from goniometer.model.boundary import LOCAL, refused
from goniometer.model.language_model import LanguageModel
from goniometer.model.load import load_tokenizer
from goniometer.model.reference import find


def skeleton(reference: str) -> LanguageModel:
    """Read a model as `load` does, but for the weights: its network is on the meta device.

    Raises:
        GoniometerError: no such model or folder, no config.json, no weights file (but in the Hub,
            where none is asked for), no end token, or what else transformers cannot read.
    """
    found = find(reference, weights=False)
    folder = found.path
    tokenizer = load_tokenizer(folder)
    with refused(folder):
        config = AutoConfig.from_pretrained(folder, **LOCAL)
        network = _on_meta(config)
    return LanguageModel(network, tokenizer, found.source)


def is_here(reference: str) -> bool:
    """Say whether a model can be read without the network: not of the Hub, or in its cache."""
    asked = hub_id(reference) if "@" in reference else None
    if asked is None:
        return True
    from huggingface_hub import snapshot_download

    try:
        snapshot = snapshot_download(asked.repo, revision=asked.revision, local_files_only=True)
    except Exception:  # not in the cache, a name that the Hub would not take
        return False
    return any((Path(snapshot) / asked.folder).glob("*.safetensors"))


def network_of(config: Mapping[str, Any], where: str) -> nn.Module:
    """Make a network on the meta device from the content of a config.json.

    Args:
        config: its keys and values; `model_type` among them.
        where: what to call the place of the config in an error.

    Raises:
        GoniometerError: no architecture of this name, or values that it cannot have.
    """
    with refused(where):
        return _on_meta(AutoConfig.for_model(**config))


def _on_meta(config: Any) -> nn.Module:
    with torch.device("meta"):
        network: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    network.tie_weights()
    return network.eval()
