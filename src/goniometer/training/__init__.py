"""How it is reached: an adapter or whole weights, and one loop, the same for every objective."""

from goniometer.training.adapter import attach, detach, save
from goniometer.training.columns import Columns, precompute
from goniometer.training.loop import TrainingRecord, train

__all__ = ["Columns", "TrainingRecord", "attach", "detach", "precompute", "save", "train"]
