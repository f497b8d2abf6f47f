"""Fused projections of real architectures: the parts are the rows that the attention reads."""

import copy
import warnings
from pathlib import Path

import peft
import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    FalconConfig,
    FalconForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
)

from goniometer.deltas import BaseModel, Companions, check_base, read
from goniometer.deltas.matrix import Dense
from goniometer.deltas.peft_fused import RowsOf

SMALL = {"vocab_size": 40, "hidden_size": 24, "num_attention_heads": 4, "num_hidden_layers": 1}
MODELS = {
    "gpt2": (
        lambda: GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=24, n_layer=1, n_head=4)),
        "c_attn",
    ),
    "gpt_neox": (
        lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL, intermediate_size=32)),
        "query_key_value",
    ),
    "bloom": (
        lambda: BloomForCausalLM(BloomConfig(vocab_size=40, hidden_size=24, n_layer=1, n_head=4)),
        "query_key_value",
    ),
    "falcon": (
        lambda: FalconForCausalLM(
            FalconConfig(**SMALL, new_decoder_architecture=True, num_kv_heads=2)
        ),
        "query_key_value",
    ),
    "phi3": (
        lambda: Phi3ForCausalLM(
            Phi3Config(**SMALL, intermediate_size=32, num_key_value_heads=2, pad_token_id=0)
        ),
        "qkv_proj",
    ),
}


def save(kind: str, folder: Path, **options):
    """A small model, its base and adapter on disk, and the merged copy."""
    make, target = MODELS[kind]
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(3)
        base = make().double()
        config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=[target], **options)
        model = peft.get_peft_model(copy.deepcopy(base), config)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data + torch.randn_like(parameter)
        model.save_pretrained(folder / "run")
        base.save_pretrained(folder / "base")
        return base, model.merge_and_unload(), target


@pytest.mark.parametrize("options", [{}, {"use_dora": True}], ids=["lora", "dora"])
@pytest.mark.parametrize("kind", MODELS)
def test_the_parts_are_the_rows_of_the_whole(tmp_path: Path, kind: str, options: dict):
    base, merged, target = save(kind, tmp_path, **options)
    companions = Companions(BaseModel(tmp_path / "base"))
    delta = read(tmp_path / "run", companions)
    name = next(n for n, _ in base.named_modules() if n.endswith(target))
    change = merged.get_submodule(name).weight - base.get_submodule(name).weight
    change = change.T if kind == "gpt2" else change
    assert set(delta) == {f"{name}.{part}" for part in "qkv"}
    # Each row of the whole stands in exactly one part, in the whole's order.
    places = {}
    for part in "qkv":
        rows = delta[f"{name}.{part}"].dense()
        assert delta.outline(f"{name}.{part}").shape == tuple(rows.shape)
        found = [int((change - row).norm(dim=1).argmin()) for row in rows]
        assert found == sorted(found)
        assert float((change[found] - rows).norm() / rows.norm()) < 1e-10
        places[part] = found
    assert sorted(row for rows in places.values() for row in rows) == [*range(change.shape[0])]
    check_base(delta, BaseModel(tmp_path / "base"))


@pytest.mark.parametrize("kind", MODELS)
def test_q_k_and_v_are_those_that_attention_takes(tmp_path: Path, kind: str):
    base, merged, target = save(kind, tmp_path)
    delta = read(tmp_path / "run", Companions(BaseModel(tmp_path / "base")))
    name = next(n for n, _ in base.named_modules() if n.endswith(target))
    change = merged.get_submodule(name).weight - base.get_submodule(name).weight
    if kind == "gpt2":
        expected = dict(zip("qkv", change.T.split(24), strict=True))
    elif kind == "phi3":
        expected = dict(zip("qkv", change.split([24, 12, 12]), strict=True))
    elif kind == "falcon":
        # 2 groups of 2 heads of q, one of k, one of v, each of 6 rows.
        grouped = change.reshape(2, 4, 6, 24)
        expected = {"q": grouped[:, :2], "k": grouped[:, 2], "v": grouped[:, 3]}
    else:
        by_head = change.reshape(4, 3, 6, 24)
        expected = {part: by_head[:, i] for i, part in enumerate("qkv")}
    for part, rows in expected.items():
        difference = delta[f"{name}.{part}"].dense() - rows.reshape(-1, 24)
        assert float(difference.norm() / rows.norm()) < 1e-10


def test_without_a_base_gpt2_is_split_and_others_say_that_they_are_not(tmp_path: Path):
    save("gpt2", tmp_path / "gpt2")
    save("gpt_neox", tmp_path / "neox")
    gpt2, neox = read(tmp_path / "gpt2" / "run"), read(tmp_path / "neox" / "run")
    assert {name.rpartition(".")[2] for name in gpt2} == set("qkv")
    assert not gpt2.provenance.warnings
    assert {name.rpartition(".")[2] for name in neox} == {"query_key_value"}
    assert "config.json" in neox.provenance.warnings[0]


def test_rows_of_a_matrix_are_rows_wherever_they_are_cut():
    whole = torch.arange(24.0, dtype=torch.float64).reshape(12, 2)
    taken = RowsOf(Dense(whole), (range(1, 3), range(5, 6), range(8, 12)))
    expected = whole[[1, 2, 5, 8, 9, 10, 11]]
    for start in range(8):
        for stop in range(start, 8):
            assert torch.equal(taken.rows(start, stop), expected[start:stop])
    assert torch.equal(taken.scaled(2.0).dense(), 2 * expected)
