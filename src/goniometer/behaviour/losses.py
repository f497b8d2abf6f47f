"""Losses at points of weight space: the base and any mixture of updates on it, in one pass.

A point is a coefficient for each run. Points that mix the same runs share their batches: rows of
one batch are the same texts at different points, so nothing is merged, no row is padded to another
text's length where one text fills a batch, and the updates' low-rank factors are met once. What all
prompts begin with (a chat template's system turn) is read once at each point. Updates that are no
low rank (DoRA, full checkpoints) run a point at a time, one moved weight at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int

from goniometer.behaviour.points import BATCH_TOKENS, Point
from goniometer.behaviour.texts import Texts
from goniometer.deltas import Delta
from goniometer.errors import GoniometerError
from goniometer.model import (
    LanguageModel,
    is_low_rank,
    past_of,
    perturbed,
    read_past,
    require_fit,
    shares_past,
    token_logprobs,
)
from goniometer.results import BASE

WORTH_READING = 256  # tokens saved in all; fewer do not pay one more run of the network


@final
@dataclass(frozen=True, eq=False)
class Losses:
    """Negative log-likelihood at each point, in nats, summed by item."""

    items: tuple[str, ...]
    tokens: Int[np.ndarray, " item"]
    sums: Mapping[Point, Float[np.ndarray, " item"]]

    def at(self, where: Point) -> float:
        """NLL per token: the sum over all tokens by their number; NaN or Inf where one is."""
        return float(self.sums[where].sum() / self.tokens.sum())


def losses_at(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    points: Iterable[Point],
    texts: Texts,
    *,
    batch_tokens: int = BATCH_TOKENS,
    advance: Callable[[int], None] = lambda _: None,
) -> Losses:
    """Measure the texts' NLL at each point, equal points once.

    Args:
        base: what the updates are added to.
        deltas: updates by run.
        points: of these runs.
        texts: the same at every point; an item's texts are summed.
        batch_tokens: rows x length of a batch, but one row at least.
        advance: called with numbers of rows; there are points x texts of them.

    Raises:
        GoniometerError: an update or a text that does not fit the base, before anything runs.
    """
    for run, delta in deltas.items():
        if run == BASE:
            raise GoniometerError("a run has the name of the base", key=run, fix="rename it")
        require_fit(base.network, run, delta)
    texts.require_fit(base)
    many = {run for run, delta in deltas.items() if is_low_rank(base.network, delta)}
    mixtures: dict[tuple[str, ...], list[Point]] = {}
    for where in dict.fromkeys(points):
        mixtures.setdefault(tuple(run for run, _ in where), []).append(where)
    items = tuple(dict.fromkeys(texts.items))
    place = {item: i for i, item in enumerate(items)}
    owner = np.array([place[item] for item in texts.items])
    sums: dict[Point, np.ndarray] = {}
    for runs, mixed in mixtures.items():
        chosen = [deltas[run] for run in runs]
        stacked = many.issuperset(runs)
        shared = _shared(base, texts, len(mixed)) if stacked else 0
        longest = max(1, batch_tokens // (max(texts.lengths) - shared)) if stacked else 1
        for part in _parts(mixed, longest):
            coefficients = torch.tensor([[c for _, c in where] for where in part]).double()
            values = _scored(base, chosen, coefficients, texts, shared, batch_tokens, advance)
            for where, by_text in zip(part, values, strict=True):
                sums[where] = np.bincount(owner, by_text, len(items))
    tokens = np.bincount(owner, [len(c) for c in texts.completions], len(items)).astype(int)
    return Losses(items, tokens, sums)


def _shared(base: LanguageModel, texts: Texts, points: int) -> int:
    """Tokens to read once at each point; 0 where that does not pay, or the network cannot."""
    saved = points * texts.shared * (len(texts.items) - 1)
    return texts.shared if saved >= WORTH_READING and shares_past(base.network) else 0


def _parts(points: Sequence[Point], most: int) -> Iterator[Sequence[Point]]:
    """Cut into as few parts as can be, of sizes as equal as can be."""
    count = -(-len(points) // most)
    for part in range(count):
        yield points[part * len(points) // count : (part + 1) * len(points) // count]


def _scored(
    base: LanguageModel,
    deltas: Sequence[Delta],
    coefficients: Float[torch.Tensor, "point delta"],
    texts: Texts,
    shared: int,
    batch_tokens: int,
    advance: Callable[[int], None],
) -> Float[np.ndarray, "point text"]:
    """NLL of each text at each of some points, summed over its tokens."""
    points = len(coefficients)
    found = np.empty((points, len(texts.items)))
    past = _past(base, deltas, coefficients, texts.prompts[0][:shared]) if shared else None
    batches = _batches([length - shared for length in texts.lengths], points, batch_tokens)
    for count, alike in groupby(batches, len):
        # One point serves a batch of any size.
        rows = coefficients if points == 1 else coefficients.repeat(count, 1)
        with perturbed(base.network, deltas, rows, in_flight=True), torch.no_grad():
            for batch in alike:
                logprobs, _ = token_logprobs(
                    base.network,
                    [texts.prompts[text][shared:] for text in batch for _ in range(points)],
                    [texts.completions[text] for text in batch for _ in range(points)],
                    base.pad_token,
                    past=None if past is None else partial(past, count),
                )
                by_row = -logprobs.double().sum(1).view(count, points)
                found[:, batch] = by_row.T.cpu().numpy()
                advance(count * points)
    return found


def _past(
    base: LanguageModel,
    deltas: Sequence[Delta],
    coefficients: Float[torch.Tensor, "point delta"],
    tokens: Sequence[int],
) -> Callable[[int], Any]:
    """Read tokens once at each point; return what makes the past of so many texts at each."""
    network: Any = base.network
    rows = torch.tensor([tokens] * len(coefficients), device=network.device)
    with perturbed(network, deltas, coefficients, in_flight=True):
        read = read_past(network, rows, torch.ones_like(rows))
    each = torch.arange(len(coefficients), device=network.device)
    return lambda count: past_of(read, each.repeat(count))


def _batches(lengths: Sequence[int], points: int, batch_tokens: int) -> Iterator[list[int]]:
    """Yield texts of similar length, shortest first, as many as fit a batch at all points."""
    batch: list[int] = []
    for text in sorted(range(len(lengths)), key=lambda text: lengths[text]):
        if batch and (len(batch) + 1) * points * lengths[text] > batch_tokens:
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch
