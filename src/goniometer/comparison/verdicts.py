"""Which floor a pair is held against, and what may be said of it."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Literal

from goniometer.comparison.replicates import Replicates
from goniometer.results import Floor, NullTable, PairReadings, Reading
from goniometer.statistics import ANOTHER_SEED, REPEAT, sameness, seed_floor

FloorKind = Literal["same init, other order", "other init, same order"]


# Independent row spaces overlap by r / n; those of one random A stay near 1 in training.
SHARED_START = 0.5


def floors(pairs: Sequence[PairReadings], replicates: Replicates | None) -> tuple[Floor, ...]:
    """Make the seed floors of what repeats; none where nothing is known of seeds."""
    if replicates is None:
        return ()
    cosines = {(pair.a, pair.b): pair.scopes["union"].readings["cosine"].value for pair in pairs}
    known = {pair: value for pair, value in cosines.items() if value is not None}
    groups: list[tuple[FloorKind, tuple[str, ...]]] = [
        *(("same init, other order", runs) for runs in replicates.same_init),
        *(("other init, same order", runs) for runs in replicates.other_init),
    ]
    # A replicate that trained nothing has no cosine, and so makes no floor.
    return tuple(
        seed_floor(kind, runs, known)
        for kind, runs in groups
        if len(runs) > 1 and all({(a, b), (b, a)} & known.keys() for a, b in combinations(runs, 2))
    )


def verdict(
    pair: PairReadings,
    pairs: Mapping[tuple[str, str], PairReadings],
    nulls: Mapping[str, NullTable],
    floors: Sequence[Floor],
    replicates: Replicates | None,
) -> str:
    """Say of one pair what may be said: against the strictest floor of its kind, and the nulls."""
    bands = dict(pair.family)
    readings = pair.scopes["union"].readings
    if replicates is None:
        start = readings["row_space_overlap"].value
        if start is not None and start < SHARED_START:
            bands.pop("shared_A0", None)  # they did not start from one A
        return sameness(readings["cosine"], pair.state, None, bands)
    if any({pair.a, pair.b} <= set(floor.runs) for floor in floors) and pair.state == "comparable":
        return REPEAT
    if replicates.repeat(pair.a, pair.b) and pair.state == "comparable":
        return ANOTHER_SEED
    same_init = replicates.init_of[pair.a] == replicates.init_of[pair.b]
    same_order = replicates.order_of[pair.a] == replicates.order_of[pair.b]
    if not same_init:
        bands.pop("shared_A0", None)
    # Floors are of the common seeds; arms of another one share its order, and so its noise.
    elsewhere = replicates.of_the_grid(pair.a, pair.b)
    unlike = replicates.kind_of.get(pair.a) != replicates.kind_of.get(pair.b)
    if elsewhere or unlike or (not same_init and not same_order):
        return sameness(readings["cosine"], pair.state, None, bands)
    mine = [f for f in floors if replicates.kind_of.get(f.arm) == replicates.kind_of.get(pair.a)]
    floor = _strictest(mine, "same init, other order" if same_init else "other init, same order")
    across = _across_orders(pair, pairs, replicates) if same_init and same_order else None
    return sameness(
        across or readings["cosine"],
        pair.state,
        floor,
        bands,
        shares_noise=same_init and same_order and across is None,
    )


def _across_orders(
    pair: PairReadings,
    pairs: Mapping[tuple[str, str], PairReadings],
    replicates: Replicates,
) -> Reading | None:
    """Mean cosine of each run of a pair to the other's repeats in other data orders.

    Two arms share their data order, and so its noise; the floor's runs do not. Where one of the
    two has repeats, these are what can be held against the floor. None where neither has.
    """
    found = [
        (pairs.get((run, repeat)) or pairs[repeat, run]).scopes["union"].readings["cosine"].value
        for run, other in ((pair.a, pair.b), (pair.b, pair.a))
        for runs in replicates.same_init
        if runs[0] == other
        for repeat in runs[1:]
    ]
    defined = [value for value in found if value is not None]
    return Reading(value=fmean(defined)) if defined else None


def _strictest(floors: Sequence[Floor], kind: FloorKind) -> Floor | None:
    """The floor with the highest bound: a noisy arm must not make unlike updates look the same."""
    of_kind = [floor for floor in floors if floor.kind == kind]
    return max(of_kind, key=lambda floor: floor.bound, default=None)
