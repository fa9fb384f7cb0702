"""Moments, and exact second derivatives, of series that lie within the levels of one factor, by neighbours.

Where a row depends on the row before it S = R⁻¹ and its derivatives S_a, S_ab in the residuals' parameters are
tridiagonal by series (`cliques`), and R = L⁻¹W⁻¹L⁻ᵀ with L bidiagonal, so that with T = [Z c] and Y_a = L⁻ᵀS_aT, which
a recursion from the last row of each series to the first gives,

    M = T'ST,  M_a = T'S_aT,  M_ab = T'S_abT,  Q_ab = T'S_aRS_bT = Y_a'W⁻¹Y_b          (small, level by level)
    K = λ(λ'M_ZZλ + I)⁻¹λ',   B = [−KM_Zc; I],   A = I − M_ZZK,   x_a = [M_aB]_Z,   Y = Z'V⁻¹c,   X = Z'V⁻¹Z

    c'V⁻¹R_aV⁻¹c = −B'M_aB                                   tr V⁻¹R_a = tr SR_a + tr KM_a
    c'V⁻¹R_aV⁻¹R_bV⁻¹c = B'Q_abB − x_a'Kx_b                  tr V⁻¹R_aV⁻¹R_b = tr SR_aSR_b − 2 tr KQ_ab + tr KM_aKM_b
    c'V⁻¹R_abV⁻¹c = B'(Q_ab + Q_ba − M_ab)B                  tr V⁻¹R_ab = tr SR_ab − tr K(Q_ab + Q_ba − M_ab)
    Z'V⁻¹R_aV⁻¹c = −Ax_a                                     Z'V⁻¹R_aV⁻¹Z = −AM_aA'

(of M_a, M_ab and Q_ab in K their parts ZZ), and for parameters of G the same with E_g between parts of T'V⁻¹T. All
costs what the rows cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from henderson.contract.rows import Rows
from henderson.covariance.layout import Layout
from henderson.engine.likelihood import first_derivatives, second_derivatives
from henderson.engine.moments import KnownCurved, Moments
from henderson.engine.residual.clique_sums import Columns, Parts, RowSums, Shape, Sums
from henderson.engine.residual.cliques import Coefficients, Precision
from henderson.engine.residual.crossed import in_unit_of_y
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.recursion import Recursion
from henderson.engine.sums.blocks import Blocks
from henderson.numerics import lapack, small
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


@dataclass(eq=False)
class ByLevels:
    """The likelihood at one point, exactly.

    Attributes
    ----------
    model : BlockModel
    rows : Rows
    blocks : Blocks
        Of one factor, in whose levels the series lie, or none.
    theta, psi : arrays
        φ, (G, ψ).
    """

    model: BlockModel
    rows: Rows
    blocks: Blocks
    theta: FloatArray
    psi: FloatArray

    @staticmethod
    def suits(blocks: Blocks, precision: Precision) -> bool:
        """Whether a model is one of these."""
        return not blocks.rest and precision.is_of_neighbours

    @lazy
    def moments(self) -> Moments:
        """Moments, y in the working unit and V relative to s²."""
        model, psi = self.model, self.psi
        precision = Precision(model.residual, replace(self.rows, terms=()))
        precision.part(self.rows.n)
        f = precision.coefficients(psi[model.n_g :])
        sums = RowSums.of(precision.alike, self.rows, self.blocks, model.basis)
        M, Ma, Mab = (sums.shape.parts(sums.at(one)) for one in (f.values, f.first, f.second))
        Q = products_through(sums, precision, f, Recursion.of(precision, psi[model.n_g :], self.rows))
        return self._moments(f, M, Ma, Mab, Q)

    def _moments(self, f: Coefficients, M: Parts, Ma: Parts, Mab: Parts, Q: Parts) -> Moments:
        model, n_g, k, r = self.model, self.model.n_g, self.model.k, self.model.k - self.model.n_g
        K, log_c = self._inner(M.zz)
        N, C, E = M.zx, small.multiply(K, M.zx), self._steps()
        A = -small.multiply(M.zz, K)
        A[range(len(A)), range(len(A))] += 1.0
        Y, X = small.multiply(A, N), small.multiply(A, M.zz)
        x = [zx - small.multiply(zz, C) for zz, zx in zip(Ma.zz, Ma.zx)]
        U = [-small.multiply(A, one) for one in x]
        f0, m = M.xx - small.gram(N, C), len(M.xx)
        f1, t1, f2, t2 = np.empty((k, m, m)), np.empty(k), np.empty((k, k, m, m)), np.empty((k, k))
        bent, traces = np.zeros_like(f2), np.zeros((k, k))
        EY, EX = ([small.left(step, one) for step in E] for one in (Y, X))
        for g in range(n_g):
            f1[g], t1[g] = small.gram(Y, EY[g]), _trace(EX[g])
            for h in range(n_g):
                f2[g, h], t2[g, h] = small.gram(EY[g], small.multiply(X, EY[h])), _inner(EX[g], EX[h])
        for a in range(r):
            KMa, VRV = small.multiply(K, Ma.zz[a]), -small.congruence(A, Ma.zz[a])
            f1[n_g + a], t1[n_g + a] = -_form(C, Ma.zz[a], Ma.zx[a], Ma.zx[a], Ma.xx[a]), f.log_first[a] + _trace(KMa)
            for g in range(n_g):
                mixed = small.gram(EY[g], U[a])
                f2[g, n_g + a], f2[n_g + a, g] = mixed, mixed.T
                t2[g, n_g + a] = t2[n_g + a, g] = _trace(small.left(E[g], VRV))
            for b in range(r):
                here, KMb = (n_g + a, n_g + b), small.multiply(K, Ma.zz[b])
                form = _form(C, Q.zz[a, b], Q.zx[a, b], Q.zx[b, a], Q.xx[a, b])
                f2[here] = form - small.gram(x[a], small.multiply(K, x[b]))
                t2[here] = f.squares[a, b] - 2.0 * _trace(small.multiply(K, Q.zz[a, b])) + _inner(KMa, KMb)
                if not model.residual.linear:
                    zz, zx, xx = (own[a, b] + own[b, a] for own in (Q.zz, Q.zx, Q.xx))
                    zz, zx, xx = zz - Mab.zz[a, b], zx - Mab.zx[a, b], xx - Mab.xx[a, b]
                    bent[here] = _form(C, zz, zx, zx, xx)
                    traces[here] = f.traces[a, b] - _trace(small.multiply(K, zz))
        return Moments(
            model.n, model.p, self.psi, f0, f1, t1, f.log_det + log_c - model.log_weights,
            float(lapack.cholesky(f0)[-1, -1] ** 2), KnownCurved(f2, t2, bent, traces), True,
        )  # fmt: skip

    @lazy
    def deviance(self) -> float:
        """−2 log L."""
        model, found = self.model, self.moments
        log_x = np.linalg.slogdet(found.f0[: model.p, : model.p])[1] if model.reml else 0.0
        return float(found.log_det + model.log_weights + log_x + found.r2 + model.constant)

    def _inner(self, M: FloatArray) -> tuple[FloatArray, float]:
        """K (q, q, J), and Σ log|λ'Mλ + I|."""
        if not M.size:
            return np.zeros_like(M), 0.0
        q = len(M)
        G = np.zeros((q, q))
        for place, g, layout in self._terms():
            G[place, place] = layout.covariance(self.psi[g])
        values, vectors = np.linalg.eigh(G)
        lam = vectors * np.sqrt(np.maximum(values, 0.0))
        inside = small.symmetric(lam, M)
        inside[range(q), range(q)] += 1.0
        low = small.cholesky(np.ascontiguousarray(inside))
        log = small.log_det(low)
        half = small.solve_lower(low, np.repeat(lam.T[:, :, None], M.shape[2], axis=2))
        return small.multiply(half.transpose(1, 0, 2), half), log

    def _terms(self) -> list[tuple[slice, slice, Layout]]:
        """Of each term its effects among those of a level, its parameters, and its layout."""
        model, front = self.model, self.blocks.front
        if front is None:
            return []
        block = self.blocks.blocks[front]
        return [(place, model.g_of[k], model.layouts[k]) for k, place in zip(block.terms, block.layout.terms)]

    def _steps(self) -> list[FloatArray]:
        """E_g of every parameter of G, (q, q)."""
        out = {}
        q = 0 if self.blocks.front is None else self.blocks.blocks[self.blocks.front].q
        for place, g, layout in self._terms():
            for at, E in zip(range(g.start, g.stop), layout.basis()):
                out[at] = np.zeros((q, q))
                out[at][place, place] = E
        return [out[at] for at in range(self.model.n_g)]

    @lazy
    def _derivatives(self) -> tuple[FloatArray, FloatArray]:
        """∂d/∂ψ (k,) and ∂²d/∂ψ∂ψ (k, k)."""
        p, root = self.model.p, lapack.cholesky(self.moments.f0)
        inverse = lapack.inverse_lower(root[:p, :p])
        phi, v = inverse.T @ inverse, np.append(-root[p, :p] @ inverse, 1.0)
        restricted = phi if self.model.reml else None
        one = first_derivatives(self.moments, v, restricted)
        two = second_derivatives(self.moments, v, restricted)
        return one.logdet + one.r2, two.logdet + two.r2 - 2 * one.cross @ phi @ one.cross.T

    @lazy
    def gradient(self) -> FloatArray:
        """∂d/∂φ, (f,)."""
        return self.model.jacobian(self.theta).T @ self._derivatives[0]

    @lazy
    def hessian_model(self) -> FloatArray:
        """∂²d/∂φ∂φ, exact, (f, f)."""
        model, (gradient, hessian) = self.model, self._derivatives
        jacobian = model.jacobian(self.theta)
        return jacobian.T @ hessian @ jacobian + model.curvature(self.theta, gradient)


def products_through(sums: RowSums, precision: Precision, f: Coefficients, recursion: Recursion) -> Parts:
    """Q_ab of all parameters of the residuals, (r, r, …) each part."""
    r, shape, columns = len(f.first), sums.shape, sums.entries[0][0]
    own = np.concatenate([columns.front, columns.c], axis=1)
    flat, turned = np.empty((r, r, shape.size)), []
    for a in range(r):
        weights = f.first[a]
        z = weights[: len(own), None] * own
        for (_, _, classes), entry in zip(sums.entries[1:], precision.alike.entries[1:]):
            left, right = precision.alike.rows[entry.row], precision.alike.rows[entry.column]
            w = weights[classes, None]
            z[left] += w * own[right]
            z[right] += w * own[left]
        turned.append(recursion.back(z))
    for a in range(r):
        weighed = turned[a] / recursion.weight[:, None]
        for b in range(r):
            flat[a, b] = _summed(shape, columns, weighed, turned[b])
    return shape.parts(flat)


def _summed(shape: Shape, columns: Columns, one: FloatArray, other: FloatArray) -> FloatArray:
    """Σ one'other of rows of [front c], by level, (size,)."""
    flat, q = np.zeros((1, shape.size)), shape.q
    left, right = (replace(columns, front=np.ascontiguousarray(own[:, :q]), c=own[:, q:]) for own in (one, other))
    sums = Sums(shape, flat, True)
    sums.add(left, right, None)
    sums.close()
    return flat[0]


def _form(C: FloatArray, zz: FloatArray, zx: FloatArray, xz: FloatArray, xx: FloatArray) -> FloatArray:
    """B'PB with B = [−C; I], summed over levels; `xz` is the transpose of what stands above the diagonal."""
    return xx - small.gram(C, zx) - small.gram(xz, C) + small.gram(C, small.multiply(zz, C))


def _trace(a: FloatArray) -> float:
    """Σ_j tr a_j."""
    return float(np.einsum("aaj->", a))


def _inner(a: FloatArray, b: FloatArray) -> float:
    """Σ_j tr a_j b_j."""
    return float(np.einsum("abj,baj->", a, b))


def moments_by_levels(point: ByLevels) -> Moments:
    """Moments at a point, in the working basis, y in its own unit."""
    return in_unit_of_y(point.moments, point.model)
