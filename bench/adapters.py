"""Synthetic adapters for the benchmarks, and commands timed as a user sees them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

# Attention of Qwen3-4B: out by in features, in each of its layers.
SHAPES = {
    "q_proj": (4096, 2560),
    "k_proj": (1024, 2560),
    "v_proj": (1024, 2560),
    "o_proj": (2560, 4096),
}
LAYERS = 36


def write_adapter(
    folder: Path,
    rank: int,
    seed: int,
    *,
    layers: int = LAYERS,
    shapes: Mapping[str, tuple[int, int]] = SHAPES,
) -> None:
    """Write one adapter in bfloat16: A near a start that all share, B its own, decaying spectra."""
    shared, own = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    decay = 0.9 ** torch.arange(rank)
    tensors = {}
    for layer in range(layers):
        for projection, (m, n) in shapes.items():
            start = torch.randn(rank, n, generator=shared) / n**0.5
            A = start + 0.3 * torch.randn(rank, n, generator=own) / n**0.5
            B = torch.randn(m, rank, generator=own) * decay * 0.02
            key = f"base_model.model.model.layers.{layer}.self_attn.{projection}"
            tensors[f"{key}.lora_A.weight"] = A.bfloat16()
            tensors[f"{key}.lora_B.weight"] = B.bfloat16()
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": [*shapes]}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def write_adapters(folder: Path, runs: int, rank: int, *, layers: int = LAYERS) -> list[str]:
    """Write so many adapters into a folder; return their paths."""
    paths = [folder / f"run{run}" for run in range(runs)]
    for run, path in enumerate(paths):
        write_adapter(path, rank, run + 1, layers=layers)
    return [str(path) for path in paths]


# A child counts the memory of the process that forked it, which here holds torch: this is small.
_LAUNCHER = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
found = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
print(json.dumps([found.returncode, seconds, peak, found.stdout]))
"""


def timed(command: Sequence[str]) -> tuple[float, float, str]:
    """Run a command; return its wall time in seconds, peak memory in GiB, and what it printed.

    Threads that wait spin shortly, as the command line has it: other settings of a machine's OpenMP
    would be measured otherwise.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    environment = {"GOMP_SPINCOUNT": "100000", "HF_HUB_OFFLINE": "1"} | os.environ
    launch = [sys.executable, "-S", "-c", _LAUNCHER, *command]
    said = subprocess.run(launch, check=True, stdout=subprocess.PIPE, env=environment, text=True)
    code, seconds, peak, printed = json.loads(said.stdout)
    if code != 0:
        raise subprocess.CalledProcessError(code, command)
    return seconds, peak, printed
