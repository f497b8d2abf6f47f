"""One cell: weights trained from frozen inputs into a folder."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from torch import nn

from goniometer.config import Adapter, Regime, Rollouts, Training
from goniometer.model import LanguageModel
from goniometer.objectives.base import AbstractObjective
from goniometer.results import Coefficients
from goniometer.rollouts.data import RolloutSet
from goniometer.tasks import AbstractTask, Problem
from goniometer.training.adapter import attach, detach, save
from goniometer.training.columns import Columns
from goniometer.training.full import unfrozen
from goniometer.training.loop import TrainingRecord, train
from goniometer.training.sampled import Sampler

RECORD = "record.json"


@final
@dataclass(frozen=True)
class OnPolicy:
    """What a cell whose objective is on-policy samples and grades by.

    Attributes:
        task: grades.
        problems: of all prompts of the rollouts, by id.
        settings: temperature, length and batch size; rows a prompt, where the objective has no
            `group_size`.
    """

    task: AbstractTask
    problems: Mapping[str, Problem]
    settings: Rollouts


@final
@dataclass(frozen=True)
class CellInputs:
    """All that the update of a cell depends on; `on_policy` for an on-policy objective alone."""

    base: LanguageModel
    rollouts: RolloutSet
    columns: Columns
    objective: AbstractObjective
    adapter: Adapter
    training: Training
    learning_rate: float
    init_seed: int
    order_seed: int
    regime: Regime = "lora"
    on_policy: OnPolicy | None = None


def train_cell(inputs: CellInputs, folder: Path, on_step: Callable[[int, float], None]) -> None:
    """Train an adapter or weights, save them and the record; the base is left as it was.

    Raises:
        GoniometerError: as `attach`, `unfrozen` and `train`.
    """
    with _trainable(inputs) as (network, save_to, as_base):
        given = inputs.on_policy
        record = train(
            network,
            inputs.objective,
            inputs.rollouts,
            inputs.training,
            learning_rate=inputs.learning_rate,
            order_seed=inputs.order_seed,
            columns=inputs.columns,
            pad_token=inputs.base.pad_token,
            on_step=on_step,
            sampler=given
            and Sampler(inputs.base, given.task, given.problems, given.settings, as_base),
        )
        # A base from a folder is called by the folder's name: no path of this machine is written.
        save_to(folder, Path(inputs.base.name).name)
    tree = asdict(record) | {
        "coefficients": [histogram.model_dump(mode="json") for histogram in record.coefficients]
    }
    # A loss that is not finite has no JSON number; the record ends before it.
    text = json.dumps(tree, sort_keys=True, allow_nan=False)
    (folder / RECORD).write_text(text + "\n")


def read_record(folder: Path) -> TrainingRecord:
    """Read back the record of a trained cell."""
    tree = json.loads((folder / RECORD).read_text())
    for name in ("losses", "gradient_norms"):
        tree[name] = tuple(tree[name])
    metrics = {name: tuple(values) for name, values in tree.pop("metrics").items()}
    coefficients = tuple(map(Coefficients.model_validate, tree.pop("coefficients", ())))
    return TrainingRecord(metrics=metrics, coefficients=coefficients, **tree)


Trainable = tuple[
    nn.Module,
    Callable[[Path, str], None],  # saves what was trained
    Callable[[], AbstractContextManager[object]],  # lets the network be the base
]


@contextmanager
def _trainable(inputs: CellInputs) -> Iterator[Trainable]:
    """Let the regime's weights learn until the context ends, when the base is as it was."""
    if inputs.regime != "lora":
        with unfrozen(inputs.base.network, inputs.regime) as moving:
            yield moving.network, moving.save, moving.as_base
        return
    adapted = attach(inputs.base.network, inputs.adapter, inputs.init_seed)
    try:
        yield adapted, lambda folder, base: save(adapted, folder, base), adapted.disable_adapter
    finally:
        detach(adapted)
