"""Tensors that an adapter's folder holds whole: saved modules, biases, norms, single tokens.

Each is compared with the base's tensor of that name. Without a base the saved modules are listed
as not read; what the configuration says was trained besides the factors needs the base.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import final

import torch

from goniometer.deltas.delta import Outline
from goniometer.deltas.matrix import Difference, LowRank
from goniometer.deltas.peft_folder import Entries, Entry, Folder
from goniometer.deltas.tensors import FLOATS, StoredTensor
from goniometer.errors import GoniometerError

_SAVED = re.compile(r"\.modules_to_save(?:\.default)?(?=\.)|\.ln_tuning_layers(?=\.)")
_TOKENS = re.compile(r"\.(?:token_adapter\.)?trainable_tokens_delta(?:\.[^.]+)?$")


@final
@dataclass
class Whole:
    """What was found beside the factors."""

    entries: Entries = field(default_factory=dict)
    not_read: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def whole_entries(names: Sequence[str], folder: Folder) -> Whole:
    """Read the outlines of tensors that are no factors.

    Raises:
        GoniometerError: the base is needed and absent or quantised, or does not fit.
    """
    found = Whole()
    trained_bias = folder.tree.get("bias", "none") not in ("none", None)
    for name in names:
        if _TOKENS.search(name):
            _add_tokens(name, folder, found)
        elif name.endswith("base_layer.weight"):
            found.not_read.append(name)  # the base's own weight, saved beside what adapts it
        else:
            if trained_bias and name.endswith(".bias"):
                folder.require_base("trainable bias is saved whole")
            if ".ln_tuning_layers." in name:
                folder.require_base("LN tuning saves norms whole")
            _add(name, folder, found)
    return found


def _parameter(name: str) -> str:
    """Name of the tensor in the base, without `.weight`."""
    return _SAVED.sub("", name).replace(".base_layer.", ".").removesuffix(".weight")


def _add(name: str, folder: Folder, found: Whole) -> None:
    tuned, module = folder.weights.tensors[name], _parameter(name)
    # What is neither matrix nor vector, or no weight (counters, masks), is no update.
    readable = tuned.dtype in FLOATS and len(tuned.shape) in (1, 2) and 0 not in tuned.shape
    base = folder.find(module) if readable else None
    if base is None:
        found.not_read.append(name)  # no base, or a head that the base does not have
        return
    if base.transposed:
        tuned = tuned.turned()
    if tuned.shape[1:] != base.shape[1:] or len(tuned.shape) != len(base.shape):
        raise GoniometerError(
            "the base does not fit the run", file=base.file, key=module,
            found=f"shape {base.shape}", expected=f"{tuned.shape} as in {folder.path}",
        )  # fmt: skip
    matrix = Difference(tuned, base)
    m, n = matrix.shape
    if tuned.shape[0] > m:
        found.not_read.append(f"{name}[{m}:{tuned.shape[0]}]")
    found.entries[module] = Entry(Outline((m, n), min(m, n), low_rank=False), lambda: matrix)


def _add_tokens(name: str, folder: Folder, found: Whole) -> None:
    """Rows of an embedding that were trained one by one: an update of as many ranks."""
    module = _TOKENS.sub("", name)
    tuned = folder.weights.tensors[name]
    base = folder.require(module, "trained tokens are saved whole")
    indices = _token_indices(module, folder)
    if tuned.shape != (len(indices), base.shape[1]):
        raise GoniometerError(
            "the trained tokens do not fit", file=folder.weights.file, key=name,
            found=f"shape {tuned.shape}", expected=f"{(len(indices), base.shape[1])}",
        )  # fmt: skip
    known = [place for place, index in enumerate(indices) if index < base.shape[0]]
    if len(known) < len(indices):
        added = sorted(index for index in indices if index >= base.shape[0])
        found.not_read.append(f"{name}{added}")
    if not known:
        return
    if folder.base is not None and folder.base.config.get("tie_word_embeddings"):
        found.warnings.append(f"{module} is tied: the same rows of the head changed with it")
    rows = [indices[place] for place in known]
    load = partial(_tokens, name, folder, base, known, rows)
    shape = (base.shape[0], base.shape[1])
    found.entries[module] = Entry(Outline(shape, len(known)), load)


def _tokens(
    name: str, folder: Folder, base: StoredTensor, places: Sequence[int], rows: Sequence[int]
) -> LowRank:
    """Columns of the identity times the rows' change."""
    values = folder.weights.value(name).double()[list(places)]
    change = values - torch.cat([base.rows(row, row + 1) for row in rows])
    columns = torch.zeros(base.shape[0], len(rows))
    columns[list(rows), range(len(rows))] = 1.0
    return LowRank(columns, change, 1.0)


def _token_indices(module: str, folder: Folder) -> list[int]:
    tree = folder.tree
    key = "token_indices" if tree.get("peft_type") == "TRAINABLE_TOKENS" else None
    key = key or "trainable_token_indices"
    given = tree.get(key)
    if isinstance(given, dict):
        given = next((v for k, v in given.items() if module == k or module.endswith(f".{k}")), None)
    whole = isinstance(given, list) and all(type(i) is int and i >= 0 for i in given)
    if not whole or len(set(given or ())) != len(given or ()):
        raise GoniometerError(
            "no indices of tokens", file=folder.config, key=key, found=repr(tree.get(key))[:200],
            expected="distinct indices of rows",
        )  # fmt: skip
    return [int(index) for index in given or ()]
