"""A study's settings: a frozen tree with a module a topic, and its fingerprint. No torch."""

from goniometer.config.cells import Arm, Floors, Grid, Match
from goniometer.config.data import Rollouts, Task
from goniometer.config.measures import (
    Divergence,
    Evaluation,
    Geometry,
    Paths,
    Positions,
    Similarity,
)
from goniometer.config.models import Models, Server, WarmUp
from goniometer.config.section import LearningRate, Positive, Section, Share, Usual
from goniometer.config.study import Study, canonical
from goniometer.config.training import Adapter, Regime, Training

__all__ = [
    "Adapter",
    "Arm",
    "Divergence",
    "Evaluation",
    "Floors",
    "Geometry",
    "Grid",
    "LearningRate",
    "Match",
    "Models",
    "Paths",
    "Positions",
    "Positive",
    "Regime",
    "Rollouts",
    "Section",
    "Server",
    "Share",
    "Similarity",
    "Study",
    "Task",
    "Training",
    "Usual",
    "WarmUp",
    "canonical",
]
