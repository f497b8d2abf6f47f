"""What `compare --over steps` prints: each run's checkpoints, then the rank-1 shares."""

from collections.abc import Sequence

from rich.console import Console

from goniometer.console.terminal import number, titled
from goniometer.results import Trajectory


def print_trajectories(trajectories: Sequence[Trajectory], console: Console) -> None:
    """Print each run's checkpoints, then the rank-1 shares; nulls are of orthogonal increments."""
    heads = [*("step", "norm", "null", "cosine to final", "null", "angle left", "right")]
    heads += ["increment", "cosine with the one before"]
    for one in trajectories:
        title = f"{one.name} over steps; null: orthogonal increments; median angles in degrees"
        table = titled(title, [], heads)
        for step in one.steps:
            table.add_row(
                str(step.step),
                f"{step.norm:.4f}",
                f"{step.norm_null:.4f}",
                number(step.cosine_to_final, 4),
                number(step.cosine_to_final_null, 4),
                number(step.angle_left, 1),
                number(step.angle_right, 1),
                f"{step.increment:.4f}",
                number(step.cosine_of_increments, 4),
            )
        console.print(table)
    if trajectories:
        heads = ["of totals", "null", "of increments", "null"]
        table = titled("rank-1 share of the trajectory, all modules", ["run"], heads)
        for one in trajectories:
            share = one.rank_one["union"]
            four = (share.totals, share.totals_null, share.increments, share.increments_null)
            table.add_row(one.name, *(number(reading, 4) for reading in four))
        console.print(table)
