"""Features of many tokens on disk: written a text at a time, read a part of one layer at a time.

Plain reads and writes at offsets, not a memory map: pages that were touched would count as the
process's own.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.errors import GoniometerError

Key = tuple[Any, ...]


@final
@dataclass
class FeatureFiles:
    """One file of tokens x width for each key, in float32, or float64 where the features are."""

    folder: Path
    files: dict[Key, tuple[Path, int, np.dtype[Any]]] = field(default_factory=dict)

    def write(self, key: Key, first: int, features: Float[Tensor, "token width"]) -> None:
        """Write features of consecutive tokens, from the first on.

        Raises:
            GoniometerError: no space is left.
        """
        wide = torch.float64 if features.dtype == torch.float64 else torch.float32
        values = features.to("cpu", wide).contiguous().numpy()
        new = key not in self.files
        path = self.folder / f"{len(self.files)}.features"
        path = self.files.setdefault(key, (path, values.shape[1], values.dtype))[0]
        try:
            with path.open("wb" if new else "r+b") as file:
                file.seek(first * values.shape[1] * values.itemsize)
                file.write(values.tobytes())
        except OSError as error:
            free = shutil.disk_usage(self.folder).free
            raise GoniometerError(
                f"activations cannot be written: {error.strerror}",
                file=self.folder, found=f"{free / 1e9:.1f} GB free",
                fix="name a scratch folder with more space, or take fewer tokens",
            ) from None  # fmt: skip

    def width(self, key: Key) -> int:
        """Width of the features of a key."""
        return self.files[key][1]

    def read(self, key: Key, part: slice) -> Float[Tensor, "token width"]:
        """Read features of a range of tokens, as they were written."""
        path, width, dtype = self.files[key]
        count, offset = (part.stop - part.start) * width, part.start * width * dtype.itemsize
        values = np.fromfile(path, dtype, count, offset=offset)
        return torch.from_numpy(values).view(-1, width)


@contextmanager
def feature_files(scratch: Path | None) -> Iterator[FeatureFiles]:
    """Open a folder of features within `scratch`, or the system's; it is deleted at the end.

    Raises:
        GoniometerError: there is no such folder, or it cannot be written to.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="goniometer-", dir=scratch)
    except OSError as error:
        raise GoniometerError(
            f"no folder for activations: {error.strerror}", file=scratch, fix="name another one"
        ) from None
    with folder as path:
        yield FeatureFiles(Path(path))
