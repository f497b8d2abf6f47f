"""Read tokens once that many rows begin with: their keys and values, as each row's past."""

import copy
import inspect
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import Cache, DynamicCache


def shares_past(network: Any) -> bool:
    """Whether keys and values of tokens are all that later ones take from them."""
    known = inspect.signature(network.forward).parameters
    wanted = {"past_key_values", "position_ids", "logits_to_keep"}
    return wanted <= known.keys() and not getattr(network, "_is_stateful", False)


def read_past(
    network: Any, tokens: Int[Tensor, "row width"], mask: Int[Tensor, "row width"]
) -> Cache:
    """Read tokens, padded on the left, without gradient; return their keys and values by row."""
    cache: Any = DynamicCache(config=network.config)
    with torch.no_grad():
        network(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    return cache


def past_of(read: Cache, rows: Int[Tensor, " row"]) -> Cache:
    """Copy what was read, a row for each that wants it; what was read stays as it is."""
    past: Any = copy.deepcopy(read)
    past.batch_select_indices(rows)
    return past
