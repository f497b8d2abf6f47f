"""Small random models of transformers, tuned by merging PEFT's LoRA or entry by entry."""

import copy
from pathlib import Path

import peft
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from tests.tiny_model import tiny_network

# Small enough that the models need several shards.
SHARD = 20_000
TARGETS = {"qwen3": ["q_proj", "down_proj"], "gpt2": ["c_attn", "c_fc"]}


def network(kind: str, seed: int = 0) -> nn.Module:
    """A model in float64, the same for the same seed."""
    if kind == "qwen3":
        return tiny_network(seed)
    config = GPT2Config(vocab_size=80, n_embd=16, n_layer=2, n_head=4, n_positions=32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config).double().eval()


def tuned(
    base: nn.Module, adapter: Path, *, targets: list[str], seed: int, conv1d: bool = False
) -> nn.Module:
    """A copy of the base with a random LoRA merged into it by PEFT; the LoRA is saved too."""
    config = peft.LoraConfig(
        r=3, lora_alpha=5, target_modules=targets, fan_in_fan_out=conv1d, task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = peft.get_peft_model(copy.deepcopy(base), config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    model.save_pretrained(adapter)
    return model.merge_and_unload()


def nudged(base: nn.Module, seed: int, scale: float = 0.01) -> nn.Module:
    """A copy of the base with every weight changed a little: a full fine-tune."""
    model = copy.deepcopy(base)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = parameter.data + (scale * noise).to(parameter.dtype)
    return model
