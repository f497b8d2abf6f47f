"""Constant columns: what objectives need to stand beside the log-probs that they train on."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from accelerate import Accelerator
from torch import nn

from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, completion_logprobs
from goniometer.objectives.base import Need
from goniometer.rollouts.data import RolloutSet

Precision = Literal["no", "bf16", "fp16"]
# By need: the log-probs in nats of every completion token, by row of the rollout set.
Columns = Mapping[Need, Sequence[Sequence[float]]]


def precompute(
    model: LanguageModel,
    rollouts: RolloutSet,
    needs: Collection[Need],
    *,
    precision: Precision = "no",
    batch_size: int = 32,
    advance: Callable[[int], None] = lambda _: None,
) -> Columns:
    """Compute the needed columns, once for all cells that train on these rollouts.

    `behaviour` is what the rollouts brought along; `reference` is scored here, in the precision
    of the training to come, without gradient.

    Args:
        model: the base, no adapter attached.
        rollouts: the rows to score.
        needs: union of the `needs` of the objectives that will train on them.
        precision: as in the settings of the training.
        batch_size: rows scored at once.
        advance: called with the number of rows after each batch.
    """
    columns: dict[Need, Sequence[Sequence[float]]] = {}
    if "behaviour" in needs:
        columns["behaviour"] = [row.logprobs for row in rollouts.rows]
    if "reference" in needs:
        with accelerator_for(model.network, precision).autocast():
            columns["reference"] = completion_logprobs(
                model,
                [row.prompt_tokens for row in rollouts.rows],
                [row.completion_tokens for row in rollouts.rows],
                batch_size=batch_size,
                advance=advance,
            )
    return columns


def accelerator_for(network: nn.Module, precision: Precision) -> Accelerator:
    """Make an Accelerator for the device on which the network stands.

    Raises:
        GoniometerError: fp16, or another precision than before in this process, which Accelerate
            cannot do.
    """
    if precision == "fp16":
        raise GoniometerError(
            "fp16 needs loss scaling, which skips steps, other ones in each arm",
            key="training.precision",
            fix="use bf16 or no",
        )
    on_cpu = next(network.parameters()).device.type == "cpu"
    try:
        return Accelerator(cpu=on_cpu, mixed_precision=precision)
    except ValueError as error:
        raise GoniometerError(
            f"Accelerate: {error}", key="training.precision", found=precision
        ) from None


def write_columns(columns: Columns, folder: Path) -> None:
    """Write each column as JSON, whose numbers are exact."""
    for need, rows in columns.items():
        (folder / f"{need}.json").write_text(json.dumps(rows))


def read_columns(folder: Path, needs: Collection[Need]) -> Columns:
    """Read back what `write_columns` wrote."""
    return {need: json.loads((folder / f"{need}.json").read_text()) for need in needs}
