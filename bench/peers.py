"""Side by side with mergelens, vlora-dev, weightscope and a dense merge, on the same adapters.

    python bench/peers.py           prints the tables
    python bench/peers.py --write   also writes docs/peers.md

Five pairs of adapters of one small random model (12 layers of SmolLM2-135M's attention). What is
asked is the cosine of the two updates; the right answer is that of the merged weights less the base
in float64. Each peer is installed into a throwaway environment that reuses this one's torch, and is
called as its documentation says. A peer that has no such number says what it has.
"""

import argparse
import importlib.metadata
import json
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, final

from adapters import timed

ROOT = Path(__file__).parent.parent
REPEAT = 3
CLOSE = 1e-3
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
Answer = tuple[float | None, str]


@final
@dataclass(frozen=True)
class Case:
    """A pair of adapters a and b, their merged checkpoints and the base, in one folder."""

    folder: Path

    def paths(self, kind: str) -> list[str]:
        """The two adapters, or the two merged checkpoints."""
        return [str(self.folder / kind / run) for run in "ab"]

    @property
    def base(self) -> str:
        """The base model's folder."""
        return str(self.folder.parent / "base")


# One function a tool: import it, then return the work, which gives the cosine or what it has.


def ours(case: Case) -> Callable[[], Answer]:
    """`goniometer.compare` with the base: every measure of the pair, and the nulls."""
    import goniometer
    import goniometer.comparison

    def work() -> Answer:
        found = goniometer.compare(case.paths("adapters"), base=case.base, base_measures=False)
        return found.pairs[0].scopes["union"].readings["cosine"].value, ""

    return work


def dense(case: Case) -> Callable[[], Answer]:
    """Merge by PEFT in float64, subtract the base."""
    from peers_cases import dense_cosine

    return lambda: (dense_cosine(case.base, case.paths("adapters")), "")


def mergelens(case: Case, kind: str) -> Callable[[], Answer]:
    """compare_models: the mean of its cosines over the tensors of the adapted modules."""
    from mergelens import compare_models  # type: ignore[import-not-found]

    def work() -> Answer:
        found = compare_models(
            case.paths(kind), metrics=["cosine_similarity"], show_progress=False,
            include_strategy=False,
        )  # fmt: skip
        rows = [r for r in found.tensor_metrics if any(p in r.tensor_name for p in PROJECTIONS)]
        return sum(row.cosine_similarity for row in rows) / len(rows), ""

    return work


def vlora(case: Case) -> Callable[[], Answer]:
    """compute_similarity_matrix of two loaded adapters."""
    from vlora import (  # type: ignore[import-not-found]
        compute_similarity_matrix,
        load_adapter,
    )

    def work() -> Answer:
        loaded = [load_adapter(path) for path in case.paths("adapters")]
        return float(compute_similarity_matrix(loaded)[0, 1]), ""

    return work


def weightscope(case: Case, kind: str) -> Callable[[], Answer]:
    """diff_models: the share of values that are unchanged."""
    from weightscope import diff_models  # type: ignore[import-not-found]

    return lambda: (None, f"{diff_models(*case.paths(kind)).overall_sparsity:.0%} unchanged")


@final
@dataclass(frozen=True)
class Tool:
    """A row: what is installed, what it is given, and what it answers."""

    package: str
    given: str
    prepare: Callable[[Case], Callable[[], Answer]]
    number: str
    peer: bool = True


TOOLS = (
    Tool(
        "goniometer", "adapters, base", ours,
        "cosine of the updates, among all measures of a pair, and the nulls",
        peer=False,
    ),
    Tool("peft", "adapters, base", dense, "merge, subtract, cosine, in float64", peer=False),
    Tool("vlora-dev", "adapters", vlora, "cosine of all A and B as one vector"),
    Tool(
        "mergelens", "adapters", lambda case: mergelens(case, "adapters"),
        "mean over tensors of the cosine of A, and of B",
    ),
    Tool(
        "mergelens", "merged checkpoints", lambda case: mergelens(case, "merged"),
        "mean over tensors of the cosine of the weights, base included; with a base it gives "
        "sign disagreement and overlap of right subspaces of the updates, no cosine",
    ),
    Tool(
        "weightscope", "adapters", lambda case: weightscope(case, "adapters"),
        "no cosine; share of values of A and B that are equal",
    ),
    Tool(
        "weightscope", "merged checkpoints", lambda case: weightscope(case, "merged"),
        "no cosine; share of weights that are equal",
    ),
)  # fmt: skip


def answer(tool: Tool, case: Case) -> dict[str, Any]:
    """Ask one tool in this process, after its imports; an error is an answer too."""
    try:
        work = tool.prepare(case)
        started = time.perf_counter()
        cosine, says = work()
    except Exception as error:  # whatever a peer raises is what a user would see
        return {"cosine": None, "says": f"{type(error).__name__}: {error}", "seconds": None}
    return {"cosine": cosine, "says": says, "seconds": time.perf_counter() - started}


@cache
def environment(package: str, folder: Path) -> tuple[str, str]:
    """Install a peer beside this environment's packages; return its Python and version.

    Raises:
        subprocess.CalledProcessError: it cannot be installed.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    # A path file, and not system-site-packages: what is here is itself an environment.
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "reuse.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    install = [str(python), "-m", "pip", "install", "--quiet", "--constraint"]
    command = [*install, str(ROOT / "constraints.txt"), package]
    subprocess.run(command, check=True, capture_output=True, text=True)
    ask = f"import importlib.metadata as m; print(m.version({package!r}))"
    return str(python), subprocess.check_output([str(python), "-c", ask], text=True).strip()


def row(tool: Tool, cases: Mapping[str, Case], truth: Mapping[str, float], scratch: Path) -> str:
    """Ask a tool about every case; one line of the table."""
    python, version = sys.executable, ""
    if tool.peer:
        try:
            python, version = environment(tool.package, scratch / f"env-{tool.package}")
        except subprocess.CalledProcessError as error:
            why = error.stderr.strip().splitlines()[-1]
            return f"| {tool.package} | could not be installed: {why} |"
    else:
        version = importlib.metadata.version(tool.package)
    cells, walls, works, peak = [], [], [], 0.0
    for name, case in cases.items():
        for _ in range(REPEAT if name == "plain" else 1):
            command = [
                python,
                "-W",
                "ignore",
                __file__,
                "--ask",
                str(TOOLS.index(tool)),
                str(case.folder),
            ]
            wall, memory, printed = timed(command)
            found = json.loads(printed.splitlines()[-1])
            if name == "plain":
                walls.append(wall)
                works.append(found["seconds"])
                peak = max(peak, memory)
        cells.append(_cell(found, truth[name]))
    work = f"{median(works):.2f}" if None not in works else "-"
    times = f"{median(walls):.1f} | {work} | {peak:.2f}"
    return f"| {tool.package} {version} | {tool.given} | {times} | {' | '.join(cells)} |"


def _cell(found: Mapping[str, Any], truth: float) -> str:
    cosine = found["cosine"]
    if cosine is None:
        return str(found["says"]).split("\n")[0].split(". ")[0].replace("|", "/")
    return "right" if abs(cosine - truth) < CLOSE else f"**{cosine:.3f}**"


def report(lines: Sequence[str], truth: Mapping[str, float]) -> str:
    """The table and what its rows are."""
    head = " | ".join(f"{name}: {value:.3f}" for name, value in truth.items())
    title = "| tool | given | process, s | work, s | peak, GiB | " + head + " |"
    rule = "|---|---|---:|---:|---:|" + "---|" * len(truth)
    about = [f"- {tool.package}, {tool.given}: {tool.number}." for tool in TOOLS]
    return "\n".join([title, rule, *lines, "", "What each answers with:", "", *about, ""])


def main() -> None:
    """Make the cases, ask every tool, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/peers.md")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--ask", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.ask:
        tool, folder = TOOLS[int(asked.ask[0])], Path(asked.ask[1])
        print(json.dumps(answer(tool, Case(folder))))
        return
    from peers_cases import write_cases

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        truth = write_cases(folder, asked.layers)
        cases = {name: Case(folder / name) for name in truth}
        lines = []
        for tool in TOOLS:
            lines.append(row(tool, cases, truth, folder))
            print(lines[-1], flush=True)
    text = report(lines, truth)
    print(f"\n{text}")
    if asked.write:
        head = (
            "# The same question to other tools\n\nWritten by `python bench/peers.py --write`, "
            "whose first lines say how. Heads give each pair's right\nanswer: the cosine of the "
            "two updates from merged weights less the base in float64. `right`: within\n"
            f"{CLOSE}; else what the tool says. Process: from its start to the answer, imports "
            "included; work: without.\nMerged checkpoints were made beforehand, which is not timed."
            "\n\n"
        )
        (ROOT / "docs" / "peers.md").write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main()
