"""Cost of the geometry by rank, by number of runs and by number of modules, with its exponents.

    python bench/cost.py                 a quick look
    python bench/cost.py --full --write  docs/cost.md and docs/cost.png; some minutes

Geometry is reading the files and every reading of every pair, without nulls and report. One of the
three is varied, the others stand still; modules are Qwen3-4B's attention projections, four a
layer. The exponent is the slope of log seconds over log size by least squares, on the upper half of
the range, where fixed costs weigh least. Run it alone: another busy process spoils it.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median
from typing import Any, final

import torch
from adapters import SHAPES, timed, write_adapters

DOCS = Path(__file__).parent.parent / "docs"
FULL = {
    "rank": (8, 16, 32, 64, 128, 256),
    "runs": (2, 4, 8, 16, 32, 64),
    "modules": (4, 8, 16, 32, 64, 128),
}
QUICK = {"rank": (8, 16, 32), "runs": (2, 4, 8), "modules": (4, 8, 16)}
FIXED = {"rank": 16, "runs": 4, "modules": 8}


@final
@dataclass(frozen=True)
class Sweep:
    """Seconds and peak memory (GiB) as one size varies."""

    size: str
    values: tuple[int, ...]
    seconds: tuple[float, ...]
    memory: tuple[float, ...]

    def exponent(self) -> tuple[float, tuple[int, int]]:
        """Slope in log-log, and the range it is fitted on: the upper half."""
        start = (len(self.values) - 1) // 2
        x, y = self.values[start:], self.seconds[start:]
        slope = linear_regression([math.log(v) for v in x], [math.log(s) for s in y]).slope
        return slope, (x[0], x[-1])


def geometry_seconds(runs: Sequence[str], repeat: int) -> dict[str, float]:
    """Median time of the geometry in this process, after one round that is not counted."""
    from goniometer.comparison.names import name_runs
    from goniometer.comparison.runs import read_runs
    from goniometer.geometry.readings import read_pairs

    found = []
    for _ in range(repeat + 1):
        started = time.perf_counter()
        read_pairs(read_runs(name_runs(runs)))
        found.append(time.perf_counter() - started)
    return {"seconds": median(found[1:])}


def sweep(size: str, values: tuple[int, ...], repeat: int) -> Sweep:
    """Vary one size; each point is a process of its own."""
    seconds, memory = [], []
    for value in values:
        at = FIXED | {size: value}
        with tempfile.TemporaryDirectory() as scratch:
            layers = at["modules"] // len(SHAPES)
            runs = write_adapters(Path(scratch), at["runs"], at["rank"], layers=layers)
            command = [sys.executable, __file__, "--repeat", str(repeat), "--time", *runs]
            _, peak, printed = timed(command)
        seconds.append(json.loads(printed)["seconds"])
        memory.append(peak)
    return Sweep(size, values, tuple(seconds), tuple(memory))


def table(sweeps: Sequence[Sweep]) -> Iterator[str]:
    """Write markdown: a table a sweep, and its exponent."""
    for found in sweeps:
        others = ", ".join(f"{n} {v}" for n, v in FIXED.items() if n != found.size)
        slope, (low, high) = found.exponent()
        yield f"By {found.size} ({others}):\n"
        yield f"| {found.size} | " + " | ".join(map(str, found.values)) + " |"
        yield "|---|" + "---:|" * len(found.values)
        yield "| seconds | " + " | ".join(f"{s:.3g}" for s in found.seconds) + " |"
        yield "| peak memory, GiB | " + " | ".join(f"{m:.2f}" for m in found.memory) + " |"
        yield f"\nSeconds grow as {found.size}^{slope:.2f} from {low} to {high}.\n"


def chart(sweeps: Sequence[Sweep]) -> bytes:
    """Draw one panel a sweep, both axes logarithmic, as PNG."""
    import altair as alt
    import pandas as pd
    import vl_convert

    panels: list[Any] = []
    for found in sweeps:
        slope, (low, high) = found.exponent()
        rows = pd.DataFrame({"size": found.values, "seconds": found.seconds})
        title = f"{found.size}^{slope:.2f} from {low} to {high}"
        axis = alt.Scale(type="log", nice=False, padding=10)
        ticks = alt.Axis(values=list(found.values), grid=False)
        panels.append(
            alt.Chart(rows, width=230, height=210, title=title)
            .mark_line(point={"color": "#0f6db0"}, color="#0f6db0")
            .encode(
                x=alt.X("size:Q", scale=axis, title=found.size, axis=ticks),
                y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds"),
            )
        )
    figure = alt.hconcat(*panels).resolve_scale(y="shared").configure_view(stroke=None)
    drawn: bytes = vl_convert.vegalite_to_png(figure.to_json(), scale=2)
    return drawn


def main() -> None:
    """Print the tables; with --write put them and the plot into docs/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="rank to 256, runs to 64")
    parser.add_argument("--write", action="store_true", help="write docs/cost.md and docs/cost.png")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--time", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.time:
        print(json.dumps(geometry_seconds(asked.time, asked.repeat)))
        return
    plan = FULL if asked.full else QUICK
    sweeps = [sweep(size, values, asked.repeat) for size, values in plan.items()]
    text = "\n".join(table(sweeps))
    print(text)
    if asked.write:
        threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
        head = (
            "# What the geometry costs\n\nWritten by `python bench/cost.py --full --write`, which "
            "says what is timed: reading and\nall readings of all pairs at Qwen3-4B's attention "
            f"shapes, bfloat16 factors, medians of {asked.repeat},\n{threads}.\n\n"
            "![Seconds by rank, runs and modules](cost.png)\n\n"
        )
        (DOCS / "cost.md").write_text(head + text, encoding="utf-8")
        (DOCS / "cost.png").write_bytes(chart(sweeps))


if __name__ == "__main__":
    main()
