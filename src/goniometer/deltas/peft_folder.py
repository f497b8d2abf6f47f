"""An adapter's folder: its configuration, its tensors by header, and the base that it may need.

Nothing is held: a tensor is read from its place in the file each time it is asked for, so that
many adapters can be open at once. A memory map would leave the pages of all that was read in the
process, and opening the file for each module parses its header each time.
"""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from goniometer.deltas.base_model import BaseModel
from goniometer.deltas.companions import Companions
from goniometer.deltas.delta import Outline
from goniometer.deltas.matrix import AbstractMatrix
from goniometer.deltas.peft_config import CONFIG, WEIGHTS, read_tree
from goniometer.deltas.peft_layers import original_layers, replace_layer
from goniometer.deltas.peft_patterns import Patterns
from goniometer.deltas.tensors import FLOATS, StoredTensor, check_values, stored_tensors
from goniometer.errors import GoniometerError

_WRAPPERS = re.compile(r"^(?:base_model\.model\.|module\.)+|_orig_mod\.|_fsdp_wrapped_module\.")
# Bytes of a tensor that is held whole: a file may declare, and even have, more than memory.
_MOST = 1 << 31
_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_INTEGERS = {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "U8": torch.uint8}


@final
@dataclass(frozen=True)
class Entry:
    """A module's update before it is read: its outline, and how to read it."""

    outline: Outline
    load: Callable[[], AbstractMatrix]


Entries = dict[str, Entry]


@final
@dataclass(frozen=True)
class Weights:
    """adapter_model.safetensors: its tensors by name without wrappers, and where they start."""

    file: Path
    tensors: Mapping[str, StoredTensor]
    starts: Mapping[str, int]
    written: int  # when, as the file system says

    def value(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Read rows start to stop of a tensor in the type that it is stored in.

        Raises:
            GoniometerError: the file has changed, or the values are no numbers, NaN or Inf.
        """
        tensor = self.tensors[name]
        dtype = (_TYPES | _INTEGERS).get(tensor.dtype)
        if dtype is None:
            raise GoniometerError(
                "no type that weights have", file=self.file, key=name, found=tensor.dtype,
                expected=" or ".join(_TYPES),
            )  # fmt: skip
        first, *rest = tensor.shape or (1,)
        stop = first if stop is None else stop
        row = math.prod(rest) * dtype.itemsize
        if (stop - start) * row > _MOST:
            raise GoniometerError(
                "too large for a factor", file=self.file, key=name,
                found=f"{(stop - start) * row} bytes", expected=f"at most {_MOST}",
            )  # fmt: skip
        buffer = torch.empty((stop - start) * row, dtype=torch.uint8)
        try:
            with self.file.open("rb") as opened:
                opened.seek(self.starts[name] + start * row)
                complete = opened.readinto(buffer.numpy().data) == len(buffer)
                same = os.fstat(opened.fileno()).st_mtime_ns == self.written
        except OSError as error:
            raise GoniometerError(f"cannot be read: {error.strerror}", file=self.file) from None
        if not complete or not same:
            raise GoniometerError("the file changed while it was read", file=self.file, key=name)
        values = buffer.view(dtype).reshape(stop - start, *rest)
        if dtype.is_floating_point:
            check_values(values, self.file, name)
        return values


@final
@dataclass(frozen=True)
class Folder:
    """An adapter folder as its header and configuration say it."""

    path: Path
    tree: Mapping[str, Any]
    weights: Weights
    companions: Companions

    @property
    def config(self) -> Path:
        """Path of adapter_config.json."""
        return self.path / CONFIG

    @property
    def base_name(self) -> str | None:
        """The base as the folder names it."""
        return self.tree.get("base_model_name_or_path") or None

    @cached_property
    def base(self) -> BaseModel | None:
        """The base, where it was given or lies on this machine."""
        return self.companions.base_for(self.base_name)

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """Which layer of the base each layer is a copy of; () where layers are not replicated."""
        return original_layers(self.tree.get("layer_replication"), self.config)

    @cached_property
    def patterns(self) -> Patterns:
        """How modules are looked up in the configuration's patterns."""
        return Patterns(self.config)

    def find(self, module: str) -> StoredTensor | None:
        """The base's weight of a module, in floating point; None without a base or in it.

        Raises:
            GoniometerError: the base is quantised.
        """
        if self.base is None:
            return None
        found = self.base.find(replace_layer(module, self.layers))
        quantised = self.base.config.get("quantization_config")
        if (found is None and quantised) or (found is not None and found.dtype not in FLOATS):
            raise GoniometerError(
                "the base is quantised: its weights are needed in floating point",
                file=self.base.folder, key=module, found=found.dtype if found else "no weight",
                fix="give the unquantised model with --base",
            )  # fmt: skip
        return found

    def require_base(self, why: str) -> BaseModel:
        """Return the base, where the update cannot be had without.

        Raises:
            GoniometerError: there is none; `why` says what of the run needs it.
        """
        return self.base or self.companions.require_base(self.base_name, file=self.path, why=why)

    def require(self, module: str, why: str) -> StoredTensor:
        """As `find`, where the update cannot be had without.

        Raises:
            GoniometerError: no base, none in floating point, or no such module in it.
        """
        base, found = self.require_base(why), self.find(module)
        return found or base.weight(replace_layer(module, self.layers), str(self.path))


def open_folder(path: Path, companions: Companions) -> Folder:
    """Read the configuration and the header; no value is read.

    Raises:
        GoniometerError: absent, a pickle, cut, or two tensors of one name.
    """
    return Folder(path, read_tree(path), _open_weights(path / WEIGHTS), companions)


def plain_name(key: str) -> str:
    """Return a tensor's name without what wrappers put in front of it and into it."""
    return _WRAPPERS.sub("", key)


def _open_weights(file: Path) -> Weights:
    if not file.is_file():
        pickles = sorted(file.parent.glob("*.bin"))
        if pickles:
            raise GoniometerError(
                "a pickle can run code and is not opened", file=pickles[0], expected=WEIGHTS,
                fix="load it where you trust it, and save_pretrained(..., safe_serialization=True)",
            )  # fmt: skip
        raise GoniometerError(f"no {WEIGHTS}", file=file.parent)
    stored = stored_tensors(file)  # checks the header against the file
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
        written = os.fstat(opened.fileno()).st_mtime_ns
    tensors: dict[str, StoredTensor] = {}
    for key, tensor in stored.items():
        other = tensors.setdefault(plain_name(key), tensor)
        if other is not tensor:
            raise GoniometerError(
                "two tensors of one name", file=file, key=key, found=f"also {other.key}"
            )
    starts = {plain_name(key): 8 + size + int(header[key]["data_offsets"][0]) for key in stored}
    return Weights(file, tensors, starts, written)
