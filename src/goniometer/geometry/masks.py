"""Which weights a run changed, as they would be stored, and whether these are the principal ones.

Sources: arXiv 2511.08567, as restated with formulas in arXiv 2606.07082 (3.1 and appendix C):

- unchanged: |w1 - w0| <= 1e-3 max(|w0|, |w1|). Between bfloat16 numbers, whose spacing is wider
  than that, it is the same as equal bits; between float32 numbers it is not, so that each view is
  labelled. Equal bits are counted beside it in both views.
- principal mask: the top half by magnitude of the rank-64 approximation of W0.
- overlap: |principal and changed| / |changed|, changed in bfloat16.

Where we leave them: they hold the overlap against the share of principal weights, which is what a
mask independent of the weights gives. bfloat16 is coarser where weights are larger, so a small
update that falls anywhere at all also misses large weights: `shuffled`, the same update with its
rows and columns in random order, is the null that has this in it.
"""

from dataclasses import dataclass, fields
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

UNCHANGED = 1e-3
PRINCIPAL_SHARE = 0.5
PRINCIPAL_RANK = 64
# Permutations of an update, each a pass over its entries.
SHUFFLES = 3


@final
@dataclass(frozen=True)
class Entries:
    """Counts of entries, and squared norms of the update and of the base, of some rows."""

    entries: int
    unchanged_fp32: int
    unchanged_bf16: int
    equal_fp32: int
    equal_bf16: int
    update: float
    base: float

    def __add__(self, other: "Entries") -> "Entries":
        """Add the counts of other rows."""
        both = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Entries(*(a + b for a, b in both))


NO_ENTRIES = Entries(0, 0, 0, 0, 0, 0.0, 0.0)


def count_entries(W0: Float[Tensor, "rows n"], dW: Float[Tensor, "rows n"]) -> Entries:
    """Count the entries of some rows that stay as they were, as float32 and as bfloat16.

    W1 is W0 + dW rounded to float32, and from there to bfloat16, as a merge stores it.
    """
    views = ((W0.float(), (W0 + dW).float()), (as_bf16(W0), as_bf16(W0 + dW)))
    unchanged, equal = (
        [int(test(a, b).sum()) for a, b in views] for test in (_within_rounding, torch.eq)
    )
    energy = [float(x.square().sum()) for x in (dW, W0)]
    return Entries(W0.numel(), *unchanged, *equal, *energy)


def as_bf16(W: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Values rounded to bfloat16, by way of float32, held in float32."""
    return W.float().bfloat16().float()


def _within_rounding(
    w0: Float[Tensor, "rows n"], w1: Float[Tensor, "rows n"]
) -> Bool[Tensor, "rows n"]:
    return (w1 - w0).abs() <= UNCHANGED * torch.maximum(w0.abs(), w1.abs())


def principal_mask(
    U: Float[Tensor, "m r"], S: Float[Tensor, " s"], V: Float[Tensor, "n r"]
) -> Bool[Tensor, "m n"]:
    """The PRINCIPAL_SHARE of entries that are largest in U diag(S) V', in float32.

    Singular values without vectors, below the numerical rank, are left out.
    """
    size = ((U * S[: U.shape[1]]).float() @ V.float().T).abs()
    smaller = int((1 - PRINCIPAL_SHARE) * size.numel())
    return size > size.flatten().kthvalue(max(1, smaller)).values


def principal_rank(shape: tuple[int, int]) -> int:
    """PRINCIPAL_RANK; at a small module a quarter of its shorter side, to leave something out."""
    return max(1, min(PRINCIPAL_RANK, min(shape) // 4))


@final
@dataclass(frozen=True)
class Overlap:
    """Share of the changed weights that are principal, and the same under two nulls."""

    value: float
    independent: Float[Tensor, " draw"]
    shuffled: Float[Tensor, " shuffle"]


def overlap(
    mask: Bool[Tensor, "m n"],
    W0: Float[Tensor, "m n"],
    dW: Float[Tensor, "m n"],
    *,
    draws: int,
    rng: np.random.Generator,
) -> Overlap | None:
    """Overlap of the changed weights with a mask; None where no weight changes in bfloat16.

    `independent`: masks of these two densities drawn without regard to each other, whose overlap is
    hypergeometric. `shuffled`: see above; NaN where the shuffled update changes nothing.
    """
    W0, dW = W0.float(), dW.float()
    rounded = W0.bfloat16()
    changed = rounded != (W0 + dW).bfloat16()
    count, principal = int(changed.sum()), int(mask.sum())
    if not count:
        return None
    independent = rng.hypergeometric(principal, mask.numel() - principal, count, draws) / count
    m, n = W0.shape
    shuffled = []
    for _ in range(SHUFFLES):
        rows, columns = (torch.from_numpy(rng.permutation(size)) for size in (m, n))
        moved = rounded != (W0 + dW[rows][:, columns]).bfloat16()
        shuffled.append(float((moved & mask).sum()) / max(1, int(moved.sum())))
    value = float((changed & mask).sum()) / count
    return Overlap(value, torch.from_numpy(independent), torch.tensor(shuffled).double())
