"""Angles between top-k singular subspaces, and the share of one update outside the other's.

Left means out features (columns of U), right means in features (columns of V). The paper's
"share outside SFT's subspace" and its sqrt(1 - cos^2) are different quantities: this file has
the first, `cosine.py` the second.
"""

import math
from functools import partial
from typing import Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.geometry.base import PairBatch, Space

Side = Literal["left", "right"]
SIDES: Final[tuple[Side, ...]] = ("left", "right")
# Above this cosine an angle is read from its sine: arccos loses half of the digits at 1.
SINE_ABOVE = 0.999


def principal_angles(batch: PairBatch, side: Side) -> Float[Tensor, "pair k"]:
    """Angles between the top-k subspaces in degrees, ascending.

    Bjorck and Golub, Math. Comp. 27 (1973): cosines are the singular values of U_a,k' U_b,k;
    near zero the angle comes from the singular values of the residual (I - P_a) U_b,k.
    """
    if side == "left":
        cosines, sines = batch.left_cosines.clamp(max=1), batch.left_sines
    else:
        cosines, sines = batch.right_cosines.clamp(max=1), batch.right_sines
    from_sines = torch.asin(sines.clamp(max=1))
    radians = torch.where(
        (cosines > SINE_ABOVE) & sines.isfinite(), from_sines, torch.acos(cosines)
    )
    return radians * (180 / math.pi)


def angle(batch: PairBatch, side: Side, which: str) -> Float[Tensor, " pair"]:
    """Smallest, median or largest principal angle of a side, in degrees."""
    angles = principal_angles(batch, side)
    match which:
        case "smallest":
            return angles[:, 0]
        case "median":
            # One run has no pairs, and quantile refuses what is empty.
            return torch.quantile(angles, 0.5, dim=1) if len(angles) else angles.sum(1)
        case _:
            return angles[:, -1]


def ranked_angles(batch: PairBatch) -> dict[str, Float[Tensor, " pair"]]:
    """The whole spectrum of principal angles by name: `angle_left_1` is the smallest of its side.

    What the paper quotes as top-1 to 10th; of it, `angle` has the first, the middle and the last.
    """
    spectra = [principal_angles(batch, side).T for side in SIDES]
    angles = [angle for spectrum in spectra for angle in spectrum]
    return dict(zip(rank_names(batch.k), angles, strict=True))


def rank_names(k: int) -> tuple[str, ...]:
    """Names of the k principal angles of both sides, smallest first."""
    return tuple(f"angle_{side}_{rank}" for side in SIDES for rank in range(1, k + 1))


def overlap(batch: PairBatch, side: Side) -> Float[Tensor, " pair"]:
    """Phi = mean cos^2 of the principal angles = ||U_a,k' U_b,k||^2 / k (LoRA paper, sec. 7.2)."""
    block = batch.left if side == "left" else batch.right
    return (block.square().sum((1, 2)) / batch.k).clamp(max=1)


def row_space_overlap(batch: PairBatch) -> Float[Tensor, " pair"]:
    """Mean cos^2 of the principal angles between the whole row spaces: near 1 for a shared A0.

    The row space of B A is that of A, and A moves little in training, so two runs that started
    from one random A still have most of their row space in common.
    """
    return batch.row_space.clamp(max=1)


def off_subspace(batch: PairBatch, side: Space, *, reverse: bool = False) -> Float[Tensor, " pair"]:
    """Share of ||b||^2 outside the top-k singular subspaces of a; `reverse` swaps a and b.

    left 1 - ||U_a,k' b||^2/||b||^2, right 1 - ||b V_a,k||^2/||b||^2,
    joint 1 - ||U_a,k' b V_a,k||^2/||b||^2.
    """
    energy = batch.energy_a if reverse else batch.energy_b
    return (1 - batch.inside[side, reverse] / energy).clamp(min=0)


def top_vector(batch: PairBatch, side: Side) -> Float[Tensor, " pair"]:
    """Absolute cosine of the two top singular vectors: u1 on the left, v1 on the right."""
    return (batch.left if side == "left" else batch.right)[:, 0, 0].abs().clamp(max=1)


u1, v1 = partial(top_vector, side="left"), partial(top_vector, side="right")
