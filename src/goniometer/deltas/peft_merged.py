"""Read the types whose formula is left to PEFT: see `peft_kinds` for which.

The update of one module is formed, by PEFT's merge, when its rows are asked for.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas.delta import Outline
from goniometer.deltas.matrix import AbstractMatrix
from goniometer.deltas.peft_folder import Entries, Entry, Folder
from goniometer.deltas.peft_kinds import KINDS, Kind, check_sizes, shape_of
from goniometer.deltas.tensors import StoredTensor
from goniometer.errors import GoniometerError

# Fields that say where and how it was trained, not what the update is.
_NOT_CONTENT = re.compile(
    r"dropout|target_modules|exclude_modules|layers_|base_model|revision|version|task_type|mapping"
    r"|inference_mode|modules_to_save|bias"
)


@final
@dataclass(frozen=True, eq=False)
class Merged(AbstractMatrix):
    """factor times what PEFT adds when it merges: formed once, when it is first asked for."""

    size: tuple[int, int]
    form: Callable[[], Float[Tensor, "m n"]]
    sources: Callable[[], Iterator[tuple[str, Tensor]]]
    factor: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.size

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Rows of the update."""
        return self.factor * self.form()[start:stop]

    def scaled(self, factor: float) -> "Merged":
        """Return factor times the update: only the factor changes."""
        return replace(self, factor=self.factor * factor)

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """The configuration, the adapter's tensors and, where it matters, the base's weight."""
        yield f"factor {self.factor!r}", torch.zeros(0)
        yield from self.sources()


def merged_entries(names: Sequence[str], folder: Folder) -> tuple[Entries, list[str]]:
    """Entries of all modules, and the names of what does not belong to them.

    Raises:
        GoniometerError: the base is needed and absent, or a size is beyond what can be formed.
    """
    kind = KINDS[folder.tree["peft_type"]]
    pattern = re.compile(rf"^(?:(?P<module>.+)\.)?{kind.prefix}[^.]*(?:\.[^.]+)?$")
    modules: dict[str, list[str]] = {}
    shared, others = [], []
    for name in names:
        match = pattern.match(name)
        if match is None:
            others.append(name)
        elif match["module"] in (None, "base_model"):
            shared.append(name)
        else:
            modules.setdefault(match["module"], []).append(name)
    shapes = {module: shape_of(module, mine, folder) for module, mine in modules.items()}
    largest = None
    if kind.largest and shapes:
        largest = (max(m for m, _ in shapes.values()), max(n for _, n in shapes.values()))
    found: Entries = {}
    for module, mine in modules.items():
        check_sizes(module, (*mine, *shared), shapes[module], folder)
        tree = _tree_of(module, folder)
        reader = _Reader(folder, module, tree, (*mine, *shared), shapes[module], kind, largest)
        found |= reader.entries()
    return found, others


def _tree_of(module: str, folder: Folder) -> Mapping[str, Any]:
    """The configuration as one module has it: PEFT would match patterns without a limit of time."""
    found = dict(folder.tree)
    for key in found.keys() & {"rank_pattern", "alpha_pattern"}:
        patterns = found[key] or {}
        if not isinstance(patterns, dict):
            raise GoniometerError(
                "no patterns", file=folder.config, key=key, found=repr(patterns)[:200]
            )
        value = folder.patterns.find(patterns, module, key, None)
        found[key] = {} if value is None else {re.escape(module): value}
    return found


@final
@dataclass(frozen=True)
class _Reader:
    """Reads one module."""

    folder: Folder
    module: str
    tree: Mapping[str, Any]
    names: tuple[str, ...]
    shape: tuple[int, int]
    kind: Kind
    largest: tuple[int, int] | None

    def entries(self) -> Entries:
        m, n = self.shape
        found = {self.module: self._entry((m, n), 0)}
        if self.bias is not None and not self._feedforward:
            found[f"{self.module}.bias"] = self._entry((m, 1), 1)
        return found

    @property
    def bias(self) -> StoredTensor | None:
        found = self.folder.find(f"{self.module}.bias") if self.kind.bias else None
        if found is not None and found.shape != self.shape[:1]:
            raise GoniometerError(
                "the base does not fit the run", file=found.file, key=found.key,
                found=f"shape {found.shape}", expected=f"{self.shape[:1]}",
            )  # fmt: skip
        return found

    @property
    def _feedforward(self) -> bool:
        """IA3 on what goes into a module leaves its bias alone."""
        shapes = (self.folder.weights.tensors[name].shape for name in self.names)
        return self.kind.prefix == "ia3_" and any(shape[:1] == (1,) for shape in shapes)

    def _entry(self, size: tuple[int, int], which: int) -> Entry:
        def load() -> Merged:
            return Merged(size, cache(lambda: self.form()[which]), self.sources)

        return Entry(Outline(size, min(size), low_rank=False), load)

    def form(self) -> tuple[Tensor, Tensor]:
        """The update of weight and bias, by PEFT."""
        from goniometer.deltas.peft_fallback import merged_update

        weight = torch.zeros(self.shape, dtype=torch.float64)
        if self.kind.weight:
            why = f"{self.folder.tree['peft_type']} acts on the base's weight"
            weight = self.folder.require(self.module, why).rows()
        bias = None if self.bias is None else self.bias.rows()
        tensors = {name: self.folder.weights.value(name) for name in self.names}
        return merged_update(self.tree, self.module, tensors, weight, bias, self.largest)

    def sources(self) -> Iterator[tuple[str, Tensor]]:
        """What the update is made of."""
        content = {k: v for k, v in sorted(self.tree.items()) if not _NOT_CONTENT.search(k)}
        yield json.dumps(content, sort_keys=True), torch.zeros(0)
        for name in sorted(self.names):
            yield name, self.folder.weights.value(name)
        if self.kind.weight:
            base = self.folder.require(self.module, "")
            yield "base", base.stored()
