"""Run tests on a copy of the project, again and again, without importing torch each time.

A process of its own holds the heavy libraries, but nothing of the project, and forks for every
request: the child imports the project anew from the copy, so it sees the fault of the moment.
Reads `TEST` lines on stdin, answers each with the exit code of pytest and a file of its output.
"""

import os
import sys
from pathlib import Path

import accelerate  # noqa: F401
import altair  # noqa: F401
import hypothesis  # noqa: F401
import pandas  # noqa: F401
import peft  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import statsmodels.api  # noqa: F401
import torch
import transformers  # noqa: F401


def _child(test: str, root: Path, output: Path) -> int:
    with output.open("w") as opened:
        os.dup2(opened.fileno(), 1)
        os.dup2(opened.fileno(), 2)
    os.chdir(root)
    sys.path[:0] = [str(root / "src"), str(root)]
    # Shapes are not checked here: the test itself must see the fault.
    plain = ["-o", "addopts=-q --strict-markers", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return int(pytest.main([*plain, "-x", test]))


def main() -> None:
    """Serve until stdin ends."""
    root = Path(sys.argv[1])
    torch.set_num_threads(1)  # threads of a parent do not live on in its children
    for number, line in enumerate(sys.stdin):
        output = root / f"output-{number}"
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os._exit(_child(line.strip(), root, output))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)} {output}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
