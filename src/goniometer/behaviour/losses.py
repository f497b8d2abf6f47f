"""Losses at points of weight space: the base and any mixture of updates on it, in one pass.

A point is a coefficient for each run. Points that mix the same runs share their batches: rows of
one batch are the same texts at different points, so nothing is merged, no row is padded to another
text's length where one text fills a batch, and the updates' low-rank factors are met once. What all
prompts begin with (a chat template's system turn) is read once at each point. A point runs alone,
one moved weight at a time, where its tokens are so many that this is cheaper, and where updates
are no low rank (DoRA, full checkpoints).
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
        rest = [length - shared for length in texts.lengths]
        apart = not stacked or _merging_pays(chosen, min(sum(rest), batch_tokens))
        longest = max(1, batch_tokens // max(shared, *rest)) if stacked else 1
        for part in _parts(mixed, longest):
            coefficients = torch.tensor([[c for _, c in where] for where in part]).double()
            past = _past(base, chosen, coefficients, texts.prompts[0][:shared]) if shared else None
            every = list(range(len(part)))
            for rows in [[row] for row in every] if apart else [every]:
                at = _At(chosen, coefficients[rows], past and partial(past, rows), apart)
                values = _scored(base, at, texts, shared, batch_tokens, advance)
                for row, by_text in zip(rows, values, strict=True):
                    sums[part[row]] = np.bincount(owner, by_text, len(items))
    tokens = np.bincount(owner, [len(c) for c in texts.completions], len(items)).astype(int)
    return Losses(items, tokens, sums)


def _shared(base: LanguageModel, texts: Texts, points: int) -> int:
    """Tokens to read once at each point; 0 where that does not pay, or the network cannot."""
    saved = points * texts.shared * (len(texts.items) - 1)
    return texts.shared if saved >= WORTH_READING and shares_past(base.network) else 0


def _merging_pays(deltas: Sequence[Delta], tokens: int) -> bool:
    """Whether so many tokens at one point cost less with a weight merged for them than by outputs.

    Of a module m x n with ranks that add up to r: r m n products once, against r (m + n) a token.
    """
    shapes = [delta.outline(name).shape for delta in deltas for name in delta]
    return tokens * sum(m + n for m, n in shapes) > sum(m * n for m, n in shapes)


def _parts(points: Sequence[Point], most: int) -> Iterator[Sequence[Point]]:
    """Cut into as few parts as can be, of sizes as equal as can be."""
    count = -(-len(points) // most)
    for part in range(count):
        yield points[part * len(points) // count : (part + 1) * len(points) // count]


@final
@dataclass(frozen=True)
class _At:
    """Points whose rows stand side by side, and what all texts begin with as read there."""

    deltas: Sequence[Delta]
    coefficients: Float[torch.Tensor, "point delta"]
    past: Callable[[int], Any] | None  # of so many texts at each point
    in_flight: bool


def _scored(
    base: LanguageModel,
    at: _At,
    texts: Texts,
    shared: int,
    batch_tokens: int,
    advance: Callable[[int], None],
) -> Float[np.ndarray, "point text"]:
    """NLL of each text at each of some points, summed over its tokens."""
    points = len(at.coefficients)
    found = np.empty((points, len(texts.items)))
    batches = _batches([length - shared for length in texts.lengths], points, batch_tokens)
    for count, alike in groupby(batches, len):
        # One point serves a batch of any size.
        rows = at.coefficients if points == 1 else at.coefficients.repeat(count, 1)
        with perturbed(base.network, at.deltas, rows, in_flight=at.in_flight), torch.no_grad():
            for batch in alike:
                logprobs, _ = token_logprobs(
                    base.network,
                    [texts.prompts[text][shared:] for text in batch for _ in range(points)],
                    [texts.completions[text] for text in batch for _ in range(points)],
                    base.pad_token,
                    past=at.past and partial(at.past, count),
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
) -> Callable[[list[int], int], Any]:
    """Read tokens once at each point; return what makes the past of so many texts at some."""
    network: Any = base.network
    rows = torch.tensor([tokens] * len(coefficients), device=network.device)
    with perturbed(network, deltas, coefficients):
        read = read_past(network, rows, torch.ones_like(rows))
    return lambda some, count: past_of(read, torch.tensor(some * count, device=network.device))


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
