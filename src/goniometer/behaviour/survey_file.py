"""A survey in a file: what was measured at each point; what is read from it is made anew."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from goniometer.behaviour.evaluate import Scores
from goniometer.behaviour.losses import Losses
from goniometer.behaviour.points import Paths, Point
from goniometer.behaviour.survey import Survey
from goniometer.behaviour.texts import ReferenceTexts


def save(found: Survey, path: Path) -> None:
    """Write JSON, whose numbers are exact; a loss that is not finite is NaN or Infinity."""
    tree = {
        "runs": found.runs,
        "losses": _tree(found.losses),
        "bare": None if found.bare is None else _tree(found.bare),
        "scores": [[where, dataclasses.asdict(of)] for where, of in found.scores.items()],
    }
    path.write_text(json.dumps(tree) + "\n")


def read(path: Path, texts: ReferenceTexts, settings: Paths) -> Survey:
    """Read what `save` wrote, of the same texts and settings."""
    tree = json.loads(path.read_text())
    scores = {
        _point(where): Scores(**{name: tuple(values) for name, values in of.items()})
        for where, of in tree["scores"]
    }
    bare = None if tree["bare"] is None else _losses(tree["bare"])
    return Survey(tuple(tree["runs"]), settings, texts, _losses(tree["losses"]), bare, scores)


def _tree(losses: Losses) -> dict[str, Any]:
    return {
        "items": losses.items,
        "tokens": losses.tokens.tolist(),
        "sums": [[where, of.tolist()] for where, of in losses.sums.items()],
    }


def _losses(tree: dict[str, Any]) -> Losses:
    sums = {_point(where): np.array(of, dtype=float) for where, of in tree["sums"]}
    return Losses(tuple(tree["items"]), np.array(tree["tokens"], dtype=int), sums)


def _point(where: list[list[Any]]) -> Point:
    return tuple((run, coefficient) for run, coefficient in where)
