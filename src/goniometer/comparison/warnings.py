"""What a reader of a comparison must know before its numbers."""

from collections.abc import Collection, Mapping, Sequence

from goniometer.comparison.replicates import Replicates
from goniometer.comparison.verdicts import SHARED_START
from goniometer.geometry.pairs import ModulePairs
from goniometer.geometry.readings import DETAILED_PAIRS, Readings
from goniometer.results import NullTable, PairReadings


def shared_starts(
    pairs: Sequence[PairReadings],
    nulls: Mapping[str, NullTable],
    replicates: Replicates | None,
) -> tuple[str, ...]:
    """Tell of runs that seem to share their initial A, where nobody planned it."""
    if replicates is not None:
        return ()
    found = []
    for pair in pairs:
        overlap = pair.scopes["union"].readings["row_space_overlap"].value
        table = nulls[pair.null_group]["union"] if pair.null_group else {}
        chance = table.get("row_space_overlap", {}).get("independent")
        # Of high ranks, chance alone overlaps by much.
        clear = overlap is not None and (chance is None or overlap > 1.05 * chance.high)
        if overlap is not None and clear and overlap > SHARED_START and pair.state == "comparable":
            found.append(f"{pair.a} and {pair.b} ({overlap:.2f})")
    if not found:
        return ()
    return (
        f"started from one A, or one from the other, by their row space overlap: {', '.join(found)}"
        "; right-hand angles and v1 between them say more of that start than of training",
    )


def _is_loose(module: ModulePairs, run: int, k: int) -> bool:
    """Whether a residual is large beside the gap that sets the top-k subspace apart."""
    if not module.residual or not module.residual[run] or int(module.ranks[run]) <= k:
        return False
    sigma = module.sigma[run]
    return module.residual[run] * float(sigma[0]) > 0.1 * float(sigma[k - 1] - sigma[k])


def warnings_of(readings: Readings, detailed: Collection[str]) -> tuple[str, ...]:
    """Tell of bases that differ, pairs left out, and top-k subspaces that are not determined."""
    warnings = []
    bases = {run.name: run.base for run in readings.runs if run.base is not None}
    if len(set(bases.values())) > 1:
        named = ", ".join(f"{run} {base!r}" for run, base in bases.items())
        warnings.append(f"the runs name different bases: {named}; their shapes agree")
    if len(readings.pairs) > DETAILED_PAIRS:
        whose = "their layers and projections" + (" in the grid" if detailed else "")
        warnings.append(
            f"{len(readings.pairs)} pairs: {whose} are left out here; "
            "modules.parquet has every module of every pair"
        )
    k = readings.k
    for run, name in enumerate(readings.names):
        mine = [m for m in readings.modules if m.present[run] and int(m.ranks[run]) > 0]
        flat = sum(
            int(m.ranks[run]) > k and float(m.sigma[run, k] / m.sigma[run, k - 1]) > 0.99
            for m in mine
        )
        if flat:
            warnings.append(
                f"{name}: at {flat} of {len(mine)} modules sigma_{k + 1} is within 1 % of "
                f"sigma_{k}, so its top-{k} subspace is not well determined there"
            )
        loose = sum(_is_loose(m, run, k) for m in mine)
        if loose:
            warnings.append(
                f"{name}: at {loose} of {len(mine)} modules the iteration left a residual that "
                f"could turn its top-{k} subspace; --exact decomposes them whole"
            )
        short = sum(int(m.ranks[run]) < k for m in mine if min(m.shape) > 1)
        if short:
            warnings.append(
                f"{name}: k = {k} exceeds the numerical rank at {short} of {len(mine)} modules"
            )
    return tuple(warnings)
