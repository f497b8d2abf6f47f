"""One cell: an adapter trained from frozen inputs into a folder."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from goniometer.config import Adapter, Training
from goniometer.model import LanguageModel
from goniometer.objectives.base import AbstractObjective
from goniometer.rollouts.data import RolloutSet
from goniometer.training.adapter import attach, detach, save
from goniometer.training.columns import Columns
from goniometer.training.loop import TrainingRecord, train

RECORD = "record.json"


@final
@dataclass(frozen=True)
class CellInputs:
    """All that the adapter of a cell depends on."""

    base: LanguageModel
    rollouts: RolloutSet
    columns: Columns
    objective: AbstractObjective
    adapter: Adapter
    training: Training
    learning_rate: float
    init_seed: int
    order_seed: int


def train_cell(inputs: CellInputs, folder: Path, on_step: Callable[[int, float], None]) -> None:
    """Attach an adapter, train it, save it and its record; the base is left as it was.

    Raises:
        GoniometerError: as `attach` and `train`.
    """
    adapted = attach(inputs.base.network, inputs.adapter, inputs.init_seed)
    try:
        record = train(
            adapted,
            inputs.objective,
            inputs.rollouts,
            inputs.training,
            learning_rate=inputs.learning_rate,
            order_seed=inputs.order_seed,
            columns=inputs.columns,
            pad_token=inputs.base.pad_token,
            on_step=on_step,
        )
        # A base from a folder is called by the folder's name: no path of this machine is written.
        save(adapted, folder, Path(inputs.base.name).name)
    finally:
        detach(adapted)
    # A loss that is not finite has no JSON number; the record ends before it.
    text = json.dumps(asdict(record), sort_keys=True, allow_nan=False)
    (folder / RECORD).write_text(text + "\n")


def read_record(folder: Path) -> TrainingRecord:
    """Read back the record of a trained cell."""
    tree = json.loads((folder / RECORD).read_text())
    for name in ("losses", "gradient_norms"):
        tree[name] = tuple(tree[name])
    metrics = {name: tuple(values) for name, values in tree.pop("metrics").items()}
    return TrainingRecord(metrics=metrics, **tree)
