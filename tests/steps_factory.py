"""Synthetic trajectories for the report's tests: random increments with a drift, in 400 dimensions.

The comparison's other readings are those of results_factory; only the trajectories are computed.
"""

import numpy as np

from goniometer.results import Reading, Results, Step, Trajectory
from goniometer.trajectory import rank_one
from tests.results_factory import comparison


def trajectory(
    name: str, runs: tuple[str, ...], steps: tuple[int, ...], drift: float
) -> Trajectory:
    """A walk with as much drift as said, whose second checkpoint equals its first."""
    rng = np.random.default_rng(len(runs))
    added = rng.standard_normal((len(runs), 400)) / 20 + drift * np.eye(400)[0]
    added[1] = 0
    totals = np.cumsum(added, axis=0)
    norms, sizes = np.linalg.norm(totals, axis=1), np.linalg.norm(added, axis=1)
    energy = np.cumsum(sizes**2)
    cosines = totals @ totals[-1] / norms / norms[-1]
    made = []
    for i, run in enumerate(runs):
        turn = Reading(undefined="a checkpoint equals the one before it")
        if i == 0:
            turn = Reading(undefined="no increment before the first")
        elif min(sizes[i], sizes[i - 1]) > 0:
            turn = Reading(value=float(added[i] @ added[i - 1] / sizes[i] / sizes[i - 1]))
        angle = float(np.degrees(np.arccos(min(1.0, cosines[i]))))
        made.append(
            Step(
                run=run, step=steps[i], norm=norms[i], norm_null=energy[i] ** 0.5,
                cosine_to_final=Reading(value=min(1.0, cosines[i])),
                cosine_to_final_null=Reading(value=(energy[i] / energy[-1]) ** 0.5),
                angle_left=Reading(value=angle), angle_right=Reading(value=angle / 2),
                increment=sizes[i], cosine_of_increments=turn,
            )
        )  # fmt: skip
    return Trajectory(name=name, steps=tuple(made), rank_one={"union": rank_one(added @ added.T)})


def results(runs: dict[str, float], checkpoints: int = 5) -> Results:
    """Checkpoints of some runs, by name and drift."""
    steps = tuple(100 * (i + 1) + 7 * i * i for i in range(checkpoints))
    names = {name: tuple(f"{name} step {n}" for n in steps) for name in runs}
    found = comparison(runs=tuple(run for row in names.values() for run in row), layers=2)
    return Results(
        title=f"{checkpoints * len(runs)} checkpoints of {len(runs)} runs",
        versions={"goniometer": "0.1.0"},
        comparison=found,
        trajectories=tuple(
            trajectory(name, names[name], steps, drift) for name, drift in runs.items()
        ),
    )
