"""Safetensors by their headers: parts and turns against torch, and files that lie."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from goniometer.deltas import Dense, Difference
from goniometer.deltas.rounding import difference_noise, storage_noise
from goniometer.deltas.tensors import (
    StoredTensor,
    checkpoint_tensors,
    model_config,
    stored_tensors,
    weight_files,
)
from goniometer.errors import GoniometerError

INDEX = "model.safetensors.index.json"


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def stored(tmp_path: Path, value: torch.Tensor) -> StoredTensor:
    save_file({"x": value}, tmp_path / "model.safetensors")
    return checkpoint_tensors(tmp_path)["x"]


DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_exact_in_float64_and_as_stored_on_request(tmp_path: Path, dtype: torch.dtype):
    value = draw(7, 5, dtype=dtype)
    x = stored(tmp_path, value)
    assert x.nbytes == value.nbytes
    assert torch.equal(x.rows(), value.double())
    assert torch.equal(x.stored(2, 4), value[2:4])
    assert torch.equal(x.turned().rows(1, 3), value.T[1:3].double())
    assert torch.equal(x.turned().turned().rows(1, 3), value[1:3].double())


def test_views_are_what_torch_would_cut(tmp_path: Path):
    value = draw(3, 4, 6)
    x = stored(tmp_path, value)
    assert torch.equal(x.flat().rows(1, 3), value.flatten(1)[1:3].double())
    for i, expert in enumerate(x.unstacked()):
        assert torch.equal(expert.rows(1, 3), value[i, 1:3].double())
        assert torch.equal(expert.turned().rows(1, 3), value[i].T[1:3].double())
    rows = (range(1), range(2, 4))
    kept = torch.cat([value[1, :1], value[1, 2:4]]).double()
    part = x.unstacked()[1].part(rows)
    assert part.shape == (3, 6)
    for start in range(4):
        for stop in range(start, 4):
            assert torch.equal(part.rows(start, stop), kept[start:stop])
    turned = x.unstacked()[1].turned().part((range(5, 6), range(1, 3)))
    expected = torch.cat([value[1].T[5:6], value[1].T[1:3]]).double()
    assert torch.equal(turned.rows(), expected)
    assert torch.equal(turned.rows(1, 2), expected[1:2])


@pytest.mark.parametrize("shape", [(), (0,), (0, 4), (4, 0), (3, 0, 4), (5,)])
def test_empty_and_lone_numbers_are_read(tmp_path: Path, shape: tuple[int, ...]):
    x = stored(tmp_path, torch.ones(shape))
    flat = x if len(shape) in (1, 2) else x.flat()
    assert flat.rows().shape == (flat.shape)
    assert torch.equal(flat.rows(), torch.ones(flat.shape, dtype=torch.float64))
    assert flat.rows(0, 0).shape == (0, *flat.shape[1:])
    if len(shape) == 2:
        assert x.turned().rows().shape == shape[::-1]


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.float8_e4m3fn])
def test_what_is_no_weight_is_not_read(tmp_path: Path, dtype: torch.dtype):
    with pytest.raises(GoniometerError, match=r"x: no floating-point weights; found [IUF]"):
        stored(tmp_path, torch.ones(3, 3).to(dtype)).rows()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_not_finite_is_named(tmp_path: Path, number: float):
    value = torch.ones(3, 3)
    value[2, 1] = number
    x = stored(tmp_path, value)
    assert x.rows(0, 2).sum() == 6
    with pytest.raises(GoniometerError, match="x: NaN or Inf"):
        x.rows()


def raw(header: object, data: bytes = b"\0" * 16, size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


ONE = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
LIES = {
    "nothing": b"",
    "no header": b"\1\0",
    "cut header": raw({"x": ONE})[:20],
    "huge header": raw({"x": ONE}, size=2**63),
    "no JSON": raw(b"{{{{"),
    "a list": raw([ONE]),
    "cut data": raw({"x": ONE}, b"\0" * 8),
    "huge shape": raw({"x": ONE | {"shape": [2**40, 2**40]}}),
    "product that overflows": raw({"x": ONE | {"shape": [2**33, 2**33]}}),
    "negative": raw({"x": ONE | {"shape": [-2, -2]}}),
    "offsets beyond the end": raw({"x": ONE | {"data_offsets": [2**40, 2**40 + 16]}}),
    "offsets backwards": raw({"x": ONE | {"data_offsets": [16, 0]}}),
    "overlap": raw({"x": ONE, "y": ONE}),
    "unknown type": raw({"x": ONE | {"dtype": "F31"}}),
    "not UTF-8": raw(b'{"\xff": 1}'),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_one_line(tmp_path: Path, lie: str):
    (tmp_path / "model.safetensors").write_bytes(LIES[lie])
    with pytest.raises(GoniometerError, match=r"not a whole safetensors file") as caught:
        checkpoint_tensors(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_cut_after_its_header_was_read_is_one_line(tmp_path: Path):
    x = stored(tmp_path, draw(4, 4))
    x.file.write_bytes(x.file.read_bytes()[:-8])
    with pytest.raises(GoniometerError, match="not a whole safetensors file"):
        x.rows()
    x.file.unlink()
    with pytest.raises(GoniometerError, match="not a whole safetensors file"):
        x.rows()


def shards(tmp_path: Path, index: object, **files: dict[str, torch.Tensor]) -> Path:
    for name, tensors in files.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
    text = index if isinstance(index, str) else json.dumps(index)
    (tmp_path / INDEX).write_text(text)
    return tmp_path


X, Y = {"x": torch.ones(2, 2)}, {"y": torch.zeros(3)}


def test_shards_are_read_as_one(tmp_path: Path):
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    found = checkpoint_tensors(shards(tmp_path, index, a=X, b=Y))
    assert {key: tensor.file.stem for key, tensor in found.items()} == {"x": "a", "y": "b"}
    assert [file.stem for file in weight_files(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    "name",
    ["../a.safetensors", "/etc/passwd", "..", ".", "", "sub/a.safetensors", "a.safetensors\0",
     "..\\a.safetensors", "a.bin", ".a.safetensors", 3, None, ["a.safetensors"], {}],
)  # fmt: skip
def test_an_index_leads_nowhere_else(tmp_path: Path, name: object):
    save_file(X, tmp_path / "a.safetensors")
    inner = tmp_path / "inner"
    inner.mkdir()
    index = {"weight_map": {"x": "a.safetensors", "z": name}}
    with pytest.raises(GoniometerError, match="a shard outside the folder"):
        checkpoint_tensors(shards(inner, index, a=X))


@pytest.mark.parametrize(
    "index",
    ["", "{", "[]", "null", "3", "{}", '{"weight_map": 3}', '{"weight_map": {}}',
     '{"weight_map": [["x", "a.safetensors"]]}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_index_is_one_line(tmp_path: Path, index: str):
    with pytest.raises(
        GoniometerError, match=r"not (valid JSON|a JSON object|a safetensors index)"
    ):
        checkpoint_tensors(shards(tmp_path, index, a=X))


def test_an_index_and_its_shards_agree(tmp_path: Path):
    gone = {"weight_map": {"x": "a.safetensors", "y": "gone.safetensors"}}
    with pytest.raises(GoniometerError, match=r"gone.safetensors: no such file"):
        checkpoint_tensors(shards(tmp_path, gone, a=X))
    lacking = {"weight_map": {"x": "a.safetensors", "z": "a.safetensors"}}
    with pytest.raises(GoniometerError, match=r"a.safetensors: z: the shard lacks a tensor"):
        checkpoint_tensors(shards(tmp_path, lacking, a=X))
    swapped = {"weight_map": {"x": "b.safetensors", "y": "a.safetensors"}}
    with pytest.raises(GoniometerError, match="the shard lacks a tensor"):
        checkpoint_tensors(shards(tmp_path, swapped, a=X, b=Y))
    twice = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    with pytest.raises(GoniometerError, match="x: one tensor in two shards"):
        checkpoint_tensors(shards(tmp_path, twice, a=X, b=X | Y))


def test_a_folder_without_weights_says_what_it_lacks(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "absent", tmp_path / "a" / "b"):
        with pytest.raises(GoniometerError, match="no model here"):
            checkpoint_tensors(folder)
    with pytest.raises(GoniometerError, match="no such file"):
        stored_tensors(tmp_path / "absent.safetensors")
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(b"")
    with pytest.raises(GoniometerError, match="a pickle can run code"):
        checkpoint_tensors(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(GoniometerError, match="not valid JSON"):
        model_config(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-5])
def test_the_noise_of_storage_is_the_norm_of_the_rounding(dtype: torch.dtype, size: float):
    generator = torch.Generator().manual_seed(1)
    exact = size * torch.randn(400, 300, generator=generator, dtype=torch.float64)
    rounded = exact.to(dtype)
    noise = float((rounded.double() - exact).norm())
    assert storage_noise(rounded) == pytest.approx(noise, rel=0.02)


def test_the_noise_of_an_update_is_that_of_the_tuned_weights(tmp_path: Path):
    exact = draw(60, 50).double()
    for name, dtype in (("tuned", torch.bfloat16), ("base", torch.float32)):
        (tmp_path / name).mkdir()
        save_file({"x": exact.to(dtype)}, tmp_path / name / "model.safetensors")
    tuned, base = (checkpoint_tensors(tmp_path / name)["x"] for name in ("tuned", "base"))
    update = Difference(tuned, base)
    found = difference_noise(update.scaled(-2.0))
    # All of this update is rounding: bfloat16 of the base itself.
    assert found == pytest.approx(2 * float(update.dense().norm()), rel=0.05)
    assert found == pytest.approx(2 * storage_noise(exact.bfloat16()))
    assert difference_noise(Dense(exact)) is None
