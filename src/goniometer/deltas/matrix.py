"""Matrices as updates come: dense, or low rank by their factors. Closed under +, - and scaling.

Nothing compares raw factors: (B R, R^-1 A) is the same update and gives the same numbers.
`linear_operator` was weighed and left: its `svd` is an eigendecomposition, which squares
the condition number.
"""

import abc
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

# How far from orthonormal the first pass of CholeskyQR2 may leave Q for the second to mend it.
FIRST_PASS = 1e-2


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
    def dense(self) -> Float[Tensor, "m n"]:
        """Form the m x n matrix in float64. For tests and small matrices."""

    @abc.abstractmethod
    def inner(self, other: "AbstractMatrix") -> float:
        """Frobenius inner product <self, other>, accumulated in float64."""

    @abc.abstractmethod
    def svd(self) -> SVD:
        """Thin SVD, cut where S falls under S[0] * max(m, n) * eps of float64."""

    @abc.abstractmethod
    def scaled(self, factor: float) -> "AbstractMatrix":
        """Return factor times the matrix, of the same class."""

    def __add__(self, other: "AbstractMatrix") -> "AbstractMatrix":
        """Sum; low rank plus low rank concatenates factors."""
        if self.shape != other.shape:
            raise ValueError(f"shapes differ: {self.shape} and {other.shape}")
        if isinstance(self, LowRank) and isinstance(other, LowRank):
            B = torch.cat([self.B.double() * self.scale, other.B.double() * other.scale], dim=1)
            return LowRank(B, torch.cat([self.A.double(), other.A.double()]), 1.0)
        return Dense(self.dense() + other.dense())

    def __sub__(self, other: "AbstractMatrix") -> "AbstractMatrix":
        """Difference, by the sum with the negated other."""
        return self + other.scaled(-1.0)


@final
@dataclass(frozen=True, eq=False)
class Dense(AbstractMatrix):
    """An update held entry by entry."""

    value: Float[Tensor, "m n"]

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        m, n = self.value.shape
        return m, n

    def dense(self) -> Float[Tensor, "m n"]:
        """Return the value in float64."""
        return self.value.double()

    def inner(self, other: AbstractMatrix) -> float:
        """Sum of the entrywise products; against low rank by the factors."""
        if isinstance(other, LowRank):
            return other.inner(self)
        return float((self.dense() * other.dense()).sum())

    def svd(self) -> SVD:
        """Full float64 SVD, cut at the numerical rank."""
        U, S, Vt = torch.linalg.svd(self.dense(), full_matrices=False)
        return _cut(U, S, Vt.T, max(self.shape))

    def scaled(self, factor: float) -> "Dense":
        """Return factor times the matrix."""
        return Dense(self.value * factor)


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

    def dense(self) -> Float[Tensor, "m n"]:
        """Multiply the factors out."""
        return self.scale * (self.B.double() @ self.A.double())

    def inner(self, other: AbstractMatrix) -> float:
        """s1 s2 tr((B1' B2)(A2 A1')): r x r matrices only. Against dense: s tr(B' D A')."""
        B, A = self.B.double(), self.A.double()
        if isinstance(other, LowRank):
            left, right = B.T @ other.B.double(), A @ other.A.double().T
            return float(self.scale * other.scale * (left * right).sum())
        return float(self.scale * ((B.T @ other.dense()) * A).sum())

    def svd(self) -> SVD:
        """QR of B and of A', then the SVD of the r x r core."""
        Q_B, R_B = orthonormalise(self.B.double())
        Q_A, R_A = orthonormalise(self.A.double().T)
        u, S, vt = torch.linalg.svd(self.scale * (R_B @ R_A.T))
        cut = _cut(u, S, vt.T, max(self.shape))
        return SVD(Q_B @ cut.U, cut.S, Q_A @ cut.V)

    def scaled(self, factor: float) -> "LowRank":
        """Return factor times the matrix: only the scale changes."""
        return replace(self, scale=self.scale * factor)


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


def _cut(
    U: Float[Tensor, "m s"], S: Float[Tensor, " s"], V: Float[Tensor, "n s"], size: int
) -> SVD:
    floor = S[0] * size * torch.finfo(S.dtype).eps if len(S) else 0.0
    rank = int((floor < S).sum())
    return SVD(U[:, :rank], S[:rank], V[:, :rank])
