"""Complete prompts, by transformers' own generate."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from goniometer.model.language_model import LanguageModel
from goniometer.model.past import past_of, read_past, shares_past
from goniometer.seeds import derive


@final
@dataclass(frozen=True)
class Generation:
    """A completion; its tokens end with the end token unless `truncated`."""

    tokens: tuple[int, ...]
    truncated: bool


def _made(number: int, make: Callable[[], list[Generation]]) -> list[Generation]:
    return make()


def generate(  # noqa: PLR0913 - what completions depend on, by name
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    batch_size: int,
    advance: Callable[[int], None],
    through: Callable[[int, Callable[[], list[Generation]]], list[Generation]] = _made,
    finite: bool = False,
) -> list[Generation]:
    """Complete prompts by transformers' own generate, from the untruncated distribution.

    Batches hold prompts of similar length. Each has its own seed, and the global generator is
    left as it was. Equal inputs on equally many threads give equal completions; another batch
    size gives other draws of the same distribution.

    Args:
        model: what completes; its network may be `perturbed`.
        prompts: token ids by row.
        max_new_tokens: a completion that has not ended by then is truncated.
        temperature: divides the logits; 0 is greedy.
        seed: of all draws.
        batch_size: rows at a time.
        advance: called with the number of rows after each batch.
        through: called with each batch's number and what makes it; it returns the batch, made now
            or by an earlier process.
        finite: stop before a token is drawn from what is no distribution, NaN or infinite logits.

    Returns:
        One generation a prompt, in the order of the prompts.

    Raises:
        FloatingPointError: with `finite`, at the first such token of any row.
    """
    sampled = temperature > 0
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=sampled,
        temperature=temperature if sampled else None,
        top_k=0 if sampled else None,
        top_p=1.0 if sampled else None,
        eos_token_id=model.end_token,
        pad_token_id=model.pad_token,
    )
    done: dict[int, Generation] = {}
    for number, rows in enumerate(by_length(prompts, batch_size)):
        batch = [prompts[row] for row in rows]
        drawn = derive(seed, "batch", number)
        made = through(number, partial(_batch, model, batch, settings, drawn, finite))
        done.update(zip(rows, made, strict=True))
        advance(len(rows))
    return [done[row] for row in range(len(prompts))]


def _batch(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    settings: GenerationConfig,
    seed: int,
    finite: bool,
) -> list[Generation]:
    """Complete prompts at once, padded on the left; prompts that stand there twice are read once.

    Draws come in the order of the rows, whatever is shared.
    """
    network: Any = model.network
    distinct = {
        tuple(prompt): number for number, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))
    }
    width = max(map(len, distinct))
    gaps = [width - len(prompt) for prompt in distinct]
    padded = [[*[model.pad_token] * g, *p] for g, p in zip(gaps, distinct, strict=True)]
    tokens = torch.tensor(padded, device=network.device)
    mask = (torch.arange(width, device=network.device) >= tokens.new_tensor(gaps)[:, None]).long()
    rows = tokens.new_tensor([distinct[tuple(prompt)] for prompt in prompts])
    read = {}
    if len(distinct) < len(prompts) and width > 1 and shares_past(network):
        past = read_past(network, tokens[:, :-1], mask[:, :-1])
        read = {"past_key_values": past_of(past, rows)}
    checks = LogitsProcessorList([_Finite(settings.temperature or 1.0)] if finite else [])
    with _seeded(seed, network.device):
        output = network.generate(
            input_ids=tokens[rows], attention_mask=mask[rows], generation_config=settings,
            logits_processor=checks, **read,
        )  # fmt: skip
    return [_until(model.end_token, completion) for completion in output[:, width:].tolist()]


@final
class _Finite(LogitsProcessor):  # type: ignore[misc]
    """Lets logits pass unless some row of them, over the temperature, is no distribution."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(
        self, input_ids: Int[Tensor, "row length"], scores: Float[Tensor, "row vocabulary"]
    ) -> Float[Tensor, "row vocabulary"]:
        # The largest is NaN where one is; -inf elsewhere is a token that cannot be drawn.
        if not bool((scores.amax(1) / self.temperature).isfinite().all()):
            # On a GPU a draw from NaN would take the process down.
            raise FloatingPointError("NaN or infinite logits where a token is to be drawn")
        return scores


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Fence the global generator, which is the only one that transformers draws from."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _until(end_token: int, completion: list[int]) -> Generation:
    if end_token not in completion:
        return Generation(tuple(completion), truncated=True)
    return Generation(tuple(completion[: completion.index(end_token) + 1]), truncated=False)


def by_length(texts: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    """Yield the rows in batches of similar length, shortest first."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
