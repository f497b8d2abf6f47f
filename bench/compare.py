"""Time `goniometer compare` on six adapters at Qwen3-4B attention shapes, against the dense route.

    python bench/compare.py

Writes the adapters (36 layers; q 4096x2560, k and v 1024x2560, o 2560x4096; r = 32, bfloat16),
runs the whole command from process start to written report, and prints wall time, peak memory of
the process, and the ratio to forming and decomposing each update densely, which is timed in the
same run on a sample of modules and scaled up. Run it alone: another busy process spoils it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import torch
from safetensors.torch import save_file

SHAPES = {
    "q_proj": (4096, 2560),
    "k_proj": (1024, 2560),
    "v_proj": (1024, 2560),
    "o_proj": (2560, 4096),
}
LAYERS = 36


def write_adapter(folder: Path, rank: int, seed: int, shared: torch.Generator) -> None:
    """Write one adapter: A near a common start, B its own, spectra that decay."""
    generator = torch.Generator().manual_seed(seed)
    decay = 0.9 ** torch.arange(rank)
    tensors = {}
    for layer in range(LAYERS):
        for projection, (m, n) in SHAPES.items():
            start = torch.randn(rank, n, generator=shared) / n**0.5
            A = start + 0.3 * torch.randn(rank, n, generator=generator) / n**0.5
            B = torch.randn(m, rank, generator=generator) * decay * 0.02
            key = f"base_model.model.model.layers.{layer}.self_attn.{projection}"
            tensors[f"{key}.lora_A.weight"] = A.bfloat16()
            tensors[f"{key}.lora_B.weight"] = B.bfloat16()
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": [*SHAPES]}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def dense_seconds(runs: int, rank: int) -> float:
    """Time forming and decomposing all updates, and all pairs, from one module of each shape."""
    total = 0.0
    for m, n in SHAPES.values():
        started = time.perf_counter()
        B, A = torch.randn(m, rank), torch.randn(rank, n)
        dense = (B @ A).double()
        torch.linalg.svd(dense, full_matrices=False)
        one = time.perf_counter() - started
        started = time.perf_counter()
        (dense * dense).sum()
        pair = time.perf_counter() - started
        total += LAYERS * (runs * one + len(list(combinations(range(runs), 2))) * pair)
    return total


def main() -> None:
    """Run the benchmark and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for run in range(arguments.runs):
            shared = torch.Generator().manual_seed(0)
            write_adapter(folder / f"run{run}", arguments.rank, run + 1, shared)
        runs = [str(folder / f"run{run}") for run in range(arguments.runs)]
        command = [sys.executable, "-m", "goniometer", "compare", *runs, "-o", str(folder / "out")]
        walls = []
        for _ in range(arguments.repeat):
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
            walls.append(time.perf_counter() - started)
        page = (folder / "out" / "report.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    dense = dense_seconds(arguments.runs, arguments.rank)
    wall = sorted(walls)[len(walls) // 2]
    modules = LAYERS * len(SHAPES)
    print(
        f"{arguments.runs} adapters, {modules} modules, r = {arguments.rank}, bfloat16, "
        f"{torch.get_num_threads()} threads"
    )
    print(
        f"compare, process start to report: median {wall:.1f} s of {arguments.repeat} "
        f"({min(walls):.1f} to {max(walls):.1f})"
    )
    print(f"peak memory: {peak:.2f} GiB; report.html {page / 1e6:.2f} MB")
    print(f"dense float64 route, scaled up from {len(SHAPES)} modules: {dense:.0f} s")
    print(f"ratio: {dense / wall:.0f}")


if __name__ == "__main__":
    main()
