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
