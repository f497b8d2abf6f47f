"""Projections that a model stores as one matrix: which rows of it are q, which k, which v.

A layout is known by the architecture and the module's last name, never guessed from a shape: the
same (3h, h) matrix is q over k over v in GPT-2 and head by head in GPT-NeoX. Each layout is the
one that the attention of transformers' model reads.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

# Rows of a matrix, out features first, as disjoint ascending ranges.
Rows = tuple[range, ...]
Config = Mapping[str, Any]
_PART = re.compile(r"(.+)\.[qkv](\.bias)?")


def parts(module: str, shape: tuple[int, int], config: Config) -> dict[str, Rows] | None:
    """Rows of q, k and v in a fused module, by the parts' names.

    `module` may be a bias: "h.0.attn.c_attn.bias" has the parts "h.0.attn.c_attn.q.bias", ...
    `shape` is out by in features (m, 1 for a bias); `config` is the base's config.json.
    None where the architecture is unknown or fuses nothing here, or the shape does not fit it.
    """
    weight = module.removesuffix(".bias")
    bias = module[len(weight) :]
    config = {**config, **text_config(config)}
    layout = _LAYOUTS.get((str(config.get("model_type")), weight.rpartition(".")[2]))
    if layout is None or 0 in shape:
        return None
    try:
        found = layout(config, weight, shape[0])
    except (ValueError, ZeroDivisionError):
        return None  # the configuration lacks a size, or holds one that does not fit
    ranges = sorted((r.start, r.stop) for part in found.values() for r in part)
    # They must cover the rows without a gap or an overlap.
    if [start for start, _ in ranges] + [shape[0]] != [0] + [stop for _, stop in ranges]:
        return None
    return {f"{weight}.{name}{bias}": part for name, part in found.items()}


def whole_of(part: str) -> str | None:
    """Name of the fused module, or of its bias, if the name is one of a part: undoes `parts`."""
    found = _PART.fullmatch(part)
    return None if found is None else found[1] + (found[2] or "")


def text_config(config: Config) -> Config:
    """Return the language model's part of a configuration, {} where it is not apart."""
    found = config.get("text_config")
    return found if isinstance(found, Mapping) else {}


def _size(config: Config, *names: str) -> int:
    """Return the first of some fields that is there: architectures name their sizes differently."""
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise ValueError(names[0])


def _heads(config: Config) -> int:
    return _size(config, "num_attention_heads", "n_head", "n_heads")


def _key_heads(config: Config) -> int:
    nested = config.get("attn_config")
    where = {**config, **(nested if isinstance(nested, Mapping) else {})}
    names = ("num_key_value_heads", "num_kv_heads", "kv_n_heads")
    return _size(where, *names)


def _stacked(sizes: Mapping[str, int]) -> dict[str, Rows]:
    """One part under the other."""
    found: dict[str, Rows] = {}
    start = 0
    for name, size in sizes.items():
        found[name] = (range(start, start + size),)
        start += size
    return found


def _by_group(groups: int, queries: int, m: int) -> dict[str, Rows]:
    """Group by group of heads: `queries` heads of q, one of k, one of v."""
    if not 0 < groups * (queries + 2) <= m:
        raise ValueError("more heads than rows")
    head = m // (groups * (queries + 2))
    starts = [group * (queries + 2) * head for group in range(groups)]
    offsets = {"q": (0, queries), "k": (queries, queries + 1), "v": (queries + 1, queries + 2)}
    return {
        name: tuple(range(start + a * head, start + b * head) for start in starts)
        for name, (a, b) in offsets.items()
    }


def _thirds(config: Config, module: str, m: int) -> dict[str, Rows]:
    """GPT-2 and its kin, MPT, ModernBERT: q over k over v; k over v in cross attention."""
    if "crossattention" in module:
        return _stacked({"k": m // 2, "v": m // 2})
    return _stacked({"q": m // 3, "k": m // 3, "v": m // 3})


def _grouped(config: Config, module: str, m: int) -> dict[str, Rows]:
    """Phi-3, DBRX: all heads of q over the fewer of k over those of v."""
    heads, key_heads = _heads(config), _key_heads(config)
    head = m // (heads + 2 * key_heads)
    return _stacked({"q": heads * head, "k": key_heads * head, "v": key_heads * head})


def _by_head(config: Config, module: str, m: int) -> dict[str, Rows]:
    """GPT-NeoX, BLOOM, Persimmon: q, k, v of the first head, then of the second, ..."""
    return _by_group(_heads(config), 1, m)


def _bigcode(config: Config, module: str, m: int) -> dict[str, Rows]:
    """GPT-BigCode: one k and one v under all q where they are shared, else head by head."""
    if not config.get("multi_query", True):
        return _by_head(config, module, m)
    head = m // (_heads(config) + 2)
    return _stacked({"q": _heads(config) * head, "k": head, "v": head})


def _falcon(config: Config, module: str, m: int) -> dict[str, Rows]:
    """Falcon: by groups in the 40B design, one k and one v in the 7B, else head by head."""
    if config.get("new_decoder_architecture"):
        groups = _key_heads(config)
        return _by_group(groups, _heads(config) // groups, m)
    return _bigcode(config, module, m)


def _codegen(config: Config, module: str, m: int) -> dict[str, Rows]:
    """CodeGen: four blocks, as of four processors, each q over v over k."""
    third = m // 12
    blocks = range(0, m, 3 * third)
    return {
        name: tuple(range(start + i * third, start + (i + 1) * third) for start in blocks)
        for name, i in (("q", 0), ("v", 1), ("k", 2))
    }


_LAYOUTS: dict[tuple[str, str], Callable[[Config, str, int], dict[str, Rows]]] = {
    ("gpt2", "c_attn"): _thirds,
    ("openai-gpt", "c_attn"): _thirds,
    ("imagegpt", "c_attn"): _thirds,
    ("decision_transformer", "c_attn"): _thirds,
    ("mpt", "Wqkv"): _thirds,
    ("modernbert", "Wqkv"): _thirds,
    ("phi3", "qkv_proj"): _grouped,
    ("phi4_multimodal", "qkv_proj"): _grouped,
    ("dbrx", "Wqkv"): _grouped,
    ("gpt_bigcode", "c_attn"): _bigcode,
    ("gpt_neox", "query_key_value"): _by_head,
    ("gpt_neox_japanese", "query_key_value"): _by_head,
    ("bloom", "query_key_value"): _by_head,
    ("persimmon", "query_key_value"): _by_head,
    ("falcon", "query_key_value"): _falcon,
    ("codegen", "qkv_proj"): _codegen,
}
