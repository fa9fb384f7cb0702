"""What depends on single rows beside levels with known relationships, by the sparse factor; see `rows`, `row_forms`.

Rows times √w, in the working basis. With Y = R⁻¹Z and W = (Z'R⁻¹Z + A⁻¹ ⊗ G⁻¹)⁻¹

    (V⁻¹)_ij = (R⁻¹)_ij − y_i'Wy_j      (RV⁻¹)_ii = 1 − z_i'Wy_i      (RV⁻¹R)_ii = R_ii − z_i'Wz_i

and the levels of one series meet in the equations, so that the inverse on their pattern has what is asked of W there.

Rows given all before them take Cholesky's L, a dense matrix. Another root of V⁻¹ takes none: with R = LL' by series and
M = L⁻¹VL⁻ᵀ = I + BB', M^{-1/2}L⁻¹e is uncorrelated with variance one, and nearest to L⁻¹e of all that are. By

    M^{-1/2} = (2/π) ∫ (M + s²I)⁻¹ ds,   s = sc(u | k'),  u from 0 to K = K(k'),  k² = 1/‖M‖

the midpoint rule with N points is right to exp(−2π²N/(log‖M‖ + 3)) (Hale, Higham and Trefethen 2008). V + s²R is
(1 + s²) V at G/(1 + s²), so each of the N is a factor, with W_k there:

    M^{-1/2}L⁻¹e = L⁻¹(e − Z Σ_k c_kW_kY'e),   c_k = (2K/πN) dn(u_k)/cn(u_k)² / (1 + s_k²)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse, special

from henderson.contract.rows import Rows
from henderson.engine.factor.sparse.loads import SparseLoads
from henderson.engine.factor.sparse.pairs import SparsePairs
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.related import ByClass, RelatedModel, RelatedPoint
from henderson.engine.residual.units import Batch, batches_of
from henderson.engine.rows_of_point import CorrelatedRows
from henderson.errors import NotAvailable

FloatArray = np.ndarray

#: error of the symmetric root, relative
ROOT = 1e-10


@dataclass(frozen=True)
class RelatedForms(CorrelatedRows):
    """Forms of a point's rows; see `CorrelatedRows` and `StructuredForms`.

    Attributes
    ----------
    inverse : (n, n) csr_array
        R⁻¹.
    loads : SparseLoads
        Y.
    """

    inverse: sparse.csr_array
    loads: SparseLoads

    def p_block(self, rows: np.ndarray) -> FloatArray:
        """P between some rows, (m, m)."""
        vx = self.vx[rows]
        return self.inverse[rows][:, rows].toarray() - self.loads.block(rows) - vx @ self.phi @ vx.T


def related_forms(point: RelatedPoint) -> RelatedForms:
    """The forms of all rows at a point."""
    related, p, unit = point.related, point.related.model.p, point.related.model.basis.y_scale
    inverse = block_diagonal(related, point.S)
    loads = SparseLoads(sparse.csr_array(inverse @ related.Z), point.rest)
    vx = point.U[:, :p]
    Rvx = point.by_residual(vx)
    leverage = loads.with_others(related.Z) + np.einsum("ia,ab,ib->i", Rvx, point.phi, vx, optimize=True)
    return RelatedForms(
        related.c[:, :p],
        vx,
        unit * (point.U @ point.v),
        unit * (related.c @ point.v),
        point.phi,
        related.model.basis.to_beta,
        related.model.nu,
        unit**2 * point.r2,
        inverse.diagonal() - loads.diagonal(),
        leverage,
        inverse,
        loads,
    )


def variances_left(point: RelatedPoint, rows: Rows) -> FloatArray:
    """Variance of the residuals y − Xβ̂ − Zb̂, diag RPR, (n,)."""
    related, p = point.related, point.related.model.p
    own = np.empty(rows.n)
    for batch, R in zip(related.batches, point.R):
        own[batch.rows] = np.einsum("unn->un", R)[batch.unit_of]
    along = point.by_residual(point.U[:, :p])
    own -= SparseLoads(related.Z, point.rest).diagonal()
    own -= np.einsum("ia,ab,ib->i", along, point.phi, along, optimize=True)
    return np.asarray(related.model.basis.y_scale**2 * own / rows.unit_weights)


def point_without(point: RelatedPoint, rows: Rows, gone: np.ndarray) -> RelatedPoint:
    """The likelihood of the rows without those at `gone`, at the same variances and in the same basis."""
    left = rows[np.setdiff1d(np.arange(rows.n), gone)]
    own = point.related.model
    model = BlockModel(own.design, own.basis, own.roots, own.residual, own.reml, left.n, left.log_weights)
    return RelatedPoint(RelatedModel(model, left), point.theta, point.psi)


def whitened(point: RelatedPoint) -> FloatArray:
    """M^{-1/2}L⁻¹e, (n,)."""
    related, rest = point.related, point.rest
    if any((J < 0).any() for J in rest.signs):
        raise NotAvailable(
            "whitened residuals: not available beside relatives whose variance is negative (bound=False)"
        )
    e = (related.c @ point.v)[:, None]
    score = related.Z.T @ related.times(point.S, e)
    total = np.zeros_like(score)
    for weight, square in _midpoints(_bound(point)):
        lam = [one / np.sqrt(1 + square) for one in rest.lam]
        total += weight / (1 + square) * rest.again(lam).weigh(score)
    left = e - related.Z @ total
    return related.times([np.linalg.inv(np.linalg.cholesky(R)) for R in point.R], left)[:, 0]


def _bound(point: RelatedPoint) -> float:
    """What no eigenvalue of M is above: 1 + ‖S‖ ‖A ⊗ G‖."""
    largest = max(
        (1.0 if relation is None else float(relation.diagonal.sum())) * float(np.linalg.norm(lam, 2) ** 2)
        for relation, lam in zip(point.rest.pairs.relations, point.rest.lam)
    )
    return 1.0 + largest * float(abs(point.rest.rr).sum(axis=1).max())


def _midpoints(largest: float) -> list[tuple[float, float]]:
    """Weights and s² with x^{-1/2} = Σ weight/(x + s²) for x from 1 to the largest."""
    n = int(np.ceil(-np.log(ROOT) * (np.log(largest) + 3) / (2 * np.pi**2)))
    K = special.ellipkm1(1 / largest)
    sn, cn, dn, _ = special.ellipj((np.arange(n) + 0.5) * K / n, 1 - 1 / largest)
    return list(zip(2 * K / (np.pi * n) * dn / cn**2, (sn / cn) ** 2))


@dataclass(frozen=True)
class SeriesCovariance:
    """V between rows of one series, of which all blocks of V are made; in the working basis.

    Attributes
    ----------
    batches : tuple of Batch
        The series.
    random : csr_array
        A ⊗ G where two effects meet in a series.
    """

    related: RelatedModel
    psi: FloatArray
    batches: tuple[Batch, ...]
    random: sparse.csr_array

    @classmethod
    def of(cls, point: RelatedPoint, rows: Rows) -> SeriesCovariance:
        """At a point of the rows."""
        related, model = point.related, point.related.model
        series = batches_of(replace(model.design, terms=()), replace(rows, terms=()))
        met = ByClass.of(related.Z, series)
        pairs = SparsePairs(met.where, related.blocks).weighed(np.zeros(met.where.nnz))
        prior = point.rest.again(point.rest.lam, pairs, met.where)
        return cls(related, point.psi, series, prior.weights_on_pattern())

    def among(self, batch: Batch, first: np.ndarray, second: np.ndarray) -> FloatArray:
        """V of pairs of the places (m,) in each series of a batch, (B, m)."""
        R = self.related.model.residual_cov(self.psi, batch)[batch.unit_of]
        one, other = (self.related.Z[batch.rows[:, at].ravel()] for at in (first, second))
        shared = np.asarray((one @ self.random).multiply(other).sum(axis=1))
        return R[:, first, second] + shared.reshape(len(R), -1)


def block_diagonal(related: RelatedModel, parts: list[FloatArray]) -> sparse.csr_array:
    """A matrix that is block-diagonal by series, given for the units (U, n, n) of each batch, (n, n)."""
    down, across, values = [], [], []
    for batch, A in zip(related.batches, parts):
        own = A[batch.unit_of]
        down.append(np.broadcast_to(batch.rows[:, :, None], own.shape).ravel())
        across.append(np.broadcast_to(batch.rows[:, None, :], own.shape).ravel())
        values.append(own.ravel())
    entries = np.concatenate(values), (np.concatenate(down), np.concatenate(across))
    return sparse.csr_array(sparse.coo_array(entries, shape=(related.model.n,) * 2))
