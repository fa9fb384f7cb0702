"""The deviance at hundreds of θ at once, to see every basin of it before a descent goes to the bottom of one.

A profiled likelihood can have several minima, a variance of zero among them. In the logarithm of a standard deviation
the deviance has no feature much narrower than one (1/(1 + t²a) is logistic there), so a grid shows its basins. Of a
model that is small enough everything is one array computation on the cross-products, B points at once:

    1. levels j of the front with one A = Z_j'Z_j are added up: W_A = Σ a_j ⊗ a_j, a_j = Z_j'[Z_r X y]
    2. [Z_r X y]'V_f⁻¹[Z_r X y] = [Z_r X y]'[Z_r X y] − Σ_A <(G⁻¹ + A)⁻¹, W_A>: one matrix product for all points
    3. bordered by Λ_r and I, its Cholesky factor has log|C_r|, log|X'V⁻¹X| and r² on the diagonal

The grid here is one of standard deviations, for models of scalar terms; those with correlated effects are looked at on
a lattice of covariances (`lows`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from henderson.engine.criterion import LOST, Criterion
from henderson.engine.factor.dense_product import DenseProduct
from henderson.engine.search.cones import Cone, cones
from henderson.engine.search.kinds import APART, kinds_of
from henderson.engine.sums.blocks import Blocks
from henderson.numerics import small
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: columns of [Z_r X y] beyond which a survey would cost more than the descents
WIDEST = 100
#: multiplications that a survey may take to set up and to make, and how many more for each row of the data
SET_UP, BUDGET, PER_ROW = 400_000, 1_500_000, 4
#: columns of [X y] up to which, and points from which on, factors are made entry by entry for all points
NARROW, SEVERAL = 6, 16
#: numbers of W_A up to which putting levels in order costs more than it saves
LITTLE = 4_000
#: numbers of W_A that are held where levels have several effects, and few are alike
MOST = 4_000_000
#: standard deviation from which on (G⁻¹ + A)⁻¹ of a level with less rows than effects is large enough to lose digits
FAR = 100.0


@dataclass(frozen=True)
class Survey:
    """The deviance of a small model as array computation.

    Attributes
    ----------
    blocks : Blocks
    nu : int
    n : int
    reml : bool
    constant : float
        What the criterion adds.
    zz : (q, q, a) array
        The distinct A of the front.
    count : (a,) array
        Levels that have it.
    products : (q(q + 1)/2 a, M²) array
        The W_A, of the first two effects for every A, and so on; of two that differ, both ways together.
    whole : (M, M) array
        [Z_r X y]'[Z_r X y].
    """

    blocks: Blocks
    nu: int
    n: int
    reml: bool
    constant: float
    zz: FloatArray
    count: FloatArray
    products: FloatArray
    whole: FloatArray

    @classmethod
    def of(cls, criterion: Criterion) -> Survey | None:
        """The survey of a criterion; None where it would be dear, or where θ are not entries of λ."""
        blocks, cross = criterion.blocks, criterion.system.cross
        R, m = blocks.n_rest, cross.p + 1
        M = R + m
        q, n_levels = cross.zz.shape[1:]
        linear = all(block.layout.linear for block in blocks.blocks)
        numbers = n_levels * q * q * M * M
        if not linear or M > WIDEST or numbers > SET_UP + PER_ROW * cross.n or (q > 1 and numbers > MOST):
            return None
        dense = getattr(criterion.system, "product", None)
        dense = dense if R and isinstance(dense, DenseProduct) else None
        whole = np.empty((M, M))
        whole[R:, R:] = cross.xy
        if R:
            whole[:R, R:], whole[R:, :R] = cross.rx, cross.rx.T
            whole[:R, :R] = cross.rr.toarray() if dense is None else dense.rr
        zz, count, products = cross.zz, np.zeros(0), np.zeros((0, M * M))
        if blocks.front is not None:
            zz, count, products = kinds_of(cross, apart=numbers <= LITTLE, zr=None if dense is None else dense.a)
        return cls(blocks, criterion.nu, cross.n, criterion.reml, criterion.constant, zz, count, products, whole)

    @property
    def cost(self) -> int:
        """Multiplications for one point."""
        M = len(self.whole)
        q = len(self.zz)
        return self.products.size + (0 if q < 2 else 15 * self.zz.size * q) + M**3 // 3 + 12 * M**2

    @property
    def is_exact(self) -> bool:
        """Whether the levels that were added up have one A to rounding, not to a percent."""
        return len(self.zz) != 1 or self.count.sum() <= APART

    def deviances(self, theta: FloatArray) -> FloatArray:
        """The deviance at working θ (B, k), and what it may be wrong by; infinite where the equations are not positive
        definite, (B,)."""
        log_det, pivots = self._factored(theta)
        with np.errstate(divide="ignore", invalid="ignore"):
            rising, falling = self._logarithms(log_det, pivots)
            out = rising + self.nu * falling + (self.nu * (1.0 + math.log(2.0 * math.pi / self.nu)) + self.constant)
            if self.reml:  # far out the digits of a plateau are lost (`Evaluation.rounding`), and it is not a minimum
                out += LOST * (self._summed(theta) / pivots[self.blocks.n_rest : -1] ** 2).sum(axis=0)
        return np.where(np.isfinite(out), out, np.inf)

    def parts(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What the deviance is the sum of, but for a constant: log|C| + log|X'V⁻¹X| (of ML the first alone), which
        rises with every covariance, and log r², which falls, ν times; NaN where there is none, (B,) each."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._logarithms(*self._factored(theta))

    def _logarithms(self, log_det: FloatArray, pivots: FloatArray) -> tuple[FloatArray, FloatArray]:
        logs = np.log(pivots)
        return log_det + 2.0 * logs[: -1 if self.reml else self.blocks.n_rest].sum(axis=0), 2.0 * logs[-1]

    def _summed(self, theta: FloatArray) -> FloatArray:
        """Size of the sums whose difference is the diagonal of X'V⁻¹X, (p, B) or (p, 1): X'X, and where a variance is
        so large that it shows, what levels with less rows than effects take from it along each of their effects."""
        R, M = self.blocks.n_rest, len(self.whole)
        size = self.whole.diagonal()[R:-1, None]
        if self.blocks.front is not None and len(self.zz) > 1 and np.abs(theta).max(initial=0.0) > FAR:
            far = np.abs(theta).max(axis=1) > FAR
            size = np.repeat(size, len(theta), axis=1)
            weights = np.abs(_front(self.zz, self.count, self._lam(theta[far], self.blocks.front))[0])
            size[:, far] += (weights @ np.abs(self.products[:, R * (M + 1) : -1 : M + 1])).T
        return size

    def _factored(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """log|C| of the front (B,), and the diagonal of the bordered Cholesky factor (M, B)."""
        blocks, M, batch = self.blocks, len(self.whole), len(theta)
        if blocks.front is None:
            log_det, C = np.zeros(batch), np.repeat(self.whole[None], batch, axis=0)
        else:
            taken, log_det = self._eliminated(self._lam(theta, blocks.front))
            if not blocks.rest and M <= NARROW and batch >= SEVERAL:
                C = np.ascontiguousarray(taken.T).reshape(M, M, batch)
                np.subtract(self.whole[:, :, None], C, out=C)
                return log_det, small.diagonals(small.cholesky(C))
            C = self.whole - taken.reshape(batch, M, M)
        for k in blocks.rest:
            block, lam = blocks.blocks[k], self._lam(theta, k)
            rows = slice(blocks.offsets[k], blocks.offsets[k] + block.size)
            if block.q == 1:
                C[:, rows] *= lam
                C[:, :, rows] *= lam
                continue
            _turn_levels(C[:, rows], lam)
            _turn_levels(C.transpose(0, 2, 1)[:, rows], lam)
        C.reshape(batch, -1)[:, : blocks.n_rest * (M + 1) : M + 1] += 1.0
        return log_det, _pivots(C).T

    def _eliminated(self, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Σ_A <(G⁻¹ + A)⁻¹, W_A> of the front (B, M²), and log|C| of all its levels (B,).

        Of two effects (G⁻¹ + A)⁻¹ = (G + |G| adj A)/|C| and |C| = 1 + tr GA + |G||A|, so the sum is one of four sums
        over 1/|C|.
        """
        if lam.shape[1] != 2:
            weights, log_det = _front(self.zz, self.count, lam)
            return weights @ self.products, log_det
        A, sums = self._pairs
        g = np.empty((4, len(lam)))
        np.multiply(lam[:, :, 0].T, lam[:, 0, 0], out=g[:2])
        g[2] = lam[:, 1, 0] ** 2 + lam[:, 1, 1] ** 2
        g[3] = g[0] * lam[:, 1, 1] ** 2
        C = g.T @ A
        C += 1.0
        log_det = np.log(C) @ self.count
        over = np.divide(1.0, C, out=C) @ sums
        return np.matmul(g.T[:, None], over.reshape(len(lam), 4, -1))[:, 0], log_det

    @lazy
    def _pairs(self) -> tuple[FloatArray, FloatArray]:
        """Of two effects a level: A as a lower triangle, twice its second element, and |A| (4, a); their W_A, and
        <adj A, W_A>, (a, 4 M²)."""
        A = self.zz.reshape(4, -1)[[0, 1, 3]]
        W = self.products.reshape(3, A.shape[1], -1)
        adjugate = A[2, :, None] * W[0] - A[1, :, None] * W[1] + A[0, :, None] * W[2]
        size = np.maximum(A[0] * A[2] - A[1] ** 2, 0.0)
        return np.stack([A[0], 2.0 * A[1], A[2], size]), np.concatenate([*W, adjugate], axis=1)

    def _lam(self, theta: FloatArray, k: int) -> FloatArray:
        """λ of a block, (B, q, q)."""
        block = self.blocks.blocks[k]
        return block.layout.lam(theta[:, block.parameters].T).transpose(2, 0, 1)

    @lazy
    def cones(self) -> list[Cone]:
        """The model's covariances."""
        return cones(self.blocks, self.information)

    @lazy
    def information(self) -> list[FloatArray]:
        """Largest diagonal element of Z_j'Z_j for each effect, block by block, (q,)."""
        return [self.largest(k) for k in range(len(self.blocks.blocks))]

    def largest(self, k: int) -> FloatArray:
        """Largest diagonal element of Z_j'Z_j for each effect of a block, (q,)."""
        block = self.blocks.blocks[k]
        if k == self.blocks.front:
            return small.diagonals(self.zz).max(axis=1)
        start = self.blocks.offsets[k]
        return self.whole.diagonal()[start : start + block.size].reshape(-1, block.q).max(axis=0)


def _front(zz: FloatArray, count: FloatArray, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower triangles of (G⁻¹ + A)⁻¹ of the distinct levels (B, q(q + 1)/2 a), and log|C| of all levels (B,)."""
    batch, q, _ = lam.shape
    if q == 1:
        g = lam[:, 0] ** 2
        C = 1.0 + g * zz[0, 0]
        return g / C, np.log(C) @ count
    C = _turned(lam, zz)
    C[range(q), range(q)] += 1.0
    low = small.cholesky(C)
    log_det = 2.0 * np.log(low[range(q), range(q)]).sum(axis=0) @ count
    T = np.ascontiguousarray(np.broadcast_to(lam.transpose(2, 1, 0)[..., None], C.shape))
    small.solve_lower(low, T)
    weights = np.stack([(T[:, r] * T[:, s]).sum(axis=0) for r, s in zip(*np.tril_indices(q))], axis=1)
    return weights.reshape(batch, -1), log_det


def _turned(lam: FloatArray, zz: FloatArray) -> FloatArray:
    """λ'Aλ of every point and kind of level, (q, q, B, a)."""
    q = len(zz)
    right = np.tensordot(lam, zz, ([1], [0]))  # (B, q of λ', q of A, a)
    return np.matmul(right.transpose(1, 0, 3, 2), lam[None]).transpose(0, 3, 1, 2) if q else right


def _turn_levels(C: FloatArray, lam: FloatArray) -> None:
    """λ'C of each level's q rows, in place: (B, J q, M). In passes along M: einsum takes one product at a time."""
    q = lam.shape[1]
    new = C.reshape(len(C), -1, q, C.shape[2])  # an axis that is split stays a view
    old = new.copy()
    for r in range(q):
        new[:, :, r] *= lam[:, r, r, None, None]
        for s in range(q):
            if s != r and lam[:, s, r].any():
                new[:, :, r] += lam[:, s, r, None, None] * old[:, :, s]


def _pivots(C: FloatArray) -> FloatArray:
    """Diagonals of the Cholesky factors of (B, M, M); NaN where one does not exist."""
    try:
        return np.diagonal(np.linalg.cholesky(C), axis1=1, axis2=2)
    except np.linalg.LinAlgError:
        if len(C) == 1:
            return np.full((1, C.shape[1]), np.nan)
        half = len(C) // 2
        return np.concatenate([_pivots(C[:half]), _pivots(C[half:])])
