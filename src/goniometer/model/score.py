"""Score completions: log-probs of their tokens, with gradient or many without."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from goniometer.errors import GoniometerError
from goniometer.model.generate import by_length
from goniometer.model.language_model import LanguageModel


def token_logprobs(
    network: nn.Module,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    pad_token: int,
    temperature: float = 1.0,
) -> tuple[Float[Tensor, "row token"], Bool[Tensor, "row token"]]:
    """Score the realised completion tokens: log pi(y_t | x, y_<t) in nats, with gradient.

    Rows are padded on the right: causal attention never looks there, so no attention mask is
    needed and positions count from 0 as in a lone row. The head runs from the last token of the
    shortest prompt on; the softmax only over the positions that predict completion tokens, in
    float32 or better.

    Args:
        network: a causal language model, wrapped (PEFT, DDP) or not.
        prompts: token ids by row, one at least.
        completions: token ids by row, end token included where there is one.
        pad_token: any valid id; what it is does not matter.
        temperature: divides the logits: 1 for the model, else for a policy that sampled with it.

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
    first = int(starts.min()) - 1  # the column whose logits predict the first token of any row
    logits = network(input_ids=tokens, use_cache=False, logits_to_keep=length - first).logits
    row, offset = mask.nonzero(as_tuple=True)
    column = starts[row] + offset
    scores = logits[row, column - 1 - first]
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) / temperature
    chosen = -nn.functional.cross_entropy(scores, tokens[row, column], reduction="none")
    return chosen.new_zeros(mask.shape).masked_scatter(mask, chosen), mask


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
