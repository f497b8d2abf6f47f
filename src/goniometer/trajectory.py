"""The checkpoints of one run as a trajectory: where it heads, how straight, in how many directions.

All of it follows from the pairs that were compared already: with |a|, |b| and the cosine of two
checkpoints one knows their distance, and the distances of points (the base is one) give every
inner product of totals and of increments (classical scaling, Torgerson, Psychometrika 17, 1952).

The rank-1 share is the energy that the best single direction holds of the checkpoints stacked as
vectors, as where RLVR trajectories are called rank-1 (arXiv 2605.21468; arXiv 2510.00553 says it
of the matrices of one update). There a high share is read as a finding. But totals share their
past: unrelated (orthogonal) increments alone give a share that is far from small (Antognini and
Sohl-Dickstein, NeurIPS 2018), and so that null stands beside each share, and the share of the
increments, which share nothing by construction, beside that of the totals. Where we leave these
papers: theirs is taken by tensor, ours over all modules of a scope; PCA centres, we do not.

Rounding of a stored checkpoint stands in two successive increments with opposite signs: where
little else is in them, as in small bfloat16 steps of whole models, their cosine goes to -1/2.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from goniometer.errors import GoniometerError
from goniometer.results import (
    Comparison,
    PairReadings,
    RankOne,
    Reading,
    RunReadings,
    Step,
    Trajectory,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

FEWEST = 3  # two checkpoints have two increments, and one angle between them
# Below this share of the larger norm a difference is rounding, and has no direction.
STILL = 1e-9
Pairs = Mapping[frozenset[str], PairReadings]


def trajectory(name: str, steps: Mapping[str, int], comparison: Comparison) -> Trajectory:
    """Read the checkpoints of one run, by their names in the comparison and in order.

    Raises:
        GoniometerError: fewer than three.
    """
    if len(steps) < FEWEST:
        raise GoniometerError(
            "too few checkpoints for a trajectory",
            key=name,
            found=len(steps),
            expected=f"{FEWEST} or more",
            fix="compare them without --over steps",
        )
    known = {run.name: run for run in comparison.runs}
    runs = [known[run] for run in steps]
    pairs: Pairs = {frozenset((pair.a, pair.b)): pair for pair in comparison.pairs}
    # Very many pairs are kept without their layers and projections.
    shared = set.intersection(
        *(set(pairs[frozenset((a.name, b.name))].scopes) for a in runs for b in runs if a != b)
    )
    scopes = ["union", *(scope for scope in runs[0].scopes if scope in shared)]
    grams = {scope: inner_products(runs, pairs, scope) for scope in scopes}
    return Trajectory(
        name=name,
        steps=_steps(runs, tuple(steps.values()), pairs, grams["union"]),
        rank_one={scope: rank_one(gram) for scope, gram in grams.items()},
    )


def inner_products(runs: Sequence[RunReadings], pairs: Pairs, scope: str) -> "Matrix | None":
    """Inner products of the increments, from the base to the first checkpoint and on; None if not.

    <D_i, D_j> = (d(i, j-1) + d(i-1, j) - d(i, j) - d(i-1, j-1)) / 2 with d the squared distances:
    an inner product of two totals has lost the digits of small increments.
    """
    import numpy as np

    norms = [0.0, *(_norm(run, scope) for run in runs)]
    squared = np.zeros((len(norms), len(norms)))
    for i, a in enumerate(norms):
        for j in range(i):
            b = norms[j]
            gap = 0.0
            if a > 0 and b > 0:
                found = _gap(pairs[frozenset((runs[i - 1].name, runs[j - 1].name))], scope)
                if found is None:
                    return None
                gap = found
            squared[i, j] = squared[j, i] = (a - b) ** 2 + a * b * gap
    gram: Matrix = (squared[1:, :-1] + squared[:-1, 1:] - squared[1:, 1:] - squared[:-1, :-1]) / 2
    return gram


def rank_one(gram: "Matrix | None") -> RankOne:
    """Shares of the totals and of the increments along one direction, with their nulls.

    With orthogonal increments of squared norms q the Gram of the increments is diag(q), and that
    of the totals has the entries q_1 + ... + q_min(s, t).
    """
    import numpy as np

    if gram is None:
        none = Reading(undefined="a pair of checkpoints has no cosine here")
        return RankOne(totals=none, totals_null=none, increments=none, increments_null=none)
    sums = np.tril(np.ones_like(gram))
    alone = np.diag(np.diag(gram))
    return RankOne(
        totals=_share(sums @ gram @ sums.T),
        totals_null=_share(sums @ alone @ sums.T),
        increments=_share(gram),
        increments_null=_share(alone),
    )


def _share(gram: "Matrix") -> Reading:
    import numpy as np

    trace = float(np.trace(gram))
    if trace <= 0:
        return Reading(undefined="no checkpoint differs from the base here")
    return Reading(value=min(1.0, float(np.linalg.eigvalsh(gram)[-1]) / trace))


def _steps(
    runs: Sequence[RunReadings], numbers: Sequence[int], pairs: Pairs, gram: "Matrix | None"
) -> tuple[Step, ...]:
    import numpy as np

    norms = [_norm(run, "union") for run in runs]
    if gram is None:  # one checkpoint holds other modules than the next: no distance is known
        raise GoniometerError(
            "two checkpoints of one run have no cosine", file=runs[0].source,
            fix="compare the checkpoints of one run",
        )  # fmt: skip
    added = np.sqrt(np.clip(np.diag(gram), 0, None)).tolist()
    energy = np.cumsum(np.square(added)).tolist()
    found = []
    for i, run in enumerate(runs):
        last = runs[-1]
        pair = pairs[frozenset((run.name, last.name))] if run != last else None
        found.append(
            Step(
                run=run.name,
                step=numbers[i],
                norm=norms[i],
                norm_null=energy[i] ** 0.5,
                cosine_to_final=_to_final(pair, "cosine", norms[i], 1.0),
                cosine_to_final_null=_ratio(energy[i] ** 0.5, energy[-1] ** 0.5),
                angle_left=_to_final(pair, "angle_left_median", norms[i], 0.0),
                angle_right=_to_final(pair, "angle_right_median", norms[i], 0.0),
                increment=added[i],
                cosine_of_increments=_turn(gram, norms, added, i),
            )
        )
    return tuple(found)


def _to_final(pair: PairReadings | None, measure: str, norm: float, to_itself: float) -> Reading:
    if pair is not None:
        return pair.scopes["union"].readings[measure]
    return Reading(value=to_itself) if norm > 0 else Reading(undefined="zero delta")


def _ratio(part: float, whole: float) -> Reading:
    if part == 0 or whole == 0:
        return Reading(undefined="zero delta")
    return Reading(value=part / whole)


def _turn(gram: "Matrix", norms: Sequence[float], added: Sequence[float], i: int) -> Reading:
    """Cosine of an increment with the one before it."""
    if i == 0:
        return Reading(undefined="no increment before the first")
    if min(added[i], added[i - 1]) <= STILL * max(norms[i - 1], norms[i]):
        return Reading(undefined="a checkpoint equals the one before it")
    cosine = float(gram[i, i - 1]) / (added[i] * added[i - 1])
    return Reading(value=max(-1.0, min(1.0, cosine)))


def _norm(run: RunReadings, scope: str) -> float:
    """Norm over a scope; of a scope that the run does not adapt, 0."""
    sizes = run.scopes.get("all" if scope == "union" else scope)
    return (sizes["norm"].value or 0.0) if sizes else 0.0


def _gap(pair: PairReadings, scope: str) -> float | None:
    """||a/|a| - b/|b|||^2 = 2 (1 - cos), from off_direction where the cosine is near 1."""
    if pair.state == "no common module":
        return 2.0
    readings = pair.scopes[scope].readings
    cosine, off = readings["cosine"].value, readings["off_direction"].value
    if cosine is None or off is None:
        return None
    # off^2 = gap (1 - gap / 4), and off_direction is computed from differences.
    return 2 * (1 - cosine) if cosine < 0.5 else 2 * off**2 / (1 + cosine)
