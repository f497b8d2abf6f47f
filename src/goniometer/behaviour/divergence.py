"""How far a run has moved from its base: forward KL on what the base itself says.

    KL(base || run) = E_{y ~ base(.|x)} sum_t sum_v p_base(v | x, y_<t)
                          (log p_base(v | x, y_<t) - log p_run(v | x, y_<t))

in nats a completion: summed over its tokens and the whole vocabulary, not only the tokens drawn,
and averaged over prompts. arXiv 2509.04259 finds it, on the task, to predict what is forgotten.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from goniometer.behaviour.placed import Placed
from goniometer.config import Divergence
from goniometer.deltas import Delta
from goniometer.model import LanguageModel, generate
from goniometer.results import Reading
from goniometer.tasks import Problem

CHUNK = 2**22  # logits of one model at a time, but one row at least
# An update of no low rank moves every weight anew for each batch: its batches are as many logits as
# the network has weights over this, so that they are few and less than a merged copy.
WEIGHTS_A_LOGIT = 8

Text = tuple[tuple[int, ...], tuple[int, ...]]  # a prompt and its completion, as token ids


def base_texts(
    base: LanguageModel,
    problems: Sequence[Problem],
    settings: Divergence,
    *,
    seed: int,
    batch_size: int,
    advance: Callable[[int], None],
) -> tuple[Text, ...]:
    """Let the base complete each problem once, at temperature 1; `advance` counts problems."""
    prompts = [base.encode_prompt(problem.question) for problem in problems]
    return base_completions(
        base, prompts, settings, seed=seed, batch_size=batch_size, advance=advance
    )


def base_completions(
    base: LanguageModel,
    prompts: Sequence[tuple[int, ...]],
    settings: Divergence,
    *,
    seed: int,
    batch_size: int,
    advance: Callable[[int], None],
) -> tuple[Text, ...]:
    """As `base_texts`, of prompts in token ids."""
    completions = generate(
        base,
        prompts,
        max_new_tokens=settings.max_new_tokens,
        temperature=1.0,
        seed=seed,
        batch_size=batch_size,
        advance=advance,
    )
    return tuple((p, c.tokens) for p, c in zip(prompts, completions, strict=True))


@final
@dataclass(frozen=True)
class Divergences:
    """Forward KL by prompt, in nats a completion; NaN where the run's log-probs are."""

    values: tuple[float, ...]

    @property
    def mean(self) -> Reading:
        """Mean over prompts."""
        mean = fmean(self.values)
        finite = mean < float("inf")
        return Reading(value=mean) if finite else Reading(undefined="the run gives no finite KL")

    @property
    def error(self) -> float | None:
        """Standard error of the mean over prompts; None where there is no mean or one prompt."""
        if self.mean.value is None or len(self.values) < 2:
            return None
        return float(stdev(self.values) / len(self.values) ** 0.5)

    def save(self, path: Path) -> None:
        """Write as JSON, whose numbers are exact."""
        path.write_text(json.dumps(self.values) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Divergences":
        """Read what `save` wrote."""
        return cls(tuple(json.loads(path.read_text())))


def forward_kl(
    placed: Placed,
    texts: Sequence[Text],
    *,
    advance: Callable[[int], None] = lambda _: None,
    chunk: int = CHUNK,
) -> Divergences:
    """Measure KL(base || run) on texts that the base has written, in float64.

    Args:
        placed: the run; its base is what it is measured from.
        texts: as `base_texts` gives them.
        advance: called with the number of texts.
        chunk: logits of one model at a time; the result does not depend on it but for rounding.
    """
    return _divergences(placed.base, {"": placed}, texts, advance, chunk)[""]


def forward_kls(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    texts: Sequence[Text],
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Divergences]:
    """Measure several runs as `forward_kl` does one: a batch is read once by the base for all.

    Args:
        base: what the updates belong to.
        deltas: updates by run.
        texts: as `base_texts` gives them.
        advance: called with numbers of texts; there are runs x texts of them.
    """
    placed = {run: Placed(base, delta) for run, delta in deltas.items()}
    weights = sum(weight.numel() for weight in base.network.parameters())
    large = max(CHUNK, weights // WEIGHTS_A_LOGIT)
    chunks = {run: large if one.whole else CHUNK for run, one in placed.items()}
    found: dict[str, Divergences] = {}
    for chunk in sorted(set(chunks.values())):
        alike = {run: one for run, one in placed.items() if chunks[run] == chunk}
        found |= _divergences(base, alike, texts, advance, chunk)
    return {run: found[run] for run in deltas}


def _divergences(
    base: LanguageModel,
    runs: Mapping[str, Placed],
    texts: Sequence[Text],
    advance: Callable[[int], None],
    chunk: int,
) -> dict[str, Divergences]:
    vocabulary = int(base.network.get_output_embeddings().weight.shape[0])  # type: ignore[operator, union-attr]
    step = max(1, min(chunk, CHUNK) // vocabulary)
    found: dict[str, dict[int, float]] = {run: {} for run in runs}
    for rows in _by_size(texts, chunk // vocabulary):
        chosen = [texts[row] for row in rows]
        own, owner = _logits(base, chosen)
        for run, placed in runs.items():
            positions = _by_position(placed, chosen, own, step)
            sums = torch.zeros(len(rows), dtype=torch.float64, device=owner.device)
            sums.index_add_(0, owner, positions)
            found[run] |= dict(zip(rows, sums.tolist(), strict=True))
            advance(len(rows))
    return {
        run: Divergences(tuple(of[row] for row in range(len(texts)))) for run, of in found.items()
    }


def _by_position(
    placed: Placed, texts: Sequence[Text], base: Float[Tensor, "position vocabulary"], step: int
) -> Float[Tensor, " position"]:
    """KL of one run where the base's logits are these, so many positions at a time."""
    with placed.running(in_flight=True) as model:
        run, _ = _logits(model, texts)
    parts = [_kl(base[i : i + step], run[i : i + step]) for i in range(0, len(base), step)]
    return torch.cat(parts)


def _by_size(texts: Sequence[Text], positions: int) -> Iterator[list[int]]:
    """Yield rows of similar length, together of at most so many positions, one row at least."""
    rows: list[int] = []
    for row in sorted(range(len(texts)), key=lambda row: len(texts[row][0]) + len(texts[row][1])):
        if rows and _width([texts[r] for r in (*rows, row)]) * (len(rows) + 1) > positions:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _width(texts: Sequence[Text]) -> int:
    """Columns whose logits some row needs."""
    return max(len(p) + len(c) for p, c in texts) - min(len(p) for p, _ in texts) + 1


def _logits(
    model: LanguageModel, texts: Sequence[Text]
) -> tuple[Float[Tensor, "position vocabulary"], Int[Tensor, " position"]]:
    """Logits that predict the completions' tokens, and which text each position is of."""
    length, kept = max(len(p) + len(c) for p, c in texts), _width(texts)
    device = next(model.network.parameters()).device
    padded = [[*p, *c, *[model.pad_token] * (length - len(p) - len(c))] for p, c in texts]
    places = [
        (row, len(p) - 1 + t - (length - kept))
        for row, (p, c) in enumerate(texts)
        for t in range(len(c))
    ]
    row, column = torch.tensor(places, device=device).T
    with torch.no_grad():
        tokens = torch.tensor(padded, device=device)
        # Right padding, which causal attention does not look at.
        output = model.network(input_ids=tokens, use_cache=False, logits_to_keep=kept)
        return output.logits[row, column], row


def _kl(
    base: Float[Tensor, "position vocabulary"], run: Float[Tensor, "position vocabulary"]
) -> Float[Tensor, " position"]:
    p, q = base.double().log_softmax(1), run.double().log_softmax(1)
    return (p.exp() * (p - q)).sum(1)
