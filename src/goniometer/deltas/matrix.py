"""Matrices as updates come: low rank by their factors, dense, or rows of files. Closed under +, -.

Nothing compares raw factors: (B R, R^-1 A) is the same update and gives the same numbers.
`linear_operator` was weighed and left: its `svd` is an eigendecomposition, which squares
the condition number.
"""

import abc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.deltas.tensors import StoredTensor

# How far from orthonormal the first pass of CholeskyQR2 may leave Q for the second to mend it.
FIRST_PASS = 1e-2
# Smaller singular values count as zero: their fourth powers leave float64.
SMALLEST = 1e-75
# Entries of a block of rows: 32 MB in float64.
BLOCK = 1 << 22


@final
@dataclass(frozen=True)
class SVD:
    """Thin singular value decomposition, cut at the numerical rank, in float64.

    U is [m rank], S is [rank] descending, V is [n rank]; the matrix is U diag(S) V'.
    """

    U: Float[Tensor, "m rank"]
    S: Float[Tensor, " rank"]
    V: Float[Tensor, "n rank"]


class AbstractMatrix(abc.ABC):
    """One module's update, out features by in features."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int]:
        """(m, n): out features, in features."""

    @abc.abstractmethod
    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Rows start to stop in float64."""

    @abc.abstractmethod
    def scaled(self, factor: float) -> "AbstractMatrix":
        """Return factor times the matrix, of the same class."""

    @abc.abstractmethod
    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """What the content fingerprint is of: names and tensors as they were stored."""

    def dense(self) -> Float[Tensor, "m n"]:
        """Form the m x n matrix in float64. For tests and small matrices."""
        return self.rows(0, self.shape[0])

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of rows that are small enough to be formed."""
        m, n = self.shape
        step = max(1, BLOCK // max(1, n))
        return ((start, min(start + step, m)) for start in range(0, m, step))

    def inner(self, other: "AbstractMatrix") -> float:
        """Frobenius inner product <self, other>, accumulated in float64, a block at a time."""
        return float(sum((self.rows(*b) * other.rows(*b)).sum() for b in self.blocks()))

    def svd(self) -> SVD:
        """Thin SVD, cut where S falls under S[0] * max(m, n) * eps of float64."""
        U, S, Vt = torch.linalg.svd(self.dense(), full_matrices=False)
        return cut(U, S, Vt.T, max(self.shape))

    def __add__(self, other: "AbstractMatrix") -> "AbstractMatrix":
        """Sum; low rank plus low rank concatenates factors."""
        if self.shape != other.shape:
            raise ValueError(f"shapes differ: {self.shape} and {other.shape}")
        if isinstance(self, LowRank) and isinstance(other, LowRank):
            B = torch.cat([self.B.double() * self.scale, other.B.double() * other.scale], dim=1)
            return LowRank(B, torch.cat([self.A.double(), other.A.double()]), 1.0)
        return Sum((self, other))

    def __sub__(self, other: "AbstractMatrix") -> "AbstractMatrix":
        """Difference, by the sum with the negated other."""
        return self + other.scaled(-1.0)


@final
@dataclass(frozen=True, eq=False)
class Dense(AbstractMatrix):
    """An update held entry by entry. A vector (a bias, a norm's weight) is a matrix of one column.

    `parts` names it by its values.
    """

    value: Float[Tensor, "m n"]

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        m, n = self.value.shape
        return m, n

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Rows of the value in float64."""
        return self.value[start:stop].double()

    def scaled(self, factor: float) -> "Dense":
        """Return factor times the matrix."""
        return Dense(self.value * factor)

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """The value."""
        yield "value", self.value


@final
@dataclass(frozen=True, eq=False)
class Difference(AbstractMatrix):
    """factor * (tuned - base), read from files a block of rows at a time; nothing is held.

    Both are matrices, or both vectors, which are read as matrices of one column. Rows that one
    has more of (a resized embedding) are left out: m is the smaller number of rows.
    """

    tuned: StoredTensor
    base: StoredTensor
    factor: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        m = min(self.tuned.shape[0], self.base.shape[0])
        return m, (self.tuned.shape[1] if len(self.tuned.shape) > 1 else 1)

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Rows of the difference, exact in float64 up to one rounding."""
        stop = min(stop, self.shape[0])
        difference = self.tuned.rows(start, stop) - self.base.rows(start, stop)
        return self.factor * difference.reshape(stop - start, self.shape[1])

    def scaled(self, factor: float) -> "Difference":
        """Return factor times the matrix: only the factor changes."""
        return replace(self, factor=self.factor * factor)

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """Blocks of both files, as stored."""
        yield f"factor {self.factor!r}", torch.zeros(0)
        for start, stop in self.blocks():
            yield "tuned", self.tuned.stored(start, stop)
            yield "base", self.base.stored(start, stop)


@final
@dataclass(frozen=True, eq=False)
class Sum(AbstractMatrix):
    """A sum that is not low rank, formed a block of rows at a time."""

    terms: tuple[AbstractMatrix, AbstractMatrix]

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.terms[0].shape

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Sum of the terms' rows."""
        first, second = self.terms
        return first.rows(start, stop) + second.rows(start, stop)

    def scaled(self, factor: float) -> "Sum":
        """Return factor times the sum."""
        first, second = self.terms
        return Sum((first.scaled(factor), second.scaled(factor)))

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """The parts of both terms."""
        for term in self.terms:
            yield from term.parts()


@final
@dataclass(frozen=True, eq=False)
class LowRank(AbstractMatrix):
    """scale * B A, kept as factors in the precision they were stored in."""

    B: Float[Tensor, "m r"]
    A: Float[Tensor, "r n"]
    scale: float
    trained_rank: int | None = None  # where the factors hold more columns than were trained

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.B.shape[0], self.A.shape[1]

    @property
    def rank(self) -> int:
        """Nominal rank: the number of columns of B, or of those that one run trained."""
        return self.B.shape[1] if self.trained_rank is None else self.trained_rank

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows n"]:
        """Multiply some rows of B out."""
        return self.scale * (self.B[start:stop].double() @ self.A.double())

    def inner(self, other: AbstractMatrix) -> float:
        """s1 s2 tr((B1' B2)(A2 A1')): r x r matrices only. Against dense: s tr(B' D A')."""
        B, A = self.B.double(), self.A.double()
        if isinstance(other, LowRank):
            left, right = B.T @ other.B.double(), A @ other.A.double().T
            return float(self.scale * other.scale * (left * right).sum())
        held = sum(B[a:b].T @ other.rows(a, b) for a, b in other.blocks())
        return float(self.scale * (held * A).sum())

    def svd(self) -> SVD:
        """QR of B and of A', then the SVD of the r x r core."""
        Q_B, R_B = orthonormalise(self.B.double())
        Q_A, R_A = orthonormalise(self.A.double().T)
        u, S, vt = torch.linalg.svd(self.scale * (R_B @ R_A.T), full_matrices=False)
        found = cut(u, S, vt.T, max(self.shape))
        return SVD(Q_B @ found.U, found.S, Q_A @ found.V)

    def scaled(self, factor: float) -> "LowRank":
        """Return factor times the matrix: only the scale changes."""
        return replace(self, scale=self.scale * factor)

    def parts(self) -> Iterator[tuple[str, Tensor]]:
        """Both factors, and the scale."""
        yield f"B {self.scale!r}", self.B
        yield "A", self.A


def orthonormalise(
    X: Float[Tensor, "m r"],
) -> tuple[Float[Tensor, "m q"], Float[Tensor, "q r"]]:
    """Return Q with orthonormal columns and R with X = Q R.

    CholeskyQR2 (Yamamoto et al., ETNA 44, 2015) on equilibrated columns: three quarters of the
    work is one symmetric product, which is several times faster than Householder QR for tall
    matrices. It holds where the first pass leaves Q near orthonormal; where it does not, a column
    is zero, or X has fewer rows than columns, Householder QR, which is stable for any X.
    """
    norms = X.norm(dim=0)
    if X.shape[0] >= X.shape[1] and bool((norms > 0).all()):
        scaled = X / norms
        first, failed = torch.linalg.cholesky_ex(scaled.T @ scaled, upper=True)
        if int(failed) == 0:
            eye = torch.eye(X.shape[1], dtype=X.dtype)
            # A product with the inverse of a small factor is several times faster than a solve.
            Q = scaled @ torch.linalg.solve_triangular(first, eye, upper=True)
            gram = Q.T @ Q
            if float((gram - eye).abs().max()) < FIRST_PASS:
                second = torch.linalg.cholesky(gram, upper=True)
                Q = Q @ torch.linalg.solve_triangular(second, eye, upper=True)
                return Q, (second @ first) * norms
    Q, R = torch.linalg.qr(X)
    return Q, R


def cut(U: Float[Tensor, "m s"], S: Float[Tensor, " s"], V: Float[Tensor, "n s"], size: int) -> SVD:
    """Cut a decomposition at the numerical rank of a matrix whose longer side is `size`."""
    floor = max(float(S[0]) * size * torch.finfo(S.dtype).eps, SMALLEST) if len(S) else 0.0
    rank = int((floor < S).sum())
    return SVD(U[:, :rank], S[:rank], V[:, :rank])
