"""Folders that lie: what they declare is refused before it is allocated, and nothing is held."""

import gc
import json
import resource
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from goniometer.deltas import BaseModel, Companions, read
from goniometer.deltas.peft_adapter import read_peft_adapter
from goniometer.errors import GoniometerError
from tests.adapters import edit_config, edit_tensors, save_adapter
from tests.contracts.peft_cases import CASES, save_case


def write_header(folder: Path, tensors: dict, bytes_: int = 64) -> None:
    header = json.dumps(tensors).encode()
    file = folder / "adapter_model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(bytes_))


def test_a_declared_shape_that_the_file_does_not_hold_is_refused(tmp_path: Path):
    save_adapter(tmp_path)
    for shape in ([1 << 40, 4], [1 << 62, 1 << 62]):
        write_header(
            tmp_path,
            {"m.lora_A.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 64]}},
        )
        with pytest.raises(GoniometerError, match="not a whole safetensors file"):
            read(tmp_path)


def test_a_rank_that_the_tensors_do_not_have_is_refused(tmp_path: Path):
    save_adapter(tmp_path)
    for wrong in (5, 1 << 40, 0, -4):
        edit_config(tmp_path, r=wrong)
        with pytest.raises(GoniometerError, match="rank"):
            read(tmp_path)


SIZES = {
    "LoHa": "r",
    "FourierFT": "n_frequency",
    "RandLoRA, not saved": "r",
    "VeRA, not saved": "r",
    "OFT": "oft_block_size",
}


@pytest.mark.parametrize("case", SIZES)
def test_sizes_beyond_the_tensors_are_refused_before_they_are_allocated(tmp_path: Path, case: str):
    save_case(CASES[case], tmp_path)
    edit_config(tmp_path, **{SIZES[case]: 1 << 40})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(GoniometerError, match=SIZES[case]):
        read(tmp_path, Companions(BaseModel(tmp_path / "base")))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_a_pattern_s_sizes_are_held_to_the_tensors_too(tmp_path: Path):
    save_case(CASES["LoHa"], tmp_path)
    edit_config(tmp_path, rank_pattern={"q_proj": 1 << 40})
    with pytest.raises(GoniometerError, match="rank_pattern"):
        read(tmp_path)


def test_long_thin_factors_are_not_multiplied_out(tmp_path: Path):
    save_case(CASES["LoHa"], tmp_path)
    long = torch.ones(40_000, 1)
    name = "base_model.model.layers.0.q_proj.hada_w1_"
    edit_tensors(tmp_path, lambda t: t | {f"{name}a": long, f"{name}b": long.T.clone()})
    with pytest.raises(GoniometerError, match="too large to be formed"):
        read(tmp_path)


def test_a_tensor_that_peft_does_not_find_is_an_error(tmp_path: Path):
    save_case(CASES["OFT"], tmp_path)
    edit_tensors(tmp_path, lambda t: {k.replace("oft_R", "oft_S"): v for k, v in t.items()})
    delta = read_peft_adapter(tmp_path, Companions(BaseModel(tmp_path / "base")))
    with pytest.raises(GoniometerError, match="q_proj"):
        delta["layers.0.q_proj"].dense()


def test_what_peft_cannot_build_is_one_line(tmp_path: Path):
    save_case(CASES["BOFT"], tmp_path)
    edit_config(tmp_path, boft_block_size=7)
    delta = read_peft_adapter(tmp_path, Companions(BaseModel(tmp_path / "base")))
    with pytest.raises(GoniometerError, match="PEFT cannot merge it"):
        delta["layers.0.q_proj"].dense()


def test_modules_are_read_alike_from_many_threads_and_none_is_held(tmp_path: Path):
    save_adapter(tmp_path, r=4)
    delta = read(tmp_path)
    alone = {name: delta[name].dense() for name in delta}
    names = list(delta) * 50
    with ThreadPoolExecutor(8) as pool:
        for name, found in zip(names, pool.map(lambda n: delta[n].dense(), names), strict=True):
            assert torch.equal(found, alone[name])
    assert delta["layers.0.q_proj"] is not delta["layers.0.q_proj"]


def _tensors() -> int:
    gc.collect()
    return sum(type(found) is torch.Tensor for found in gc.get_objects())


def test_reading_leaves_nothing_behind(tmp_path: Path):
    save_adapter(tmp_path)
    delta = read(tmp_path)
    before = _tensors()
    for name in delta:
        delta[name].dense()
    assert delta.fingerprint
    assert _tensors() == before


def test_a_file_that_changes_after_its_header_was_read_is_refused(tmp_path: Path):
    save_adapter(tmp_path, seed=1)
    delta = read(tmp_path)
    save_adapter(tmp_path, seed=2)
    with pytest.raises(GoniometerError, match="the file changed"):
        delta["layers.0.q_proj"].dense()
