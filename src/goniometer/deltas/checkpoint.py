"""Read a full fine-tune, a folder of safetensors, as its difference from its base.

Nothing is held: each module's update is two places in files, read a block of rows at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import torch

from goniometer.deltas.base_model import (
    EMBEDDINGS,
    HEADS,
    BaseModel,
    is_buffer,
    named_weights,
    ties_head,
)
from goniometer.deltas.companions import Companions
from goniometer.deltas.delta import Delta, Provenance
from goniometer.deltas.fused import parts
from goniometer.deltas.matrix import AbstractMatrix, Difference
from goniometer.deltas.tensors import FLOATS, StoredTensor, checkpoint_tensors, model_config
from goniometer.errors import GoniometerError

Weights = dict[str, StoredTensor]


@final
@dataclass
class _Pairing:
    """Weights of the run and of the base by the base's names, and what cannot be subtracted."""

    run: Weights
    base: Weights
    not_read: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_checkpoint(path: Path, companions: Companions) -> Delta:
    """Read a model's folder, sharded or not, as tuned - base, by module.

    Every weight that both have is in it, unchanged ones too: matrices out by in features, biases
    (`NAME.bias`) and norms as one column, experts one by one, fused projections as q, k and v.
    A tied head is one module with its embedding. Of an embedding with added rows the common ones
    are in it. Names are the base's, with the `model.` that it has under a head.

    Raises:
        GoniometerError: no base is given or found by the name in config.json, or it is the run
            itself, or does not fit it; a file is absent, truncated or not what the index says;
            weights are quantised, or (when they are read) NaN or Inf.
    """
    config = model_config(path)
    name = config.get("_name_or_path")
    named = name if isinstance(name, str) and name else None
    tensors = checkpoint_tensors(path)
    base = companions.require_base(
        named, file=path, why="a full checkpoint is read as its difference from its base"
    )
    if base.folder.resolve() == path.resolve():
        raise GoniometerError(
            "the run and its base are one folder", file=path,
            fix="give the base that it was trained from with --base",
        )  # fmt: skip
    _refuse_quantised(tensors)
    _refuse_quantised(base.tensors)
    # Both sides by one configuration, so that what is turned in one is turned in the other.
    found = named_weights(tensors, base.config)
    run = {base.spelling(name) or name: weight for name, weight in found.items()}
    pairing = _Pairing(run, dict(base.modules))
    _tie(pairing, base, ties_head(config or base.config))
    matrices = _differences(pairing, base, path)
    _tell_unpaired(pairing, tensors)
    provenance = Provenance(
        source=str(path),
        format="checkpoint",
        base=named,
        not_read=tuple(sorted(pairing.not_read)),
        warnings=tuple(pairing.warnings),
    )
    return Delta(matrices, provenance)


def _refuse_quantised(tensors: Mapping[str, StoredTensor]) -> None:
    for tensor in tensors.values():
        if tensor.dtype not in FLOATS and not is_buffer(tensor):
            raise GoniometerError(
                "quantised weights cannot be subtracted", file=tensor.file, key=tensor.key,
                found=tensor.dtype, expected=" or ".join(FLOATS),
                fix="give the model before it was quantised",
            )  # fmt: skip


def _tie(pairing: _Pairing, base: BaseModel, run_may_tie: bool) -> None:
    """Leave a head out where run and base tie it to the embedding; else let both have one."""
    heads = [name for name in {**pairing.run, **pairing.base} if name.rpartition(".")[2] in HEADS]
    embedding = base.embedding
    if len(heads) != 1 or embedding is None or embedding not in pairing.run:
        return
    head = heads[0]
    sides = ((pairing.run, run_may_tie), (pairing.base, ties_head(base.config)))
    absent = [head not in weights for weights, _ in sides]
    if any(gone and not may_tie for gone, (_, may_tie) in zip(absent, sides, strict=True)):
        return  # saved without its head, which is told as a tensor of one side only
    if all(head not in w or _equal(w[head], w[embedding]) for w, _ in sides):
        for weights, _ in sides:
            weights.pop(head, None)
    elif any(absent):
        side = "run" if absent[0] else "base"
        pairing.warnings.append(f"{head} is tied in the {side}: its rows there are the embedding's")
        for weights, _ in sides:
            weights.setdefault(head, weights[embedding])


def _equal(first: StoredTensor, second: StoredTensor) -> bool:
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        return False
    blocks = Difference(first, second).blocks()
    return all(torch.equal(first.stored(*b), second.stored(*b)) for b in blocks)


def _differences(pairing: _Pairing, base: BaseModel, path: Path) -> dict[str, AbstractMatrix]:
    found: dict[str, AbstractMatrix] = {}
    for name, tuned in pairing.run.items():
        origin = pairing.base.get(name)
        if origin is None or 0 in tuned.shape:
            continue
        if tuned.shape != origin.shape:
            _check_resized(name, tuned, origin, path)
            _tell_resized(name, tuned, origin, pairing)
        shape = Difference(tuned, origin).shape
        split = parts(name, shape, base.config)
        if split is None:
            found[name] = Difference(tuned, origin)
        else:
            for part, rows in split.items():
                found[part] = Difference(tuned.part(rows), origin.part(rows))
    if not found:
        raise GoniometerError(
            "the run has no weight in common with the base", file=path,
            found=f"base {base.folder}", fix="name the base that the run was trained on",
        )  # fmt: skip
    return found


def _check_resized(name: str, tuned: StoredTensor, origin: StoredTensor, path: Path) -> None:
    """Only what has a row for each token of a vocabulary may have more rows or fewer."""
    resizable = name.removesuffix(".bias").rpartition(".")[2] in (*EMBEDDINGS, *HEADS)
    if not resizable or tuned.shape[1:] != origin.shape[1:] or 0 in origin.shape:
        raise GoniometerError(
            "the base does not fit the run", file=path, key=name, found=f"shape {tuned.shape}",
            expected=f"{origin.shape} as in {origin.file.parent}",
            fix="name the base that the run was trained on",
        )  # fmt: skip


def _tell_resized(name: str, tuned: StoredTensor, origin: StoredTensor, pairing: _Pairing) -> None:
    run, base = tuned.shape[0], origin.shape[0]
    if run > base:
        pairing.not_read.append(f"{name}, rows {base} to {run - 1}")
    pairing.warnings.append(
        f"{name} has {run} rows, {base} in the base: the first {min(run, base)} are compared"
    )


def _tell_unpaired(pairing: _Pairing, tensors: Mapping[str, StoredTensor]) -> None:
    pairing.not_read += [key for key, tensor in tensors.items() if is_buffer(tensor)]
    for side, mine, other in (
        ("run", pairing.run, pairing.base),
        ("base", pairing.base, pairing.run),
    ):
        lone = sorted(name for name in mine if name not in other)
        if lone:
            shown = ", ".join(lone[:3]) + (", ..." if len(lone) > 3 else "")
            pairing.warnings.append(f"{len(lone)} weights only in the {side}, not read: {shown}")
        if side == "run":
            pairing.not_read += lone
