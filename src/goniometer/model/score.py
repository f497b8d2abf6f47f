"""Score completions: log-probs of their tokens, with gradient or many without."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Cache

from goniometer.errors import GoniometerError
from goniometer.model.generate import by_length
from goniometer.model.head import head_logprobs
from goniometer.model.language_model import LanguageModel


def token_logprobs(
    network: nn.Module,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    pad_token: int,
    temperature: float = 1.0,
    *,
    past: Callable[[], Cache] | None = None,
) -> tuple[Float[Tensor, "row token"], Bool[Tensor, "row token"]]:
    """Score the realised completion tokens: log pi(y_t | x, y_<t) in nats, with gradient.

    Rows are padded on the right: causal attention never looks there, so no attention mask is
    needed and positions count from 0 as in a lone row. The head runs only over the positions that
    predict completion tokens, a chunk of them at a time, and the softmax in float32 or better: no
    tensor of rows by length by vocabulary lives, forward or backward.

    Args:
        network: a causal language model, wrapped (PEFT, DDP) or not.
        prompts: token ids by row, one at least.
        completions: token ids by row, end token included where there is one.
        pad_token: any valid id; what it is does not matter.
        temperature: divides the logits: 1 for the model, else for a policy that sampled with it.
        past: makes keys and values by row of tokens that come before the prompts, see `read_past`;
            called each time that the network runs, which adds what it reads.

    Returns:
        The log-probs, 0 where the mask is False, and the mask of completion tokens. The width is
        that of the longest completion.

    Raises:
        GoniometerError: a prompt without tokens: nothing predicts its first completion token.
    """
    if not all(prompts):
        raise GoniometerError("a prompt has no tokens", expected="one at least")
    device = next(network.parameters()).device
    texts = [(*p, *c) for p, c in zip(prompts, completions, strict=True)]
    length = max(map(len, texts))
    tokens = torch.tensor([[*t, *[pad_token] * (length - len(t))] for t in texts], device=device)
    starts = torch.tensor([len(p) for p in prompts], device=device)
    lengths = torch.tensor([len(c) for c in completions], device=device)
    mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
    row, offset = mask.nonzero(as_tuple=True)
    column = starts[row] + offset
    chosen = _logprobs_at(network, tokens, row, column, temperature, past)
    return chosen.new_zeros(mask.shape).masked_scatter(mask, chosen), mask


def _logprobs_at(
    network: nn.Module,
    tokens: Int[Tensor, "row length"],
    row: Int[Tensor, " position"],
    column: Int[Tensor, " position"],
    temperature: float,
    past: Callable[[], Cache] | None,
) -> Float[Tensor, " position"]:
    """Log-probs of the tokens at some places of the batch.

    Where the logits are a linear head's of the decoder's hidden states, the head runs over those
    places only. Else (soft-capped or scaled logits, an adapter or a hook on the head) the logits
    are the network's own, of all columns from the first place on.
    """
    found = _head_and_hidden(network, tokens, past)
    if found is not None:
        head, hidden = found
        at = hidden[row, column - 1]
        return head_logprobs(at, head.weight, head.bias, tokens[row, column], temperature)
    length = tokens.shape[1]
    first = int(column.min()) - 1 if len(column) else length - 1
    logits = _run(network, tokens, length - first, past)
    scores = logits[row, column - 1 - first]
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) / temperature
    return -nn.functional.cross_entropy(scores, tokens[row, column], reduction="none")


def _head_and_hidden(
    network: nn.Module, tokens: Int[Tensor, "row length"], past: Callable[[], Cache] | None
) -> tuple[nn.Linear, Float[Tensor, "row length width"]] | None:
    """Run the network for what its head is given; None where its logits are not a linear head's.

    The whole network runs, whatever wraps it, with the logits of the last column alone: they show
    whether something comes between the decoder, the head and the logits.
    """
    causal: Any = next(
        (m for m in network.modules() if hasattr(type(m), "get_output_embeddings")), None
    )
    head = causal.get_output_embeddings() if causal is not None else None
    if type(head) is not nn.Linear or head._forward_hooks or head._forward_pre_hooks:
        return None
    seen: dict[str, Tensor] = {}

    def at_head(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen["given"], seen["returned"] = inputs[0], output

    def at_decoder(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen["hidden"] = output[0]

    handles = (
        head.register_forward_hook(at_head),
        causal.get_decoder().register_forward_hook(at_decoder),
    )
    try:
        logits = _run(network, tokens, 1, past)
    finally:
        for handle in handles:
            handle.remove()
    hidden = seen["hidden"]
    if torch.equal(seen["given"], hidden[:, -1:]) and torch.equal(seen["returned"], logits):
        return head, hidden
    return None


def _run(
    network: nn.Module,
    tokens: Int[Tensor, "row length"],
    kept: int,
    past: Callable[[], Cache] | None,
) -> Float[Tensor, "row kept vocabulary"]:
    """Run the network for the logits of the last columns."""
    cached = {"use_cache": False} if past is None else {"past_key_values": past()}
    logits: Tensor = network(input_ids=tokens, logits_to_keep=kept, **cached).logits
    return logits


def completion_logprobs(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    *,
    batch_size: int,
    advance: Callable[[int], None],
    temperature: float = 1.0,
) -> list[tuple[float, ...]]:
    """Score many completions without gradient: `token_logprobs` in batches of similar length.

    Returns:
        The log-probs of each completion's tokens in nats, in the order of the rows.
    """
    texts = [(*p, *c) for p, c in zip(prompts, completions, strict=True)]
    done: dict[int, tuple[float, ...]] = {}
    for rows in by_length(texts, batch_size):
        with torch.no_grad():
            logprobs, mask = token_logprobs(
                model.network,
                [prompts[row] for row in rows],
                [completions[row] for row in rows],
                model.pad_token,
                temperature,
            )
        for row, values, kept in zip(rows, logprobs, mask, strict=True):
            done[row] = tuple(values[kept].tolist())
        advance(len(rows))
    return [done[row] for row in range(len(texts))]
