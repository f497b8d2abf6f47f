"""Log-probs of tokens from hidden states, a chunk of positions at a time.

The logits of one chunk are all that ever lives of the vocabulary's width. log p(y_i) depends on its
own position's hidden state alone, so its gradient,

    d log p(y_i) / d h_i = (W[y_i] - sum_v p_iv W[v]) / temperature,

is taken while the chunk's logits are there, and the backward pass only multiplies by what comes
from above: no logits are computed twice. That of the head's own weights is a sum over positions,
for which a head that learns computes the chunk's logits again.
"""

from collections.abc import Iterator
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import linear

CHUNK = 2**24  # logits at a time: 64 MiB in float32


def head_logprobs(
    hidden: Float[Tensor, "position width"],
    weight: Float[Tensor, "vocabulary width"],
    bias: Float[Tensor, " vocabulary"] | None,
    tokens: Int[Tensor, " position"],
    temperature: float = 1.0,
    chunk: int = CHUNK,
) -> Float[Tensor, " position"]:
    """Return log softmax((W h + b) / temperature)[token] in nats by position, with gradient.

    The product runs in autocast's precision where that is on, else in that of `hidden`; the
    softmax in float32 or better.

    Args:
        hidden: what the head is given.
        weight: of the head; its gradient is computed where it requires one.
        bias: of the head, or None.
        tokens: the realised tokens.
        temperature: divides the logits.
        chunk: logits at a time; the result does not depend on it but for rounding.
    """
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    size = max(1, chunk // weight.shape[0])
    # Cast here, under autograd, once and not for every chunk.
    cast = (hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in cast):
        found: Tensor = _HeadLogprobs.apply(*cast, tokens, temperature, size)  # type: ignore[no-untyped-call]
        return found
    with torch.autocast(kind, enabled=False):
        return torch.cat(
            [
                _scores(cast[0][part], cast[1], cast[2], tokens[part], temperature)[0]
                for part in _parts(len(tokens), size)
            ]
        )


@final
class _HeadLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        tokens: Tensor,
        temperature: float,
        size: int,
    ) -> Tensor:
        ctx.temperature, ctx.size = temperature, size
        ctx.learns = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        chosen, slopes = [], []
        with torch.autocast(hidden.device.type, enabled=False):
            for part in _parts(len(tokens), size):
                values, logprobs = _scores(hidden[part], weight, bias, tokens[part], temperature)
                chosen.append(values)
                if not ctx.learns:
                    slopes.append(_slope(logprobs, tokens[part], temperature).to(weight) @ weight)
        if ctx.learns:
            ctx.save_for_backward(tokens, hidden, weight, bias)
        else:
            ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(chosen)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.learns:
            (slope,) = ctx.saved_tensors
            return (above[:, None] * slope).to(slope), None, None, None, None, None
        tokens, hidden, weight, bias = ctx.saved_tensors
        to_hidden = torch.empty_like(hidden)
        # Summed over the chunks in the precision of the softmax.
        to_weight = torch.zeros_like(weight, dtype=above.dtype)
        to_bias = torch.zeros_like(weight[:, 0], dtype=above.dtype)
        with torch.autocast(hidden.device.type, enabled=False):
            for part in _parts(len(tokens), ctx.size):
                _, logprobs = _scores(hidden[part], weight, bias, tokens[part], ctx.temperature)
                slope = _slope(logprobs, tokens[part], ctx.temperature)
                slope *= above[part, None]
                to_bias += slope.sum(0)
                narrow = slope.to(weight)
                to_hidden[part] = narrow @ weight
                to_weight += narrow.mT @ hidden[part]
        return (
            to_hidden,
            to_weight.to(weight),
            None if bias is None else to_bias.to(bias),
            None,
            None,
            None,
        )


def _parts(positions: int, size: int) -> Iterator[slice]:
    """Cut the positions into chunks; one that is empty where there are none."""
    for start in range(0, max(positions, 1), size):
        yield slice(start, start + size)


def _scores(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, tokens: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Log-probs of the tokens, and of the whole vocabulary, at some positions."""
    logits = linear(hidden, weight, bias)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if temperature != 1:
        logits /= temperature
    logits -= logits.logsumexp(1, keepdim=True)
    return logits.gather(1, tokens[:, None])[:, 0], logits


def _slope(logprobs: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """Slope of log p(y_i) by the logits, (one at y_i - p) / temperature, over the log-probs."""
    slope = logprobs.exp_().neg_()
    slope[torch.arange(len(tokens), device=tokens.device), tokens] += 1
    return slope if temperature == 1 else slope.div_(temperature)
