"""Each run against the base it was trained from: how far, where, and in which directions.

The measures of one module are in base_module.py; here they become scopes, with their nulls.
"""

from collections.abc import Callable, Mapping, Sequence

from goniometer.deltas import (
    BaseModel,
    Delta,
    digest,
    fingerprint,
    layer_of,
    module_order,
    projection_of,
)
from goniometer.geometry.base_measures import BASE_MEASURES, AtModule, null_of_scope, of_scope
from goniometer.geometry.base_module import TOP, Weight, at_module
from goniometer.geometry.scopes import band
from goniometer.geometry.threads import side_by_side
from goniometer.results import AgainstBase, Band, BaseNullKind, RunAgainstBase

# Modules that are read side by side, each on one thread of its own; more would only hold more.
THREADS = 2


def read_against_base(
    deltas: Mapping[str, Delta],
    base: BaseModel,
    *,
    name: str,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[AgainstBase, tuple[AtModule, ...]]:
    """Measure each run at each module that the base has; `advance` is called with 1 a module.

    `name` is the base's. The second value is every reading of every module.

    Raises:
        GoniometerError: a file of the base is not whole, or holds NaN or Inf.
    """
    digests: dict[str, str] = {}
    read: dict[str, list[AtModule]] = {}
    missing: dict[str, dict[str, list[str]]] = {run: {} for run in deltas}
    weights: dict[str, Weight] = {}
    for module in sorted({m for delta in deltas.values() for m in delta}, key=module_order):
        runs = [run for run, delta in deltas.items() if module in delta]
        first = deltas[runs[0]]
        weight = _find(base, first.in_base(module), first.outline(module).shape)
        if isinstance(weight, Weight):
            weights[module] = weight
            continue
        for run in runs:
            missing[run].setdefault(weight, []).append(module)
        advance(1)

    def measure(module: str) -> None:
        mine = {run: delta for run, delta in deltas.items() if module in delta}
        digests[module] = digest(weights[module])
        read[module] = list(at_module(module, weights[module], mine, seed))
        advance(1)

    side_by_side(measure, list(weights), most=THREADS)
    found = [at for module in weights for at in read[module]]
    result = AgainstBase(
        base=name,
        fingerprint=fingerprint(digests),
        k=TOP,
        measures={key: measure.info for key, measure in BASE_MEASURES.items()},
        runs=tuple(
            _run(run, [at for at in found if at.run == run], missing[run]) for run in deltas
        ),
    )
    return result, tuple(found)


def _find(base: BaseModel, module: str, shape: tuple[int, int]) -> Weight | str:
    """The base's weight in the shape of the update, or why there is none."""
    tensor = base.find(module)
    if tensor is None:
        return "the base has no such module"
    if len(tensor.shape) == 2 and tensor.shape[1] != shape[1]:
        tensor = tensor.turned()
    columns = tensor.shape[1] if len(tensor.shape) == 2 else 1
    if len(tensor.shape) > 2 or columns != shape[1] or tensor.shape[0] < shape[0]:
        return f"the base's shape there is {tensor.shape}, the update's {shape}"
    return Weight(tensor, shape)


def _run(
    name: str, modules: Sequence[AtModule], missing: Mapping[str, Sequence[str]]
) -> RunAgainstBase:
    scopes: dict[str, list[AtModule]] = {"all": list(modules)}
    for at in modules:
        if layer_of(at.module) is not None:
            scopes.setdefault(f"layer.{layer_of(at.module)}", []).append(at)
    for at in modules:
        scopes.setdefault(f"projection.{projection_of(at.module)}", []).append(at)
    nulls = {scope: _nulls(members) for scope, members in scopes.items()}
    return RunAgainstBase(
        name=name,
        modules=len(modules),
        scopes={
            scope: {key: of_scope(key, members) for key in BASE_MEASURES}
            for scope, members in scopes.items()
        },
        nulls={scope: bands for scope, bands in nulls.items() if bands},
        not_measured={reason: tuple(names) for reason, names in missing.items()},
    )


def _nulls(modules: Sequence[AtModule]) -> dict[str, dict[BaseNullKind, Band]]:
    kinds: dict[str, dict[BaseNullKind, None]] = {}
    for at in modules:
        for measure, by_kind in at.nulls.items():
            kinds.setdefault(measure, {}).update(dict.fromkeys(by_kind))
    found: dict[str, dict[BaseNullKind, Band]] = {}
    for measure, names in kinds.items():
        for kind in names:
            value = band(null_of_scope(measure, kind, modules))
            if value is not None:
                found.setdefault(measure, {})[kind] = value
    return found
