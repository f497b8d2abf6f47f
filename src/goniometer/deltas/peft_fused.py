"""Updates of fused projections, split into those of q, k and v by rows.

Which rows are whose is known by the base's architecture (see `fused`). Without the base's
configuration only GPT-2's c_attn is split: a Conv1D of three times as many outputs as inputs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas.delta import Outline
from goniometer.deltas.fused import Rows, parts
from goniometer.deltas.matrix import AbstractMatrix, LowRank
from goniometer.deltas.peft_folder import Entries, Entry, Folder

_FUSED = ("c_attn", "query_key_value", "qkv_proj", "Wqkv")


@final
@dataclass(frozen=True, eq=False)
class RowsOf(AbstractMatrix):
    """Some rows of a matrix, in ascending ranges."""

    matrix: AbstractMatrix
    ranges: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return sum(map(len, self.ranges)), self.matrix.shape[1]

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Rows start to stop of those that are taken."""
        found = [torch.empty(0, self.shape[1], dtype=torch.float64)]
        for taken in self.ranges:
            part = taken[max(start, 0) : max(stop, 0)]
            if part:
                found.append(self.matrix.rows(part.start, part.stop))
            start, stop = start - len(taken), stop - len(taken)
        return torch.cat(found)

    def scaled(self, factor: float) -> "RowsOf":
        """Return factor times the rows."""
        return replace(self, matrix=self.matrix.scaled(factor))

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """The parts of the whole matrix, and which rows are taken."""
        yield f"rows {self.ranges}", torch.zeros(0)
        yield from self.matrix.parts()


def split(entries: Entries, folder: Folder) -> tuple[Entries, list[str]]:
    """Replace fused modules by their parts; name those that the folder alone cannot split."""
    found: Entries = {}
    whole = []
    for module, entry in entries.items():
        last = module.removesuffix(".bias").rpartition(".")[2]
        if last not in _FUSED:
            found[module] = entry
            continue
        layout = parts(module, entry.outline.shape, _config(last, entry, folder))
        if layout is None:
            found[module] = entry
            whole.append(module)
        for name, ranges in (layout or {}).items():
            found[name] = _part(entry, ranges)
    return found, whole


def _config(last: str, entry: Entry, folder: Folder) -> Mapping[str, Any]:
    if folder.base is not None and folder.base.config:
        return folder.base.config
    m, n = entry.outline.shape
    conv1d = folder.tree.get("fan_in_fan_out") is True
    if last == "c_attn" and conv1d and (m == 3 * n or n == 1):
        return {"model_type": "gpt2"}
    return {}


def _part(entry: Entry, ranges: Rows) -> Entry:
    outline, m = entry.outline, sum(map(len, ranges))
    rank = outline.rank if outline.low_rank else min(m, outline.shape[1])
    return Entry(
        Outline((m, outline.shape[1]), rank, outline.low_rank), partial(_taken, entry, ranges)
    )


def _taken(entry: Entry, ranges: Rows) -> AbstractMatrix:
    matrix = entry.load()
    if isinstance(matrix, LowRank):
        return replace(matrix, B=torch.cat([matrix.B[r.start : r.stop] for r in ranges]))
    return RowsOf(matrix, ranges)
