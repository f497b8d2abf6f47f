"""Tensors where they lie: safetensors files read by header first, then rows at a time.

A file is opened for one read and closed again, so that its pages leave the process: the memory
of a run over a checkpoint does not grow with the checkpoint.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from goniometer.deltas.files import check_file, json_object
from goniometer.errors import GoniometerError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# safetensors' names of the types that hold weights.
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
# Beyond these a file is no model's, and squares of squares leave float64.
MOST_TENSORS, LARGEST = 1 << 18, 1e18
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,500}")
# A shard is a plain name in the index's own folder.
_SHARD = re.compile(r"[^/\\\0.][^/\\\0]*\.safetensors")


@final
@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a safetensors file, or a part of it, by its header: no value is held.

    A matrix or a vector as it is used, whatever way it is stored: `transposed` on reading, one
    matrix of a stack [experts, a, b], a kernel [out, in, ...] with its inputs in one row, a number
    as a vector of one, some of the rows.
    """

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str  # as safetensors says it: F32, BF16, U8, ...
    transposed: bool = False
    matrix: int | None = None  # which one of a stack
    kept: tuple[range, ...] | None = None  # rows, where not all

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor as stored; 4-byte numbers where the type is no float."""
        return math.prod(self.shape) * FLOATS.get(self.dtype, 4)

    def turned(self) -> "StoredTensor":
        """Return the transposed matrix."""
        m, n = self.shape
        return replace(self, shape=(n, m), transposed=not self.transposed)

    def unstacked(self) -> list["StoredTensor"]:
        """Return each matrix of a stack [experts, a, b]."""
        count, *shape = self.shape
        return [replace(self, shape=tuple(shape), matrix=i) for i in range(count)]

    def flat(self) -> "StoredTensor":
        """Return a kernel [out, in, ...] as a matrix [out, in * ...], a number as a vector."""
        if len(self.shape) == 0:
            return replace(self, shape=(1,))
        first, *rest = self.shape
        return replace(self, shape=(first, math.prod(rest)))

    def part(self, rows: tuple[range, ...]) -> "StoredTensor":
        """Return the matrix of some rows, or the vector of some entries."""
        kept = sum(len(r) for r in rows)
        return replace(self, shape=(kept, *self.shape[1:]), kept=rows)

    def stored(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows of the tensor in the type that it is stored in.

        Raises:
            GoniometerError: the file is not whole, or holds NaN or Inf.
        """
        if self.dtype not in FLOATS:
            raise GoniometerError(
                "no floating-point weights", file=self.file, key=self.key, found=self.dtype,
                expected=" or ".join(FLOATS),
            )  # fmt: skip
        start, stop, _ = slice(start, stop).indices(self.shape[0])
        try:
            with safe_open(self.file, framework="pt") as opened:
                pieces = [self._piece(opened, rows) for rows in self._stored_rows(start, stop)]
        except (SafetensorError, OSError, MemoryError) as error:
            raise _broken(self.file, error) from None
        value = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        check_values(value, self.file, self.key)
        return value

    def rows(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "..."]:
        """Rows of the tensor in float64."""
        return self.stored(start, stop).double()

    def _stored_rows(self, start: int, stop: int) -> list[range]:
        """Ranges of the whole tensor's rows that make up rows start to stop of the part."""
        if self.kept is None or start >= stop:
            return [range(start, max(start, stop))]
        found, before = [], 0
        for rows in self.kept:
            piece = rows[max(0, start - before) : max(0, stop - before)]
            before += len(rows)
            if len(piece):
                found.append(piece)
        return found

    def _piece(self, opened: Any, rows: range) -> Tensor:
        """Copy one range of rows out of the open file."""
        tensor = opened.get_slice(self.key)
        if len(tensor.get_shape()) == 0:
            return opened.get_tensor(self.key).reshape(1)[rows.start : rows.stop].clone()
        part = slice(rows.start, rows.stop)
        where = (slice(None), part) if self.transposed else (part,)
        if self.matrix is not None:
            found = tensor[(slice(self.matrix, self.matrix + 1), *where)][0]
        else:
            found = tensor[where]
        if self.transposed:
            found = found.mT
        return found.reshape(len(rows), *self.shape[1:]).clone(
            memory_format=torch.contiguous_format
        )


def stored_tensors(file: Path) -> dict[str, StoredTensor]:
    """Read the header of one safetensors file: no value is read, nothing large allocated.

    Raises:
        GoniometerError: the file is absent, elsewhere, or not a whole safetensors file.
    """
    check_file(file)
    try:
        with safe_open(file, framework="pt") as opened:
            keys = opened.keys()
            if len(keys) > MOST_TENSORS:
                raise GoniometerError(
                    "too many tensors", file=file, found=len(keys), expected=MOST_TENSORS
                )
            found = {
                key: StoredTensor(file, key, tuple(part.get_shape()), part.get_dtype())
                for key in keys
                for part in (opened.get_slice(key),)
            }
    except (SafetensorError, OSError, MemoryError) as error:
        raise _broken(file, error) from None
    for key in found:
        if _NAME.fullmatch(key) is None:
            raise GoniometerError(
                "no name of a tensor", file=file, found=repr(key)[:200],
                expected="1 to 500 characters, none of control",
            )  # fmt: skip
    return found


def check_values(values: Tensor, file: Path, key: str) -> None:
    """Require numbers that can be computed with: finite, and at most LARGEST.

    Raises:
        GoniometerError: NaN, Inf or larger.
    """
    if values.numel() == 0:
        return
    low, high = map(float, values.aminmax())
    if not math.isfinite(low + high):
        raise GoniometerError("NaN or Inf", file=file, key=key, expected="finite values")
    if max(-low, high) > LARGEST:
        raise GoniometerError(
            "too large a value", file=file, key=key, found=max(-low, high),
            expected=f"at most {LARGEST:g}",
        )  # fmt: skip


def checkpoint_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Headers of a model's folder: of one file, or of all the shards that an index names.

    Raises:
        GoniometerError: no safetensors here; a shard outside the folder, absent or truncated; a
            tensor that is not in the shard that the index names, or in two shards.
    """
    if (folder / SINGLE).is_file():
        return stored_tensors(folder / SINGLE)
    index = _index(folder)
    found: dict[str, StoredTensor] = {}
    for file in weight_files(folder):
        for key, tensor in stored_tensors(file).items():
            if key in found:
                first = found[key].file.name
                raise GoniometerError(
                    "one tensor in two shards", file=file, key=key, found=f"it in {first} too"
                )
            found[key] = tensor
    for key, name in index.items():
        if key not in found or found[key].file.name != name:
            raise GoniometerError(
                "the shard lacks a tensor that the index places there",
                file=folder / name, key=key, fix="copy or download the shards again",
            )  # fmt: skip
    return found


def weight_files(folder: Path) -> list[Path]:
    """Files of a model's weights: the one, or the shards that its index names, there or not.

    Raises:
        GoniometerError: neither is here; the index is not one, or names a file elsewhere.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    return [folder / name for name in sorted(set(_index(folder).values()))]


def model_config(folder: Path) -> Mapping[str, Any]:
    """The model's config.json, {} where there is none.

    Raises:
        GoniometerError: it is not a JSON object.
    """
    file = folder / "config.json"
    return json_object(file) if file.is_file() else {}


def _index(folder: Path) -> dict[str, str]:
    """Read the index of a sharded model: the shard of each tensor, by name."""
    file = folder / INDEX
    if not file.is_file():
        pickles = sorted(folder.glob("pytorch_model*.bin")) if folder.is_dir() else []
        if pickles:
            raise GoniometerError(
                "a pickle can run code and is not opened", file=pickles[0],
                expected=f"{SINGLE} or {INDEX}",
                fix="load it where you trust it, and save_pretrained(..., safe_serialization=True)",
            )  # fmt: skip
        raise GoniometerError("no model here", file=folder, expected=f"{SINGLE} or {INDEX}")
    places = json_object(file).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise GoniometerError("not a safetensors index", file=file, key="weight_map")
    for name in places.values():
        if not isinstance(name, str) or _SHARD.fullmatch(name) is None:
            raise GoniometerError("a shard outside the folder", file=file, found=repr(name)[:200])
    return places


def _broken(file: Path, error: Exception) -> GoniometerError:
    return GoniometerError(
        f"not a whole safetensors file: {error}", file=file, fix="copy or download it again"
    )
