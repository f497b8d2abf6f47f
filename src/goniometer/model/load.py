"""A model and its tokenizer, loaded from the folder that a reference names."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from goniometer.errors import GoniometerError
from goniometer.model.boundary import LOCAL, no_progress_bars, refused
from goniometer.model.language_model import LanguageModel
from goniometer.model.reference import find


def load(
    reference: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> LanguageModel:
    """Load the model that a reference names.

    Safetensors only, no remote code. What the folder's generation config recommends (top-k,
    penalties, ...) is dropped: it would bend the distribution that is sampled from.

    Args:
        reference: as `find` reads it; the model's name is what it found.
        device: where the weights go; `auto` is cuda where there is one.
        dtype: of the weights, whatever they are stored in.

    Raises:
        GoniometerError: as `find`; weights that are missing or do not fit, no end token, no such
            device, or what else transformers cannot load.
    """
    found = find(reference)
    folder = found.path
    tokenizer = load_tokenizer(folder)
    with refused(folder), no_progress_bars():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **LOCAL
        )
    network, info = loaded
    if info["missing_keys"]:
        # transformers would draw them at random and go on.
        missing = sorted(info["missing_keys"])
        raise GoniometerError(f"{len(missing)} weights are missing", file=folder, key=missing[0])
    network.generation_config = GenerationConfig()
    with refused(folder):
        network = network.to(_device(device)).eval()
    return LanguageModel(network, tokenizer, found.source)


def _device(name: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a model's folder.

    Raises:
        GoniometerError: what transformers cannot load.
    """
    with refused(folder):
        return AutoTokenizer.from_pretrained(folder, **LOCAL)
