"""Peak memory over full checkpoints, against its bound: (runs + 1) x largest tensor + 500 MB.

    python bench/checkpoint_memory.py --sizes 0.1B 0.5B 1B --runs 2

Writes a base and its fine-tunes at the shapes of Llama-like models (random bfloat16 weights, in
shards, in a scratch folder), then measures two processes: one that takes the inner products of
all pairs a block of rows at a time, and one that is `goniometer compare` from start to report.
Peak memory is VmHWM, which counts the pages of open files too. Exits with 1 where it is over.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Vocabulary, width, width of the MLP, layers, width of k and v.
SIZES = {
    "0.03B": (32_000, 512, 1536, 4, 256),
    "0.1B": (49_152, 768, 2048, 12, 256),
    "0.5B": (151_936, 1024, 3072, 24, 512),
    "1B": (128_256, 2048, 8192, 16, 512),
}
SPARE = 500e6

WRITE = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import save_file
folder, vocabulary, d, mlp, layers, kv, seed = Path(sys.argv[1]), *map(int, sys.argv[2:])
start, own = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)

def weight(*shape):
    value = torch.randn(shape, generator=start) / d**0.5
    if seed:  # a tenth of the weights' own size: far above bfloat16's noise
        value.add_(torch.randn(shape, generator=own), alpha=0.1 / d**0.5)
    return value.bfloat16()

places = {}
folder.mkdir()
def shard(name, tensors):
    save_file(tensors, folder / name)
    places.update(dict.fromkeys(tensors, name))

shard("embedding.safetensors", {"model.embed_tokens.weight": weight(vocabulary, d)})
for layer in range(layers):
    shapes = {"self_attn.q_proj": (d, d), "self_attn.k_proj": (kv, d), "self_attn.v_proj": (kv, d),
              "self_attn.o_proj": (d, d), "mlp.gate_proj": (mlp, d), "mlp.up_proj": (mlp, d),
              "mlp.down_proj": (d, mlp), "input_layernorm": (d,),
              "post_attention_layernorm": (d,)}
    shard(f"layer{layer}.safetensors", {
        f"model.layers.{layer}.{name}.weight": weight(*shape) for name, shape in shapes.items()})
(folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
(folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
"""

PEAK = """
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
"""

READ = """
import itertools, sys
from pathlib import Path
from goniometer.deltas import BaseModel, Companions, read
base, *runs = map(Path, sys.argv[1:])
deltas = [read(run, Companions(base=BaseModel(base))) for run in runs]
for first, second in itertools.combinations_with_replacement(deltas, 2):
    for module in first:
        first[module].inner(second[module])
"""

COMPARE = """
import sys
from pathlib import Path
from goniometer.cli import app
base, *runs = sys.argv[1:]
out = str(Path(base).parent / "report")
app(["compare", *runs, "--base", base, "-o", out], standalone_mode=False)
"""


def write(folder: Path, size: str, seed: int) -> None:
    """Write one checkpoint; seed 0 is the base."""
    arguments = [str(folder), *map(str, SIZES[size]), str(seed)]
    subprocess.run([sys.executable, "-c", WRITE, *arguments], check=True)


def measure(program: str, base: Path, runs: list[Path]) -> tuple[int, float]:
    """Run a program in a process of its own; return its peak memory in bytes, and seconds."""
    started = time.monotonic()
    code = f"{PEAK}{program}\nprint('peak', peak())"
    found = subprocess.run(
        [sys.executable, "-c", code, str(base), *map(str, runs)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return int(found.stdout.split()[-1]), time.monotonic() - started


def main() -> None:
    """Measure each size and print one line a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["0.03B", "0.1B"], choices=[*SIZES])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--only", choices=["read", "compare"])
    arguments = parser.parse_args()
    programs = {"read": READ, "compare": COMPARE}
    wanted = [arguments.only] if arguments.only else [*programs]
    over = False
    for size in arguments.sizes:
        vocabulary, width, mlp, *_ = SIZES[size]
        largest = 2 * width * max(vocabulary, mlp)
        bound = (arguments.runs + 1) * largest + SPARE
        with tempfile.TemporaryDirectory() as scratch:
            base = Path(scratch) / "base"
            runs = [Path(scratch) / f"run{i}" for i in range(1, arguments.runs + 1)]
            for seed, folder in enumerate([base, *runs]):
                write(folder, size, seed)
            stored = sum(file.stat().st_size for file in base.glob("*.safetensors"))
            for name in wanted:
                peak, seconds = measure(programs[name], base, runs)
                over |= peak > bound
                line = {
                    "size": size, "process": name, "runs": arguments.runs,
                    "checkpoint_MB": round(stored / 1e6), "largest_tensor_MB": round(largest / 1e6),
                    "peak_MB": round(peak / 1e6), "bound_MB": round(bound / 1e6),
                    "within": peak <= bound, "seconds": round(seconds, 1),
                }  # fmt: skip
                print(json.dumps(line), flush=True)
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
