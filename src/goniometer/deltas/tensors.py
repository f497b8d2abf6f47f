"""Tensors where they lie: safetensors files read by header first, then rows at a time.

A file is opened for one read and closed again, so that its pages leave the process: the memory
of a run over a checkpoint does not grow with the checkpoint.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from goniometer.errors import GoniometerError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# safetensors' names of the types that hold weights.
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


@final
@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a safetensors file, by its header; `transposed` turns a matrix on reading."""

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str  # as safetensors says it: F32, BF16, U8, ...
    transposed: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor as stored; 4-byte numbers where the type is no float."""
        count = 1
        for size in self.shape:
            count *= size
        return count * FLOATS.get(self.dtype, 4)

    def turned(self) -> "StoredTensor":
        """Return the transposed matrix."""
        m, n = self.shape
        return replace(self, shape=(n, m), transposed=not self.transposed)

    def stored(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows of the tensor in the type that it is stored in.

        Raises:
            GoniometerError: the file is not whole, or holds NaN or Inf.
        """
        try:
            with safe_open(self.file, framework="pt") as opened:
                part = opened.get_slice(self.key)
                rows = part[:, start:stop].mT if self.transposed else part[start:stop]
                value: Tensor = rows.clone(memory_format=torch.contiguous_format)
        except (SafetensorError, OSError) as error:
            raise _broken(self.file, error) from None
        if not value.is_floating_point():
            raise GoniometerError(
                "no floating-point weights", file=self.file, key=self.key, found=self.dtype,
                expected=" or ".join(FLOATS),
            )  # fmt: skip
        if not bool(torch.isfinite(value).all()):
            raise GoniometerError("NaN or Inf", file=self.file, key=self.key)
        return value

    def rows(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "..."]:
        """Rows of the tensor in float64."""
        return self.stored(start, stop).double()


def stored_tensors(file: Path) -> dict[str, StoredTensor]:
    """Read the header of one safetensors file: no value is read, nothing large allocated.

    Raises:
        GoniometerError: the file is absent or not a whole safetensors file.
    """
    if not file.is_file():
        raise GoniometerError("no such file", file=file)
    try:
        with safe_open(file, framework="pt") as opened:
            parts = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118
            return {
                key: StoredTensor(file, key, tuple(part.get_shape()), part.get_dtype())
                for key, part in parts.items()
            }
    except (SafetensorError, OSError) as error:
        raise _broken(file, error) from None


def checkpoint_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Headers of all the shards of a model's folder.

    Raises:
        GoniometerError: no safetensors here, a shard outside the folder, absent or truncated.
    """
    return {key: tensor for file in _shards(folder) for key, tensor in stored_tensors(file).items()}


def model_config(folder: Path) -> Mapping[str, Any]:
    """The model's config.json, {} where there is none.

    Raises:
        GoniometerError: it is not a JSON object.
    """
    file = folder / "config.json"
    if not file.is_file():
        return {}
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise GoniometerError(f"not valid JSON: {error}", file=file) from None
    if not isinstance(tree, dict):
        raise GoniometerError("not a configuration", file=file, found=type(tree).__name__)
    return tree


def _shards(folder: Path) -> list[Path]:
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    index = folder / INDEX
    if not index.is_file():
        raise GoniometerError("no model here", file=folder, expected=f"{SINGLE} or {INDEX}")
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise GoniometerError("not a safetensors index", file=index, key="weight_map") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.strip("."):
            raise GoniometerError("a shard outside the folder", file=index, found=repr(name))
    return [folder / name for name in names]


def _broken(file: Path, error: Exception) -> GoniometerError:
    return GoniometerError(
        f"not a whole safetensors file: {error}", file=file, fix="copy or download it again"
    )
