"""Rows of q, k and v in fused projections, by what transformers' own attention does with them."""

import json

import pytest
import torch
from transformers import (
    AutoModel,
    BloomConfig,
    CodeGenConfig,
    DbrxConfig,
    FalconConfig,
    GPT2Config,
    GPTBigCodeConfig,
    GPTNeoXConfig,
    ModernBertConfig,
    MptConfig,
    PersimmonConfig,
    Phi3Config,
    PretrainedConfig,
)

from goniometer.deltas.fused import parts

V = {"vocab_size": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
OLD = V | {"n_embd": 16, "n_layer": 1, "n_head": 4}
NEW = V | {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4}
WIDE = NEW | {"intermediate_size": 16}
FALCON = NEW | {"new_decoder_architecture": False}

CASES = {
    "gpt2": (GPT2Config(**OLD), "c_attn"),
    "bigcode, one k": (GPTBigCodeConfig(**OLD, multi_query=True), "c_attn"),
    "bigcode": (GPTBigCodeConfig(**OLD, multi_query=False), "c_attn"),
    "codegen": (CodeGenConfig(**OLD, rotary_dim=4), "qkv_proj"),
    "neox": (GPTNeoXConfig(**WIDE), "query_key_value"),
    "phi3": (Phi3Config(**WIDE, num_key_value_heads=2), "qkv_proj"),
    "dbrx": (
        DbrxConfig(
            **V, d_model=16, n_heads=4, n_layers=1,
            attn_config={"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8},
            ffn_config={"ffn_hidden_size": 16, "moe_num_experts": 2},
        ),
        "Wqkv",
    ),
    "persimmon": (PersimmonConfig(**WIDE), "query_key_value"),
    "modernbert": (ModernBertConfig(**WIDE, cls_token_id=1, sep_token_id=1), "Wqkv"),
    "bloom": (BloomConfig(**V, hidden_size=16, n_layer=1, n_head=4), "query_key_value"),
    "mpt": (MptConfig(**V, d_model=16, n_layers=1, n_heads=4), "Wqkv"),
    "falcon, one k": (FalconConfig(**FALCON, multi_query=True), "query_key_value"),
    "falcon": (FalconConfig(**FALCON, multi_query=False), "query_key_value"),
    "falcon, groups": (
        FalconConfig(**NEW, num_kv_heads=2, new_decoder_architecture=True),
        "query_key_value",
    ),
}  # fmt: skip


def rows_used(config: PretrainedConfig, leaf: str, tokens: list[int]) -> tuple[set[int], int]:
    """Entries of the first token's fused output that the last token's output depends on."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModel.from_config(config, attn_implementation="eager").double().eval()
    fused = next(m for name, m in model.named_modules() if name.endswith(leaf))
    outputs: list[torch.Tensor] = []
    fused.register_forward_hook(lambda _, __, output: outputs.append(output))
    direction = torch.randn(16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    last = model(torch.tensor([tokens])).last_hidden_state[0, -1]
    (gradient,) = torch.autograd.grad(last @ direction, outputs[0])
    first = gradient.reshape(len(tokens), -1)[0]
    return {int(row) for row in first.nonzero().flatten()}, len(first)


@pytest.mark.parametrize("case", CASES)
def test_rows_are_those_that_attention_takes_for_q_k_and_v(case: str):
    config, leaf = CASES[case]
    # Alone, a token attends to itself: only v counts. Seen from the next, its k counts too.
    v, m = rows_used(config, leaf, [3])
    k_and_v, _ = rows_used(config, leaf, [3, 5])
    saved = json.loads(config.to_json_string())
    found = parts(f"h.0.{leaf}", (m, 16), saved)
    assert found is not None
    rows = {name[-1]: {row for part in found[name] for row in part} for name in found}
    assert rows == {"q": set(range(m)) - k_and_v, "k": k_and_v - v, "v": v}
    assert parts(f"h.0.{leaf}.bias", (m, 1), saved) == {
        f"{name}.bias": part for name, part in found.items()
    }


def test_cross_attention_of_gpt2_has_no_q():
    found = parts("h.0.crossattention.c_attn", (32, 16), {"model_type": "gpt2"})
    assert found == {
        "h.0.crossattention.c_attn.k": (range(16),),
        "h.0.crossattention.c_attn.v": (range(16, 32),),
    }


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model_type": "unheard_of"},
        {"model_type": "bloom"},
        {"model_type": "bloom", "n_head": "four"},
        {"model_type": "bloom", "n_head": 0},
        {"model_type": "bloom", "n_head": -4},
        {"model_type": "bloom", "n_head": 5},
        {"model_type": "bloom", "n_head": 10**12},
        {"model_type": "falcon", "new_decoder_architecture": True, "n_head": 4, "num_kv_heads": 0},
        {"model_type": ["bloom"], "text_config": 3},
    ],
)
def test_what_is_not_known_is_not_split(config: dict):
    assert parts("h.0.query_key_value", (48, 16), config) is None
    assert parts("h.0.query_key_value", (0, 16), config) is None
    assert parts("h.0.dense", (48, 16), {"model_type": "gpt2"}) is None


def test_sizes_are_of_the_language_model_where_it_is_apart():
    text = {"model_type": "gpt_neox", "num_attention_heads": 2}
    config = {"model_type": "pictures", "num_attention_heads": 3, "text_config": text}
    found = parts("layers.0.query_key_value", (12, 4), config)
    assert found is not None
    assert found["layers.0.query_key_value.k"] == (range(2, 4), range(8, 10))
