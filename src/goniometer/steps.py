"""Which folders are the checkpoints of one run, and of which steps. No torch.

A run's folder has subfolders checkpoint-N, as transformers' Trainer writes them (step-N and
global_step_N as well); or the checkpoints are listed themselves, and are one run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from goniometer.errors import GoniometerError
from goniometer.trajectory import FEWEST

_STEP = re.compile(r"(?:.*[-_.])?(?:checkpoint|global_step|step)[-_]?(\d+)", re.ASCII)
_OWN = ("adapter_config.json", "model.safetensors", "model.safetensors.index.json")


@final
@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a run: its step, and its folder or Hub id."""

    step: int
    source: str


@final
@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints by run and by their name in the comparison, in order; what was left out."""

    of: Mapping[str, Mapping[str, Checkpoint]]
    warnings: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[str, str]:
        """Folder or Hub id of every checkpoint of all runs, by name."""
        return {name: one.source for steps in self.of.values() for name, one in steps.items()}

    def steps(self, run: str) -> dict[str, int]:
        """Step of each checkpoint of a run, by name."""
        return {name: one.step for name, one in self.of[run].items()}


def find_checkpoints(runs: Mapping[str, str]) -> Checkpoints:
    """Find the checkpoints of some runs by name, or take the runs as the checkpoints of one.

    Raises:
        GoniometerError: fewer than three checkpoints, one step twice, or some runs have
            checkpoints and others none.
    """
    found = {name: _numbered(Path(source)) for name, source in runs.items()}
    without = [name for name, steps in found.items() if not steps]
    if len(without) == len(runs) > 1:
        return _listed(runs)
    if without:
        if not Path(runs[without[0]]).exists():
            raise GoniometerError("no such folder", file=runs[without[0]])
        others = ", as the other runs have" if len(runs) > 1 else ""
        raise GoniometerError(
            f"no subfolder checkpoint-N here{others}",
            file=runs[without[0]],
            fix="give folders with checkpoints, or the checkpoints of one run themselves",
        )
    prefix = {name: f"{name} " if len(runs) > 1 else "" for name in runs}
    of = {}
    for name, steps in found.items():
        _require(len(steps), runs[name])
        of[name] = {
            f"{prefix[name]}step {step}": Checkpoint(step, str(folder))
            for step, folder in steps.items()
        }
    warnings = [text for name, source in runs.items() for text in _left_out(name, Path(source))]
    return Checkpoints(of, tuple(warnings))


def _listed(runs: Mapping[str, str]) -> Checkpoints:
    """Runs as the checkpoints of one run: by the steps that their names end in, else as listed."""
    absent = [source for source in runs.values() if not Path(source).exists()]
    if absent and len(runs) < FEWEST:  # three or more may be Hub ids
        raise GoniometerError("no such folder", file=absent[0])
    _require(len(runs), ", ".join(runs.values()))
    matches = [_STEP.fullmatch(Path(source).name) for source in runs.values()]
    steps = [int(match[1]) for match in matches if match is not None]
    if len(steps) < len(runs):
        steps = list(range(1, len(runs) + 1))
    if len(set(steps)) < len(steps):
        raise _twice(", ".join(runs.values()), max(steps, key=steps.count))
    # A shell lists checkpoint-1000 before checkpoint-500.
    order = sorted(zip(steps, runs.items(), strict=True))
    parents = {Path(source).resolve().parent.name for source in runs.values()}
    name = parents.pop() if len(parents) == 1 else "run"
    return Checkpoints({name or "run": {run: Checkpoint(n, source) for n, (run, source) in order}})


def _numbered(folder: Path) -> dict[int, Path]:
    """Subfolders that are named for a step, by step."""
    found: dict[int, Path] = {}
    for path in _subfolders(folder):
        match = _STEP.fullmatch(path.name)
        if match is None:
            continue
        step = int(match[1])
        if step in found:
            raise _twice(f"{found[step]} and {path.name}", step)
        found[step] = path
    return dict(sorted(found.items()))


def _left_out(name: str, folder: Path) -> list[str]:
    found = []
    unnumbered = [
        path.name
        for path in _subfolders(folder)
        if path.name.startswith("checkpoint") and not _STEP.fullmatch(path.name)
    ]
    if unnumbered:
        found.append(f"{name}: without a step, so left out: {', '.join(unnumbered)}")
    if any((folder / file).is_file() for file in _OWN):
        found.append(f"{name}: its own weights, beside the checkpoints, are no step and left out")
    return found


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _require(count: int, source: str) -> None:
    if count < FEWEST:
        raise GoniometerError(
            "too few checkpoints for a trajectory",
            file=source,
            found=count,
            expected=f"subfolders checkpoint-N or a list of checkpoints, {FEWEST} or more",
        )


def _twice(source: str, step: int) -> GoniometerError:
    return GoniometerError("two checkpoints of one step", file=source, key=f"step {step}")
