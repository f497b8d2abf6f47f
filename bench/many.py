"""Time `goniometer compare` on 64 adapters (2,016 pairs) at Qwen3-4B attention shapes, r = 16.

    python bench/many.py

Wall time and peak memory of the whole command, from process start to written report. The adapters
take 1.6 GB on disk while it runs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from adapters import LAYERS, SHAPES, timed, write_adapters


def main() -> None:
    """Run the benchmark once and print two lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--layers", type=int, default=LAYERS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = write_adapters(folder, asked.runs, asked.rank, layers=asked.layers)
        stored = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
        command = [sys.executable, "-m", "goniometer", "compare", *paths, "-o", str(folder / "out")]
        seconds, peak, _ = timed(command)
        page = (folder / "out" / "report.html").stat().st_size
    print(
        f"{asked.runs} adapters, {asked.runs * (asked.runs - 1) // 2} pairs, "
        f"{asked.layers * len(SHAPES)} modules, r = {asked.rank}, {stored / 2**30:.2f} GiB of "
        f"factors, {torch.get_num_threads()} threads"
    )
    print(
        f"compare, process start to report: {seconds:.0f} s; peak memory {peak:.2f} GiB; "
        f"report.html {page / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
