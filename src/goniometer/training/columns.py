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
# By need: the log-probs in nats of every completion token, by row of the rollout set; those that
# are `mismatched` by prompt.
Columns = Mapping[Need, Sequence[Sequence[float]]]


def precompute(
    model: LanguageModel,
    rollouts: RolloutSet,
    needs: Collection[Need],
    *,
    behaviour: Literal["given", "base"] = "given",
    precision: Precision = "no",
    batch_size: int = 32,
    advance: Callable[[int], None] = lambda _: None,
) -> Columns:
    """Compute the needed columns, once for all cells that train on these rollouts.

    The column `behaviour` is what the rollouts brought along, or the base's if `behaviour` says so;
    `reference` and `mismatched` (the base's
    log-probs of `mismatched_texts`) are scored here, in the precision of the training to come,
    without gradient.

    Args:
        model: the base, no adapter attached.
        rollouts: the rows to score.
        needs: union of the `needs` of the objectives that will train on them.
        behaviour: whose log-probs pass for those of the policy that sampled.
        precision: as in the settings of the training.
        batch_size: rows scored at once.
        advance: called with the number of rows after each batch.

    Raises:
        GoniometerError: `behaviour` is needed, and there are rows that bring none.
    """
    columns: dict[Need, Sequence[Sequence[float]]] = {}
    texts: dict[Need, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {}
    by_base: set[Need] = {"reference", "behaviour"} if behaviour == "base" else {"reference"}
    if "behaviour" in needs and behaviour == "given":
        columns["behaviour"] = rollouts.require_logprobs()
    for need in sorted(by_base.intersection(needs)):
        texts[need] = [(r.prompt_tokens, r.completion_tokens) for r in rollouts.rows]
    if "mismatched" in needs:
        texts["mismatched"] = mismatched_texts(rollouts)
    for need, pairs in texts.items():
        with accelerator_for(model.network, precision).autocast():
            columns[need] = completion_logprobs(
                model,
                [prompt for prompt, _ in pairs],
                [completion for _, completion in pairs],
                batch_size=batch_size,
                advance=advance,
            )
    return columns


def mismatched_texts(
    rollouts: RolloutSet,
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Each prompt with the first completion of the next one, the last with that of the first.

    Raises:
        GoniometerError: there is no other prompt.
    """
    first = [rollouts.rows[indices[0]] for _, indices in rollouts.groups()]
    if len(first) < 2:
        raise GoniometerError(
            "a mismatched completion is another prompt's", key="rollouts.prompts",
            found=f"{len(first)} prompt", expected="2 at least",
        )  # fmt: skip
    following = [*first[1:], first[0]]
    return [(a.prompt_tokens, b.completion_tokens) for a, b in zip(first, following, strict=True)]


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
