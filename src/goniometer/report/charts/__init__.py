"""The charts, a topic a file.

Of each chart, one function gives the specification (Altair) and one the `Chart` that fills it. No
text of a user ever enters an expression: names stand in data and in signals only.
"""

from goniometer.report.charts import (
    accuracy,
    coefficients,
    contrasts,
    depth,
    paths,
    runs_map,
    seed_scores,
    seeds,
    similarity,
    sizes,
    steps,
    sweep,
    together,
    training,
    whole,
)

__all__ = [
    "accuracy",
    "coefficients",
    "contrasts",
    "depth",
    "paths",
    "runs_map",
    "seed_scores",
    "seeds",
    "similarity",
    "sizes",
    "steps",
    "sweep",
    "together",
    "training",
    "whole",
]
