"""Readings of one run alone: what it is, what was read of it, and its sizes by scope."""

import math
import statistics
from collections.abc import Mapping, Sequence

from goniometer.deltas import Delta, fingerprint
from goniometer.geometry import SPECTRA
from goniometer.geometry.pairs import ModulePairs
from goniometer.results import Reading, RunReadings

TOP_ONLY = "only the top singular values of large dense updates are known; --exact finds all"


def run_readings(
    delta: Delta,
    name: str,
    run: int,
    modules: Sequence[ModulePairs],
    scopes: Mapping[str, tuple[int, ...]],
    digests: Mapping[str, str],
) -> RunReadings:
    """Sizes of one run over all its modules, by layer and by projection."""
    mine = [m for m in range(len(modules)) if modules[m].present[run]]
    ranks = [modules[m].nominal_ranks[run] for m in mine]
    by_module = module_sizes(modules, run)
    sizes = {
        scope: _sizes([by_module[m] for m in members if m in by_module])
        for scope, members in {"all": tuple(mine), **scopes}.items()
    }
    return RunReadings(
        name=name,
        source=delta.provenance.source,
        fingerprint=fingerprint(digests),
        format=delta.provenance.format,
        base=delta.provenance.base,
        ranks=(min(ranks), max(ranks)),
        modules=len(mine),
        state="zero delta" if all(int(modules[m].ranks[run]) == 0 for m in mine) else "ok",
        not_read=delta.provenance.not_read,
        warnings=delta.provenance.warnings,
        scopes=sizes,
    )


def module_sizes(modules: Sequence[ModulePairs], run: int) -> dict[int, dict[str, Reading]]:
    """Sizes of a run at each module that it changes, by the module's position."""
    return {m: _module(module, run) for m, module in enumerate(modules) if module.present[run]}


def _module(module: ModulePairs, run: int) -> dict[str, Reading]:
    sigma, energy = module.sigma[[run]], module.energy[[run]]
    zero = int(module.ranks[run]) == 0
    readings = {}
    for name, size in SPECTRA.items():
        if zero and name != "norm":
            readings[name] = Reading(undefined="zero delta")
        elif size.needs_all and not module.whole[run]:
            readings[name] = Reading(undefined=TOP_ONLY)
        else:
            readings[name] = Reading(value=float(size.of(sigma, energy)))
    return readings


def _sizes(modules: Sequence[Mapping[str, Reading]]) -> dict[str, Reading]:
    """Norm over the scope, and the medians of the rank measures over the modules that have them."""
    if not modules:
        return {name: Reading(undefined="no module of this scope") for name in SPECTRA}
    norms = [module["norm"].value or 0.0 for module in modules]
    readings = {"norm": Reading(value=math.hypot(*norms))}
    for name in SPECTRA:
        if name == "norm":
            continue
        values = [module[name].value for module in modules]
        known = [value for value in values if value is not None]
        if len(known) < len(values) and any(m[name].undefined == TOP_ONLY for m in modules):
            # A median over the small modules alone would be of other modules than it says.
            readings[name] = Reading(undefined=TOP_ONLY)
        elif known:
            readings[name] = Reading(value=statistics.median(known))
        else:
            readings[name] = Reading(undefined="zero delta")
    return readings
