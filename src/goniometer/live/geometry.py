"""The geometry of an update while it trains: norm, effective rank, cosine to a reference.

Read from the factors where they lie, modules of one shape in one product; only r x r matrices
leave the device, and no m x n matrix is formed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas import Delta, LowRank, check_shapes
from goniometer.errors import GoniometerError
from goniometer.geometry.spectrum import effective_rank
from goniometer.live.adapter import SOURCE
from goniometer.results import Reading

NORM, RANK, COSINE = "update_norm", "effective_rank", "cosine_to_reference"
# Entries of one stack of factors: 32 MB in float64.
STACK = 1 << 22
Factors = tuple[Float[Tensor, "module m r"], Float[Tensor, "module r n"]]


@final
@dataclass(frozen=True)
class _Stack:
    """Modules of one shape and rank, and the reference's factors there, scaled, where it has it."""

    live: Delta
    modules: tuple[str, ...]
    reference: Factors | None

    def read(self) -> tuple[Float[Tensor, "module r r"], Float[Tensor, "module r r"], Tensor]:
        """Grams of B, scaled, and of A, and inner products with the reference [module].

        Each as `LowRank.inner`, for a stack at once.
        """
        found = [_low_rank(self.live, name) for name in self.modules]
        device = _device(found[0])
        scale = torch.tensor([m.scale for m in found], dtype=torch.float64, device=device)
        B = torch.stack([m.B for m in found]).to(device).double()
        A = torch.stack([m.A for m in found]).to(device).double()
        B = B * scale[:, None, None]
        inner = torch.zeros_like(scale)
        if self.reference is not None:
            B_ref, A_ref = (side.double() for side in self.reference)
            inner = ((B.mT @ B_ref) * (A @ A_ref.mT)).sum((1, 2))
        return B.mT @ B, A @ A.mT, inner


def _device(matrix: LowRank) -> torch.device:
    """Where products are formed: by the factors, but MPS knows no float64."""
    found = matrix.B.device
    return torch.device("cpu") if found.type == "mps" else found


@final
class LiveGeometry:
    """Norm, effective rank and cosine to a reference of a delta whose values change."""

    def __init__(self, live: Delta, reference: Delta | None = None) -> None:
        """Stack the modules of one shape, and what the reference holds of them.

        Raises:
            GoniometerError: a module has another shape in the reference, or a dense update there.
        """
        self.live, self.reference = live, reference
        self.shared: tuple[str, ...] = ()
        self._reference_norm = 0.0
        if reference is not None:
            check_shapes({reference.provenance.source: reference, SOURCE: live})
            self.shared = tuple(name for name in live if name in reference)
            self._reference_norm = sum(m.inner(m) for m in reference.values()) ** 0.5
        matrices = {name: _low_rank(reference, name) for name in self.shared} if reference else {}
        self._stacks = tuple(_stacks(live, matrices))

    @torch.no_grad()
    def read(self) -> dict[str, Reading]:
        """Return each number, or why it has none; no cosine where there is no reference.

        The norm is over all modules; effective rank is exp(-sum p log p), p = sigma / sum sigma
        (Roy and Vetterli, EUSIPCO 2007), its median over modules that are not zero; the cosine is
        <update, reference> / (norms over all modules of each): a module of one only is a zero.
        """
        on_device = [
            stack.read() for stack in self._stacks
        ]  # all queued before the first is awaited
        grams = [tuple(part.cpu() for part in parts) for parts in on_device]
        energies = torch.cat([(left * right).sum((1, 2)) for left, right, _ in grams])
        if not bool(torch.isfinite(energies).all()):
            return self._none_of((NORM, RANK, COSINE), "the factors hold NaN or Inf")
        norm = float(energies.clamp_min(0).sum().sqrt())
        readings = {NORM: Reading(value=norm)}
        if norm == 0:
            return readings | self._none_of((RANK, COSINE), "zero delta")
        ranks: list[float] = []
        for left, right, _ in grams:
            sigma = spectrum(left, right)
            sigma = sigma[sigma[:, 0] > 0]
            ranks += effective_rank(sigma, sigma.square().sum(1)).tolist()
        readings[RANK] = Reading(value=median(ranks))
        inner = float(sum(inner.sum() for *_, inner in grams))
        return readings | self._cosine(inner, norm)

    def _cosine(self, inner: float, norm: float) -> dict[str, Reading]:
        if not self.shared:
            return self._none_of((COSINE,), "the reference shares no module with the model")
        if self._reference_norm == 0:
            return self._none_of((COSINE,), "the reference is a zero delta")
        cosine = inner / (norm * self._reference_norm)
        return {COSINE: Reading(value=max(-1.0, min(1.0, cosine)))}

    def _none_of(self, names: tuple[str, ...], reason: str) -> dict[str, Reading]:
        asked = names if self.reference is not None else [n for n in names if n != COSINE]
        return {name: Reading(undefined=reason) for name in asked}

    def notes(self) -> list[str]:
        """Say what the numbers leave out."""
        found = []
        others = self.live.provenance.not_read
        if others:
            what = (
                "DoRA: its magnitudes are not" if self.live.provenance.format == "DoRA" else "not"
            )
            found.append(
                f"{what} measured: {len(others)} trained tensors besides the LoRA factors of "
                f"linear modules, such as {others[0]}"
            )
        missing = len(self.live) + len(self.reference or ()) - 2 * len(self.shared)
        if self.reference is not None and self.shared and missing:
            found.append(
                f"{len(self.shared)} of the model's {len(self.live)} modules are among the "
                f"reference's {len(self.reference)}; what one lacks is a zero in the cosine"
            )
        return found


def _low_rank(delta: Delta, name: str) -> LowRank:
    found = delta[name]
    if not isinstance(found, LowRank):
        raise GoniometerError(
            "a dense update as a reference would have to be held in memory",
            file=delta.provenance.source, key=name, expected="a LoRA",
        )  # fmt: skip
    return found


def _stacks(live: Delta, reference: Mapping[str, LowRank]) -> Iterator[_Stack]:
    """Group modules whose products have one shape, a bounded number of entries a group."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name in live:
        mine, other = _low_rank(live, name), reference.get(name)
        rank = other.B.shape[1] if other is not None else 0
        groups.setdefault((mine.B.shape, mine.A.shape, mine.B.device, rank), []).append(name)
    for names in groups.values():
        first = _low_rank(live, names[0])
        step = max(1, STACK // (first.B.numel() + first.A.numel()))
        for start in range(0, len(names), step):
            chosen = names[start : start + step]
            known = [reference[name] for name in chosen if name in reference]
            yield _Stack(live, tuple(chosen), _factors(known, _device(first)))


def _factors(matrices: Sequence[LowRank], device: torch.device) -> Factors | None:
    if not matrices:
        return None
    B = torch.stack([matrix.B.double() * matrix.scale for matrix in matrices])
    return B.to(device), torch.stack([matrix.A for matrix in matrices]).to(device)


def spectrum(
    left: Float[Tensor, "module r r"], right: Float[Tensor, "module r r"]
) -> Float[Tensor, "module r"]:
    """Singular values, descending, of B A from the Grams B'B and A A': those of R_B R_A'.

    A Gram squares the condition number: values below 1e-8 of the largest are noise, which moves an
    effective rank by less than 1e-5. Columns are brought to norm 1 first, so that their unequal
    sizes cost nothing.
    """
    sizes, roots = [], []
    for gram in (left, right):
        size = gram.diagonal(dim1=-2, dim2=-1).sqrt()
        unit = size.where(size > 0, 1)
        values, vectors = torch.linalg.eigh(gram / (unit[:, :, None] * unit[:, None, :]))
        roots.append(values.clamp_min(0).sqrt()[:, :, None] * vectors.mT)
        sizes.append(size)
    core = roots[0] * (sizes[0] * sizes[1])[:, None, :] @ roots[1].mT
    return torch.linalg.svdvals(core)
