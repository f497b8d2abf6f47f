"""Factors with a diagonal between or around them: VeRA and AdaLoRA, exactly as low rank.

VeRA (arXiv 2310.11454, equation 2): diag(b) B diag(d) A with B and A frozen, shared by all
modules and cut to each one's shape. AdaLoRA (arXiv 2303.10512, equation 2): B diag(E) A, in PEFT
times alpha / (rank + 1e-5).
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from goniometer.deltas.delta import Outline
from goniometer.deltas.matrix import LowRank
from goniometer.deltas.peft_config import LoraConfig
from goniometer.deltas.peft_folder import Entries, Entry, Folder
from goniometer.deltas.peft_lora import Factors
from goniometer.errors import GoniometerError

_LAMBDA_B, _LAMBDA_D = ".vera_lambda_b", ".vera_lambda_d"
_SHARED = {"A": "base_model.vera_A", "B": "base_model.vera_B"}
# In PEFT's AdaLoRA the scale is alpha over the rank plus this.
_EPSILON = 1e-5


def adalora_entry(factors: Factors, folder: Folder, config: LoraConfig) -> Entry:
    """Entry of one module; its rank is the one that was left, whatever the configuration's r.

    Raises:
        GoniometerError: a factor is missing, or they do not fit.
    """
    shapes = {
        side: folder.weights.tensors[factors.names[side]].shape
        for side in ("A", "B", "E")
        if side in factors.names
    }
    A, B, E = (shapes.get(side, ()) for side in ("A", "B", "E"))
    fits = len(A) == len(B) == 2 and 0 not in (*A, *B) and A[0] == B[1] and (A[0], 1) == E
    if not fits or factors.names.keys() != {"A", "B", "E"}:
        raise _misfit(folder, factors.module, f"lora_A {A}, lora_E {E}, lora_B {B}")
    rank = A[0]
    alpha = config.lora_alpha if config.lora_alpha > 0 else float(rank)
    scale = alpha / (rank + _EPSILON)

    def load() -> LowRank:
        A, B, E = (folder.weights.value(factors.names[side]) for side in ("A", "B", "E"))
        return LowRank(B, A.double() * E.double(), scale)

    return Entry(Outline((B[0], A[1]), rank), load)


def vera_entries(names: Sequence[str], folder: Folder) -> tuple[Entries, list[str]]:
    """Entries of all modules, and the names of what is no part of VeRA.

    Raises:
        GoniometerError: no base, from which the modules' in features are known; the projections
            were not saved and cannot be drawn again; something does not fit.
    """
    modules = [name.removesuffix(_LAMBDA_B) for name in names if name.endswith(_LAMBDA_B)]
    ours = {f"{module}{part}" for module in modules for part in (_LAMBDA_B, _LAMBDA_D)}
    shapes = {
        module: _matrix_shape(folder.require(module, "VeRA's factors are cut to the base's shapes"))
        for module in modules
    }
    projections = _projections(folder, [*shapes.values()]) if shapes else {}
    found = {
        module: _vera_entry(module, folder, shape, projections) for module, shape in shapes.items()
    }
    return found, [name for name in names if name not in ours and name not in _SHARED.values()]


def _matrix_shape(base: Any) -> tuple[int, int]:
    return base.shape[0], math.prod(base.shape[1:])


def _projections(
    folder: Folder, shapes: Sequence[tuple[int, int]]
) -> Mapping[str, tuple[tuple[int, ...], Any]]:
    """Shapes of the shared A and B, and how to read each."""
    tensors = folder.weights.tensors
    if all(name in tensors for name in _SHARED.values()):
        return {
            side: (tensors[name].shape, partial(folder.weights.value, name))
            for side, name in _SHARED.items()
        }
    rank, seed = folder.tree.get("r"), folder.tree.get("projection_prng_key")
    longest = max((math.prod(t.shape) for t in tensors.values()), default=0)
    if type(rank) is not int or not 0 < rank <= longest or type(seed) is not int or seed < 0:
        raise GoniometerError(
            "VeRA without its projections", file=folder.config, key="projection_prng_key",
            found=f"r {rank!r}, key {seed!r}", expected="the rank and the key that they came from",
            fix="save it with save_projection=True",
        )  # fmt: skip
    sizes = (max((m for m, _ in shapes), default=0), max((n for _, n in shapes), default=0))
    draw = partial(_drawn, rank, sizes, seed)
    return {
        "A": ((rank, sizes[1]), lambda: draw()[0]),
        "B": ((sizes[0], rank), lambda: draw()[1]),
    }


def _drawn(rank: int, sizes: tuple[int, int], seed: int) -> tuple[Tensor, Tensor]:
    from goniometer.deltas.peft_fallback import vera_projections

    return vera_projections(rank, sizes, seed)


def _vera_entry(
    module: str,
    folder: Folder,
    shape: tuple[int, int],
    projections: Mapping[str, tuple[tuple[int, ...], Any]],
) -> Entry:
    m, n = shape
    tensors, (b, d) = folder.weights.tensors, (f"{module}{_LAMBDA_B}", f"{module}{_LAMBDA_D}")
    (A, read_A), (B, read_B) = projections["A"], projections["B"]
    b_shape, d_shape = tensors[b].shape, tensors[d].shape if d in tensors else None
    rank = A[0] if len(A) == len(B) == 2 else 0
    fits = rank > 0 and B[1] == rank and B[0] >= m and A[1] >= n
    if not fits or b_shape != (m,) or d_shape != (rank,):
        found = f"lambda_b {b_shape}, lambda_d {d_shape}, vera_A {A}, vera_B {B}"
        raise _misfit(folder, module, f"{found}, base {shape}")

    def load() -> LowRank:
        left = folder.weights.value(b).double()[:, None] * read_B()[:m].double()
        return LowRank(left, folder.weights.value(d).double()[:, None] * read_A()[:, :n], 1.0)

    return Entry(Outline(shape, rank), load)


def _misfit(folder: Folder, module: str, found: str) -> GoniometerError:
    return GoniometerError(
        "the factors do not fit", file=folder.weights.file, key=module, found=found,
        expected="factors of one rank",
    )  # fmt: skip
