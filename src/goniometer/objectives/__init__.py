"""What is wanted: objectives, one file each, listed in one table.

To add an objective: write `objectives/yours.py` with a final frozen dataclass that subclasses
`AbstractObjective` (its fields are its options; a range goes into `Annotated[..., Field(gt=0)]`,
the source of the formula and each deviation from it into the docstring) and add its line to
OBJECTIVES below. `tests/test_objectives_contract.py` then tries it without another line.

An objective of your own package needs no line: name it `package.module:Class` in the study.
"""

import importlib
from collections.abc import Mapping
from dataclasses import is_dataclass

from goniometer.errors import GoniometerError
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
from goniometer.objectives.ipo import IPO
from goniometer.objectives.kto import KTO
from goniometer.objectives.offline_grpo import OfflineGRPO
from goniometer.objectives.online_grpo import OnlineGRPO
from goniometer.objectives.rft import RFT
from goniometer.objectives.rift import RIFT
from goniometer.objectives.sft import SFT
from goniometer.objectives.simpo import SimPO
from goniometer.options import from_options, nearest

OBJECTIVES: dict[str, type[AbstractObjective]] = {
    "sft": SFT,
    "rft": RFT,
    "rift": RIFT,
    "dft": DFT,
    "offline_grpo": OfflineGRPO,
    "dpo": DPO,
    "ipo": IPO,
    "simpo": SimPO,
    "kto": KTO,
    "online_grpo": OnlineGRPO,
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
        GoniometerError: unknown objective (the nearest known one is named); or as `from_options`.
    """
    objective = _import(name, where) if ":" in name else OBJECTIVES.get(name)
    if objective is None:
        fix = nearest(name, list(OBJECTIVES))
        raise GoniometerError(f"unknown objective {name!r}", file=where, key="objective", fix=fix)
    return from_options(objective, options, where, "options")


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
