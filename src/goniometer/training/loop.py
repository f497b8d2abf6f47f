"""The one training loop, the same for every objective; it never asks which one it has.

Prompts, not rows, are what is shuffled, from a seed that knows no objective: all arms of a study
see the same prompts in the same order and make the same number of steps, also where an objective
selects nothing. Losses sum over a step, and one place divides, by the units of the whole step. The
source of batches alone knows whether they were given or are sampled anew at each step.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from goniometer.config import Training
from goniometer.errors import GoniometerError
from goniometer.objectives.base import AbstractObjective
from goniometer.results import Coefficients
from goniometer.rollouts.data import RolloutSet
from goniometer.seeds import derive
from goniometer.training.batches import Batches, Source
from goniometer.training.columns import Columns, accelerator_for
from goniometer.training.histogram import Counts, first_and_last
from goniometer.training.sampled import FreshBatches, Sampler


@final
@dataclass(frozen=True)
class TrainingRecord:
    """What happened, by step.

    Attributes:
        state: `non-finite` where a loss or gradient norm was not finite. The network then has the
            last weights at which both were, and the record ends before that step.
        steps: updates that are in the weights.
        losses: sum over units, 0 where the objective selected nothing of the step's prompts.
        gradient_norms: of the divided gradient, before clipping.
        clipped: share of the steps whose norm was above the clip.
        metrics: sums over the step: those of the objective, `units`, and `nll_right`,
            `tokens_right`, `rows_right` and the same of wrong of the rows among its examples.
        coefficients: histograms of the gradient coefficients that reached the network, over the
            first and over the last tenth of the steps.
    """

    state: Literal["trained", "non-finite"]
    steps: int
    losses: tuple[float, ...]
    gradient_norms: tuple[float, ...]
    clipped: float
    metrics: dict[str, tuple[float, ...]]
    coefficients: tuple[Coefficients, ...] = ()


def train(  # noqa: PLR0913 - what a run depends on, by name
    network: nn.Module,
    objective: AbstractObjective,
    rollouts: RolloutSet,
    settings: Training,
    *,
    learning_rate: float,
    order_seed: int,
    columns: Columns,
    pad_token: int,
    on_step: Callable[[int, float], None],
    sampler: Sampler | None = None,
) -> TrainingRecord:
    """Train the weights that require a gradient, in place, with AdamW (arXiv 1711.05101).

    The same inputs give the same bits on the same machine and number of threads, which the caller
    sets. Nothing is drawn from a global generator: the network runs in eval mode.

    Args:
        network: usually with an adapter attached.
        objective: what is wanted.
        rollouts: its prompts make the order, whatever the objective selects of them.
        settings: of the loop; its `learning_rate` gives way to the next argument.
        learning_rate: the peak.
        order_seed: seed of the data order.
        columns: at least what the objective needs, by row of the rollout set.
        pad_token: any valid id.
        on_step: called after each step with its number, from 0, and its loss by unit.
        sampler: what an on-policy objective's completions are sampled by; else it is not used.

    Raises:
        GoniometerError: an objective that selects nothing, a column that it needs and that is
            absent, fewer prompts than a step takes, a precision that cannot be had, no sampler
            for an on-policy objective, or one that does not know a prompt's problem.
    """
    source = _source(objective, rollouts, columns, pad_token, sampler, order_seed)
    order = data_order(sum(1 for _ in rollouts.groups()), settings, order_seed)
    accelerator = accelerator_for(network, settings.precision)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, weight_decay=settings.weight_decay)
    network.eval()
    good = [weight.detach().clone() for weight in weights]
    losses: list[float] = []
    norms: list[float] = []
    logs: list[dict[str, float]] = []
    counts: list[Counts] = []
    for step, prompts in enumerate(order):
        optimiser.zero_grad()
        log, counted = _accumulate(
            accelerator, network, objective, source, settings, step=step, prompts=prompts
        )
        units = max(log["units"], 1.0)
        norm = _divide_and_clip(weights, units, settings.clip)
        loss = log.pop("loss") / units
        if not (math.isfinite(loss) and math.isfinite(norm)):
            _copy(good, weights)
            break
        _copy(weights, good)
        optimiser.param_groups[0]["lr"] = learning_rate * learning_rate_factor(step, settings)
        optimiser.step()
        losses.append(loss)
        norms.append(norm)
        logs.append(log)
        counts.append(counted)
        on_step(step, loss)
    finite = len(losses) == settings.updates
    return TrainingRecord(
        state="trained" if finite else "non-finite",
        steps=len(losses) if finite else max(len(losses) - 1, 0),
        losses=tuple(losses),
        gradient_norms=tuple(norms),
        clipped=sum(norm > settings.clip for norm in norms) / max(len(norms), 1),
        metrics={
            name: tuple(log.get(name, 0.0) for log in logs) for name in sorted(set().union(*logs))
        },
        coefficients=first_and_last(counts, settings.updates),
    )


def data_order(prompts: int, settings: Training, seed: int) -> Iterator[tuple[int, ...]]:
    """Yield the prompts of each step.

    Every epoch is a new permutation, cut into steps; prompts that do not fill a last step wait for
    the next permutation, so no prompt stands twice in a step.

    Raises:
        GoniometerError: fewer prompts than one step takes.
    """
    size = settings.prompts_per_step
    if prompts < size:
        raise GoniometerError(
            "too few prompts for one step",
            key="training.prompts_per_step",
            found=f"{prompts} prompts",
            expected=f"{size} at least",
        )

    def draw() -> Iterator[tuple[int, ...]]:
        per_epoch = prompts // size
        for step in range(settings.updates):
            epoch, place = divmod(step, per_epoch)
            if place == 0:
                generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
                permutation = torch.randperm(prompts, generator=generator).tolist()
            yield tuple(permutation[place * size : (place + 1) * size])

    return draw()


def learning_rate_factor(step: int, settings: Training) -> float:
    """Return the share of the peak at a step: linear warm-up, then a cosine to zero.

    The first step has 1/(w+1) of the peak, not 0 as in transformers' schedule, so that none is
    without effect; zero would be reached one step after the last.
    """
    warm_up = round(settings.warm_up * settings.steps)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (settings.steps - warm_up)))


def _source(
    objective: AbstractObjective,
    rollouts: RolloutSet,
    columns: Columns,
    pad_token: int,
    sampler: Sampler | None,
    order_seed: int,
) -> Source:
    if objective.on_policy:
        if sampler is None:
            raise GoniometerError(
                f"{objective.name} samples while it trains", fix="give train a sampler"
            )
        return FreshBatches(objective, rollouts, sampler, pad_token, order_seed)
    examples = objective.select(rollouts)
    if not len(examples.row):
        raise GoniometerError(f"{objective.name} selects none of the {len(rollouts.rows)} rollouts")
    for need in objective.needs:
        if need not in columns:
            raise GoniometerError(
                f"{objective.name} needs the {need} log-probs", fix="precompute them"
            )
    needed = {need: columns[need] for need in objective.needs}
    return Batches(rollouts, examples, needed, pad_token)


def _parts(batches: Batches, prompts: Sequence[int], settings: Training) -> list[Sequence[int]]:
    """Cut a step's prompts into micro-batches; prompts of similar length go together."""
    if settings.micro_batches == 1:
        return [prompts]
    by_length = sorted(prompts, key=batches.length)
    size = len(prompts) // settings.micro_batches
    return [by_length[start : start + size] for start in range(0, len(prompts), size)]


def _accumulate(
    accelerator: Accelerator,
    network: nn.Module,
    objective: AbstractObjective,
    source: Source,
    settings: Training,
    *,
    step: int,
    prompts: Sequence[int],
) -> tuple[dict[str, float], Counts]:
    """Add up gradients, and return the sums of loss, units and metrics; nothing is divided.

    The loss is differentiated as far as the log-probs, which gives the gradient coefficients, and
    from there on by the network. The loss is NaN where the network can no longer be sampled from.
    """
    sums: dict[str, float] = defaultdict(float, loss=0.0, units=0.0)
    counts = Counts.none()
    try:
        with accelerator.autocast():
            batches, places = source.at(network, step, prompts)
            mismatched = batches.mismatched(network, places)
    except FloatingPointError:
        return sums | {"loss": math.nan}, counts
    for part in _parts(batches, places, settings):
        if not any(batches.positions[prompt] for prompt in part):
            continue
        with accelerator.autocast():
            scored = batches.score(network, part, mismatched)
        loss = objective.loss(scored.batch)
        (slope,) = torch.autograd.grad(loss.total, scored.batch.logprobs)
        torch.autograd.backward(scored.logprobs, slope)
        counts += Counts.of(-slope, scored.batch.mask, scored.right)
        log = scored.log() | {"loss": float(loss.total.detach()), "units": float(loss.units)}
        for name, value in (loss.metrics | log).items():
            sums[name] += value
    return dict(sums), counts


def _divide_and_clip(weights: Sequence[nn.Parameter], units: float, clip: float) -> float:
    """Divide the summed gradient by the units, the one place that does, and return its norm."""
    for weight in weights:
        # Where the objective selected nothing, the gradient of an empty sum: decay goes on.
        weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad / units
    return float(nn.utils.clip_grad_norm_(weights, clip))


def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for source, target in zip(sources, targets, strict=True):
            target.copy_(source)
