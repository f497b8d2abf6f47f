"""From prompts to a batch: an objective's examples of them, scored by the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from goniometer.model import token_logprobs
from goniometer.objectives.base import Batch, Examples
from goniometer.rollouts.data import RolloutSet
from goniometer.training.buckets import RUN_COST, buckets
from goniometer.training.columns import Columns, mismatched_texts

Text = tuple[tuple[int, ...], tuple[int, ...]]  # a prompt and a completion, as token ids


@final
@dataclass(frozen=True)
class Scored:
    """A batch whose log-probs are a leaf, and where the leaf's gradient is to go on.

    Attributes:
        batch: to be given to the objective.
        logprobs: the same log-probs as the network's, with its graph.
        right: which examples are right.
    """

    batch: Batch
    logprobs: Float[Tensor, "example token"]
    right: Bool[Tensor, " example"]

    def log(self) -> dict[str, float]:
        """Sums over the right and over the wrong rows: rows, tokens, and their NLL in nats."""
        found: dict[str, float] = {}
        for name, side in (("right", self.right), ("wrong", ~self.right)):
            found[f"nll_{name}"] = -float(self.logprobs.detach()[side].sum())
            found[f"tokens_{name}"] = float(self.batch.mask[side].sum())
            found[f"rows_{name}"] = float(side.sum())
        return found


@final
@dataclass(frozen=True)
class Batches:
    """The examples of one objective, to be had by prompt.

    Attributes:
        rollouts: their prompts are numbered from 0, in order.
        examples: what the objective selected of them.
        columns: the constants that stand beside the log-probs.
        pad_token: any valid id.
    """

    rollouts: RolloutSet
    examples: Examples
    columns: Columns
    pad_token: int

    def at(
        self, network: nn.Module, step: int, prompts: Sequence[int]
    ) -> "tuple[Batches, Sequence[int]]":
        """Give the same batches at every step: see `Source`."""
        return self, prompts

    @cached_property
    def positions(self) -> tuple[tuple[int, ...], ...]:
        """Positions among the examples, by prompt; empty where nothing was selected of one."""
        groups = [indices for _, indices in self.rollouts.groups()]
        prompt_of = {row: prompt for prompt, rows in enumerate(groups) for row in rows}
        positions: list[list[int]] = [[] for _ in groups]
        for position, row in enumerate(self.examples.row.tolist()):
            positions[prompt_of[row]].append(position)
        return tuple(map(tuple, positions))

    @cached_property
    def _mismatched_texts(self) -> list[Text]:
        return mismatched_texts(self.rollouts)

    def length(self, prompt: int) -> int:
        """Tokens of the longest example of a prompt, 0 where there is none."""
        rows = (self.rollouts.rows[int(self.examples.row[p])] for p in self.positions[prompt])
        return max((len(r.prompt_tokens) + len(r.completion_tokens) for r in rows), default=0)

    def score(
        self,
        network: nn.Module,
        prompts: Sequence[int],
        mismatched: Float[Tensor, " prompt"] | None = None,
    ) -> Scored:
        """Score all examples of some prompts, of which there must be one at least.

        A row that stands in several examples is run once.

        Args:
            network: scores them, with gradient.
            prompts: whose examples.
            mismatched: as `mismatched` returned for all prompts of the step.
        """
        chosen = torch.tensor([p for prompt in prompts for p in self.positions[prompt]])
        numbers = self.examples.row[chosen].tolist()
        places = {number: place for place, number in enumerate(dict.fromkeys(numbers))}
        rows = [self.rollouts.rows[number] for number in numbers]
        texts = [
            (self.rollouts.rows[n].prompt_tokens, self.rollouts.rows[n].completion_tokens)
            for n in places
        ]
        of_rows, mask_of_rows = _by_length(network, texts, self.pad_token)
        index = torch.tensor([places[number] for number in numbers], device=of_rows.device)
        logprobs, mask = of_rows[index], mask_of_rows[index]

        def beside(values: Sequence[Sequence[float]]) -> Tensor:
            flat = logprobs.new_tensor([value for number in numbers for value in values[number]])
            return logprobs.new_zeros(mask.shape).masked_scatter(mask, flat)

        needed = {n: beside(values) for n, values in self.columns.items() if n != "mismatched"}
        batch = Batch(
            logprobs=logprobs.detach().requires_grad_(),
            mask=mask,
            coefficient=self.examples.coefficient[chosen].to(logprobs),
            pair=self.examples.pair[chosen].to(logprobs.device),
            mismatched=mismatched,
            **needed,
        )
        right = torch.tensor([row.correct for row in rows], device=mask.device)
        return Scored(batch, logprobs, right)

    def mismatched(
        self, network: nn.Module, prompts: Sequence[int]
    ) -> Float[Tensor, " prompt"] | None:
        """Log pi_theta - log pi_ref of another prompt's completion after each prompt.

        Of the prompts that have examples, without gradient; None where no column asks for it. All
        prompts of a step go together, so that accumulation changes nothing.
        """
        if "mismatched" not in self.columns:
            return None
        chosen = [prompt for prompt in prompts if self.positions[prompt]]
        texts = [self._mismatched_texts[prompt] for prompt in chosen]
        if not texts:
            return None
        with torch.no_grad():
            logprobs, _ = _by_length(network, texts, self.pad_token)
        reference = [sum(self.columns["mismatched"][prompt]) for prompt in chosen]
        return logprobs.sum(1) - logprobs.new_tensor(reference)


@runtime_checkable
class Source(Protocol):
    """Where the batches of a step come from: `Batches`, or completions just sampled."""

    def at(
        self, network: nn.Module, step: int, prompts: Sequence[int]
    ) -> tuple[Batches, Sequence[int]]:
        """Return the batches of a step, and the numbers of its prompts in them.

        Raises:
            FloatingPointError: the network gives NaN where it is to be sampled from.
        """


def _by_length(
    network: nn.Module, texts: Sequence[Text], pad_token: int
) -> tuple[Float[Tensor, "row token"], Bool[Tensor, "row token"]]:
    """`token_logprobs` in runs of similar length, in the order of the texts."""
    device = next(network.parameters()).device
    runs = buckets([len(p) + len(c) for p, c in texts], RUN_COST.get(device.type, 0))
    scored = [
        token_logprobs(
            network, [texts[row][0] for row in run], [texts[row][1] for row in run], pad_token
        )
        for run in runs
    ]
    width = max(mask.shape[1] for _, mask in scored)
    order = torch.tensor([row for run in runs for row in run], device=device).argsort()

    def joined(parts: Sequence[Tensor]) -> Tensor:
        wide = [nn.functional.pad(part, (0, width - part.shape[1])) for part in parts]
        return torch.cat(wide)[order]

    return joined([logprobs for logprobs, _ in scored]), joined([mask for _, mask in scored])
