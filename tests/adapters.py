"""Adapters made by PEFT itself, for tests that read them back."""

import copy
import json
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.pytorch_utils import Conv1D


class Block(nn.Module):
    def __init__(self, conv1d: bool):
        super().__init__()
        linear = (lambda i, o: Conv1D(o, i)) if conv1d else nn.Linear
        self.q_proj, self.v_proj = linear(24, 40), linear(24, 16)


class Tower(nn.Module):
    """Two layers of projections: a base model small enough to merge in float64."""

    def __init__(self, conv1d: bool = False, seed: int = 0):
        super().__init__()
        self.layers = nn.ModuleList(Block(conv1d) for _ in range(2))
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
        self.double()

    def forward(self, x):
        return [block.q_proj(x) for block in self.layers]


def save_adapter(folder: Path, seed: int = 1, *, conv1d: bool = False, **options) -> Tower:
    """Write a PEFT folder with random factors; return the base with the update merged by PEFT."""
    settings = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]} | options
    config = peft.LoraConfig(fan_in_fan_out=conv1d, **settings)
    model = peft.get_peft_model(Tower(conv1d), config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            values = torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5
            parameter.data = values.to(parameter.dtype)
    model.save_pretrained(folder)
    return copy.deepcopy(model).merge_and_unload()


def edit_config(folder: Path, **changes) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(folder: Path, edit) -> None:
    """Rewrite the factors: `edit` maps a dict of tensors to another."""
    path = folder / "adapter_model.safetensors"
    save_file({k: v.contiguous() for k, v in edit(load_file(path)).items()}, path)


def read_values(delta) -> dict[str, torch.Tensor]:
    """Every module's values: what is wrong with them is found when they are read."""
    return {name: delta[name].dense() for name in delta}
