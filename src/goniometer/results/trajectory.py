"""What the checkpoints of one run say."""

from goniometer.results.values import Frozen, Reading


class Step(Frozen):
    """One checkpoint of a run, as a sum of increments from the base (or the origin) on.

    A null is what increments of the same norms that have nothing to do with each other give, in
    the limit of many dimensions, where they are orthogonal.
    """

    run: str  # its name in the comparison
    step: int
    norm: float
    norm_null: float
    cosine_to_final: Reading
    cosine_to_final_null: Reading
    angle_left: Reading  # degrees; angle_left_median of the pair with the final checkpoint
    angle_right: Reading
    increment: float  # norm of what was added since the checkpoint before
    cosine_of_increments: Reading  # with the increment before it; the null is 0


class RankOne(Frozen):
    """Share of a trajectory that lies along one direction, of all weights of a scope as one vector.

    Top eigenvalue over trace of a Gram matrix, not centred: of the totals (each checkpoint less
    the base) and of the increments between checkpoints. Nulls as those of `Step`.
    """

    totals: Reading
    totals_null: Reading
    increments: Reading
    increments_null: Reading


class Trajectory(Frozen):
    """The checkpoints of one run, in order."""

    name: str
    steps: tuple[Step, ...]
    rank_one: dict[str, RankOne]  # by scope; `union` is the whole model
