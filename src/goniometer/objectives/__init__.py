"""What is wanted: objectives, one file each, listed in one table.

To add an objective: write `objectives/yours.py` with a final frozen dataclass that subclasses
`AbstractObjective` (its fields are its options; a range goes into `Annotated[..., Field(gt=0)]`,
the source of the formula and each deviation from it into the docstring) and add its line to
OBJECTIVES below. `tests/test_objectives_contract.py` then tries it without another line.

An objective of your own package needs no line: name it `package.module:Class` in the study.
"""

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from pydantic import TypeAdapter, ValidationError

from goniometer.errors import Faults, GoniometerError, GoniometerErrors
from goniometer.objectives.base import (
    AbstractObjective,
    Batch,
    Examples,
    LossSum,
    Need,
    Unit,
)
from goniometer.objectives.dft import DFT
from goniometer.objectives.dpo import DPO
from goniometer.objectives.offline_grpo import OfflineGRPO
from goniometer.objectives.rft import RFT
from goniometer.objectives.rift import RIFT
from goniometer.objectives.sft import SFT

OBJECTIVES: dict[str, type[AbstractObjective]] = {
    "sft": SFT,
    "rft": RFT,
    "rift": RIFT,
    "dft": DFT,
    "offline_grpo": OfflineGRPO,
    "dpo": DPO,
}

__all__ = [
    "OBJECTIVES",
    "AbstractObjective",
    "Batch",
    "Examples",
    "LossSum",
    "Need",
    "Unit",
    "build",
]


def build(name: str, options: Mapping[str, object], where: str) -> AbstractObjective:
    """Make an objective from its name and its options as a file gives them.

    Args:
        name: a key of OBJECTIVES, or `module:attribute` for one out of tree.
        options: values of the objective's fields; what is absent has its default.
        where: what to call the place of these options in an error, such as `study.yaml: arms.2`.

    Raises:
        GoniometerError: all faults at once: unknown objective or options (the nearest known one
            is named), values of the wrong type or out of range, options that do not go together.
    """
    objective = _import(name, where) if ":" in name else OBJECTIVES.get(name)
    if objective is None:
        fix = _nearest(name, list(OBJECTIVES))
        raise GoniometerError(f"unknown objective {name!r}", file=where, key="objective", fix=fix)
    faults = Faults()
    known = [field.name for field in fields(objective) if field.init]  # type: ignore[arg-type]
    for key in options:
        if key not in known:
            fix = _nearest(key, known) if known else "it has no options"
            faults.found.append(
                GoniometerError("unknown option", file=where, key=f"options.{key}", fix=fix)
            )
    given = {key: value for key, value in options.items() if key in known}
    with faults.collected():
        built = _validated(objective, given, where)
    faults.raise_any()
    return built


def _validated(
    objective: type[AbstractObjective], options: dict[str, object], where: str
) -> AbstractObjective:
    try:
        return TypeAdapter(objective).validate_python(options)
    except ValidationError as error:
        raise GoniometerErrors(
            GoniometerError(
                fault["msg"],
                file=where,
                key=f"options.{fault['loc'][0]}",
                found=repr(fault["input"]),
            )
            for fault in error.errors()
        ) from None
    except GoniometerError as error:
        raise GoniometerError(str(error), file=where, key="options") from None


def _import(name: str, where: str) -> type[AbstractObjective]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise GoniometerError(
            f"cannot import {name!r}: {error}",
            file=where,
            key="objective",
            fix="name a module:Class",
        ) from None
    if isinstance(found, type) and issubclass(found, AbstractObjective) and is_dataclass(found):
        return found
    raise GoniometerError(
        f"{name!r} is no objective",
        file=where,
        key="objective",
        expected="a dataclass that subclasses goniometer.objectives.AbstractObjective",
    )


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
