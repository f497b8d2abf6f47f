"""Settings that can work and hardly will: outside the range in which recipes lie."""

from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from goniometer.config import Adapter, LearningRate, Usual
from goniometer.objectives import AbstractObjective
from goniometer.study.estimate.size import Size
from goniometer.study.plan import Plan


def unusual(plan: Plan, size: Size | None) -> list[str]:
    """Name each learning rate and option outside its usual range, and a rank without use."""
    found = []
    usual = _range(LearningRate)
    for cell in plan.cells:
        if cell.role == "floor" or cell.seed or cell.wrong_share is not None:
            continue  # as the arm that it repeats
        if usual and not usual.low <= cell.learning_rate <= usual.high:
            found.append(_line(cell.name, "learning_rate", cell.learning_rate, usual))
        found += [
            _line(cell.name, f"options.{name}", getattr(cell.objective, name), range_)
            for name, range_ in usual_ranges(type(cell.objective)).items()
            if not _within(getattr(cell.objective, name), range_)
        ]
    return list(dict.fromkeys(found + _rank(plan.study.adapter, size)))


def usual_ranges(objective: type[AbstractObjective]) -> dict[str, Usual]:
    """Usual ranges of an objective's options, as its fields are annotated."""
    hints = get_type_hints(objective, include_extras=True)
    names = [field.name for field in fields(objective)]  # type: ignore[arg-type]
    ranges = {name: _range(hints[name]) for name in names}
    return {name: found for name, found in ranges.items() if found is not None}


def _within(value: float | None, usual: Usual) -> bool:
    return value is None or usual.low <= value <= usual.high


def _range(annotation: Any) -> Usual | None:
    """Find the metadata, also within `... | None`."""
    if get_origin(annotation) is Annotated:
        return next((meta for meta in get_args(annotation)[1:] if isinstance(meta, Usual)), None)
    return next(filter(None, map(_range, get_args(annotation))), None)


def _line(name: str, key: str, value: float, usual: Usual) -> str:
    return f"{name}: {key} {value:g} is outside the usual {usual.low:g} to {usual.high:g}"


def _rank(adapter: Adapter, size: Size | None) -> list[str]:
    if size is None:
        return []
    narrow = {
        name.rpartition(".")[2]: min(shape)
        for name, shape in size.linear.items()
        if name.rpartition(".")[2] in adapter.target_modules and min(shape) < adapter.rank
    }
    return [
        f"adapter.rank {adapter.rank} is above {least}, the smaller side of {name}: "
        "no update of it has a higher rank"
        for name, least in narrow.items()
    ]
