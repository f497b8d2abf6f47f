"""Time `goniometer compare` on six adapters at Qwen3-4B attention shapes, against two bounds.

    python bench/compare.py [--breakdown]

Writes the adapters (36 layers; q 4096x2560, k and v 1024x2560, o 2560x4096; r = 32, bfloat16),
runs the whole command from process start to written report, and prints wall time and peak memory.
In the same run it times the geometry alone (reading and all readings of all pairs) against a floor:
the files read once into float64 and one plain Gram product a module and side, which any exact
method needs. And the ratio to the dense route, timed on a sample of modules and scaled up. Run it
alone: another busy process spoils it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import torch
from adapters import LAYERS, SHAPES, timed, write_adapters
from safetensors import safe_open


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


def floor(runs: Sequence[str]) -> dict[str, float]:
    """Read every factor once into float64; one Gram of all runs a module and side."""
    started = time.perf_counter()
    files = [Path(run) / "adapter_model.safetensors" for run in runs]
    opened: list[Any] = [safe_open(file, framework="pt") for file in files]
    for key in opened[0].keys():  # noqa: SIM118  (safe_open is no mapping)
        side = 0 if ".lora_A." in key else 1
        stacked = torch.cat([file.get_tensor(key).double() for file in opened], dim=side)
        _ = stacked @ stacked.T if side == 0 else stacked.T @ stacked
    return {"floor": time.perf_counter() - started}


def stages(runs: Sequence[str]) -> dict[str, float]:
    """Time the stages of a comparison in this fresh process; `geometry` includes reading."""
    started = time.perf_counter()
    from goniometer.comparison import compare, folder
    from goniometer.comparison import runs as reading
    from goniometer.comparison.names import name_runs

    seconds = {"import": time.perf_counter() - started}

    def clock(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            before = time.perf_counter()
            found = function(*arguments, **options)
            seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - before
            return found

        return run

    reading.read_runs = clock("geometry", reading.read_runs)
    setattr(compare, "read_pairs", clock("geometry", getattr(compare, "read_pairs")))  # noqa: B009, B010 (not its own)
    setattr(compare, "add_nulls", clock("nulls", getattr(compare, "add_nulls")))  # noqa: B009, B010 (not its own)
    with tempfile.TemporaryDirectory() as scratch:
        results, readings = compare.compared(reading.read_runs(name_runs(runs)))
        clock("report", folder.write)(results, readings, Path(scratch) / "out")
    seconds["all"] = time.perf_counter() - started
    return seconds


def in_fresh_process(stage: str, runs: Sequence[str], repeat: int) -> dict[str, float]:
    """Time a stage `repeat` times, each in a process of its own; medians."""
    found = [
        json.loads(timed([sys.executable, __file__, "--stage", stage, *runs])[2])
        for _ in range(repeat)
    ]
    return {name: median(one[name] for one in found) for name in found[0]}


def measure(runs: int, rank: int, repeat: int, breakdown: bool) -> None:
    """Print one line a figure."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = write_adapters(folder, runs, rank)
        command = [sys.executable, "-m", "goniometer", "compare", *paths, "-o", str(folder / "out")]
        whole = [timed(command) for _ in range(repeat)]
        page = (folder / "out" / "report.html").stat().st_size
        parts = in_fresh_process("stages", paths, repeat)
        least = in_fresh_process("floor", paths, repeat)["floor"]
    walls = [seconds for seconds, _, _ in whole]
    modules = LAYERS * len(SHAPES)
    dense = dense_seconds(runs, rank)
    print(
        f"{runs} adapters, {modules} modules, r = {rank}, bfloat16, "
        f"{torch.get_num_threads()} threads"
    )
    print(
        f"compare, process start to report: median {median(walls):.1f} s of {repeat} "
        f"({min(walls):.1f} to {max(walls):.1f})"
    )
    print(
        f"peak memory: {max(peak for _, peak, _ in whole):.2f} GiB; report.html {page / 1e6:.2f} MB"
    )
    print(
        f"geometry: {parts['geometry']:.2f} s; floor (files read once, one float64 Gram a module "
        f"and side): {least:.2f} s; ratio {parts['geometry'] / least:.2f}"
    )
    if breakdown:
        rest = 2 * parts["all"] - sum(parts.values())
        named = [f"{name} {s:.2f} s" for name, s in parts.items() if name != "all"]
        print(f"in one process: {', '.join(named)}, the rest {rest:.2f} s")
    print(f"dense float64 route, scaled up from {len(SHAPES)} modules: {dense:.0f} s")
    print(f"ratio: {dense / median(walls):.0f}")


def main() -> None:
    """Run the benchmark, or one stage of it for the process that asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--breakdown", action="store_true", help="seconds by stage")
    parser.add_argument("--stage", choices=("floor", "stages"), help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stage:
        print(json.dumps({"floor": floor, "stages": stages}[asked.stage](asked.paths)))
    else:
        measure(asked.runs, asked.rank, asked.repeat, asked.breakdown)


if __name__ == "__main__":
    main()
