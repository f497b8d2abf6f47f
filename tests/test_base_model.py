"""A base's folder against an adapter: read from the headers, the first misfit named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from goniometer.deltas import BaseModel, check_base, read
from goniometer.errors import GoniometerError
from tests.adapters import Tower, save_adapter


def weights(prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + name: value.contiguous() for name, value in Tower().state_dict().items()}


@pytest.fixture
def delta(tmp_path: Path):
    save_adapter(tmp_path / "adapter")
    return read(tmp_path / "adapter")


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_base_that_fits_fits_by_either_spelling(tmp_path: Path, delta, prefix: str):
    save_file(weights(prefix), tmp_path / "model.safetensors")
    check_base(delta, BaseModel(tmp_path))


def test_a_sharded_base_and_a_transposed_one_fit(tmp_path: Path, delta):
    whole = {
        name: value.T.contiguous() if value.ndim == 2 else value
        for name, value in weights().items()
    }
    shards = {"one.safetensors": "layers.0", "two.safetensors": "layers.1"}
    for shard, part in shards.items():
        save_file({n: v for n, v in whole.items() if part in n}, tmp_path / shard)
    index = {n: s for s, part in shards.items() for n in whole if part in n}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    check_base(delta, BaseModel(tmp_path))


def test_misfits_are_named(tmp_path: Path, delta):
    with pytest.raises(GoniometerError, match="no model here"):
        check_base(delta, BaseModel(tmp_path))
    wrong = weights() | {"layers.1.v_proj.weight": torch.zeros(7, 24)}
    save_file(wrong, tmp_path / "model.safetensors")
    with pytest.raises(GoniometerError, match=r"layers.1.v_proj: the base does not fit.*\(7, 24\)"):
        check_base(delta, BaseModel(tmp_path))
    wrong.pop("layers.1.v_proj.weight")
    save_file(wrong, tmp_path / "model.safetensors")
    with pytest.raises(GoniometerError, match=r"layers.1.v_proj: the base has no such module"):
        check_base(delta, BaseModel(tmp_path))


def test_a_shard_outside_the_folder_is_refused(tmp_path: Path, delta):
    index = {"weight_map": {"x": "../../etc/passwd"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(GoniometerError, match="a shard outside the folder"):
        check_base(delta, BaseModel(tmp_path))


def model(tmp_path: Path, weights: dict[str, torch.Tensor], **config: object) -> BaseModel:
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    return BaseModel(tmp_path)


@pytest.mark.parametrize("stored", ["", "model.", "language_model.model.", "model.language_model."])
@pytest.mark.parametrize("asked", ["", "model.", "language_model.model.", "model.language_model."])
def test_a_module_is_found_by_the_spelling_of_any_version(tmp_path: Path, stored: str, asked: str):
    base = model(tmp_path, {f"{stored}layers.0.mlp.up_proj.weight": torch.ones(2, 3)})
    found = base.find(f"{asked}layers.0.mlp.up_proj")
    assert found is not None
    assert found.shape == (2, 3)
    named = "model.language_model." if "language" in stored else "model."
    assert base.spelling(f"{asked}layers.0.mlp.up_proj") == f"{named}layers.0.mlp.up_proj"
    assert base.find(f"{asked}layers.1.mlp.up_proj") is None
    assert base.find("up_proj") is None


def test_a_module_that_two_could_be_is_neither(tmp_path: Path):
    layers = {f"{side}.layers.0.q.weight": torch.ones(2, 2) for side in ("model", "language_model")}
    base = model(tmp_path, layers)
    assert base.find("layers.0.q") is None
    assert base.find("model.layers.0.q") is not None


def test_parts_of_fused_modules_and_turned_ones_are_found(tmp_path: Path):
    fused, bias = torch.arange(48.0).reshape(4, 12), torch.arange(12.0)
    name = "transformer.h.0.attn.c_attn"
    stored = {f"h.0.attn.c_attn.{kind}": x for kind, x in (("weight", fused), ("bias", bias))}
    base = model(tmp_path, stored, model_type="gpt2")
    whole = base.find(name)
    assert whole is not None
    assert torch.equal(whole.rows(), fused.T.double())
    for part, start in (("q", 0), ("k", 4), ("v", 8)):
        rows, entries = base.find(f"{name}.{part}"), base.find(f"{name}.{part}.bias")
        assert rows is not None
        assert entries is not None
        assert torch.equal(rows.rows(), fused.T[start : start + 4].double())
        assert torch.equal(entries.rows(), bias[start : start + 4].double())
    assert base.find(f"{name}.w") is None


@pytest.mark.parametrize(("tie", "found"), [(True, True), (None, True), (False, False)])
def test_a_head_that_is_not_stored_is_the_embedding_it_is_tied_to(
    tmp_path: Path, tie: bool | None, found: bool
):
    config = {} if tie is None else {"tie_word_embeddings": tie}
    base = model(tmp_path, {"model.embed_tokens.weight": torch.ones(5, 3)}, **config)
    assert (base.find("lm_head") is not None) == found
    assert base.find("score") is None
