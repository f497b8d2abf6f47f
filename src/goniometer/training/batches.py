"""From prompts to a batch: an objective's examples of them, scored by the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor, nn

from goniometer.model import token_logprobs
from goniometer.objectives.base import Batch, Examples
from goniometer.rollouts.data import RolloutSet
from goniometer.training.columns import Columns


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

    @cached_property
    def positions(self) -> tuple[tuple[int, ...], ...]:
        """Positions among the examples, by prompt; empty where nothing was selected of one."""
        groups = [indices for _, indices in self.rollouts.groups()]
        prompt_of = {row: prompt for prompt, rows in enumerate(groups) for row in rows}
        positions: list[list[int]] = [[] for _ in groups]
        for position, row in enumerate(self.examples.row.tolist()):
            positions[prompt_of[row]].append(position)
        return tuple(map(tuple, positions))

    def score(self, network: nn.Module, prompts: Sequence[int]) -> tuple[Batch, dict[str, float]]:
        """Score all examples of some prompts, of which there must be one at least.

        Returns:
            The batch, and the negative log-likelihood in nats and the number of tokens of its
            right and of its wrong rows.
        """
        chosen = torch.tensor([p for prompt in prompts for p in self.positions[prompt]])
        numbers = self.examples.row[chosen].tolist()
        rows = [self.rollouts.rows[number] for number in numbers]
        logprobs, mask = token_logprobs(
            network,
            [row.prompt_tokens for row in rows],
            [row.completion_tokens for row in rows],
            self.pad_token,
        )

        def beside(values: Sequence[Sequence[float]]) -> Tensor:
            flat = logprobs.new_tensor([value for number in numbers for value in values[number]])
            return logprobs.new_zeros(mask.shape).masked_scatter(mask, flat)

        batch = Batch(
            logprobs=logprobs,
            mask=mask,
            coefficient=self.examples.coefficient[chosen].to(logprobs),
            pair=self.examples.pair[chosen].to(logprobs.device),
            **{need: beside(values) for need, values in self.columns.items()},
        )
        right = torch.tensor([row.correct for row in rows], device=mask.device)
        log: dict[str, float] = {}
        for name, side in (("right", right), ("wrong", ~right)):
            log[f"nll_{name}"] = -float(logprobs.detach()[side].sum())
            log[f"tokens_{name}"] = float(mask[side].sum())
        return batch, log
