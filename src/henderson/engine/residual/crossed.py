"""Correlated residuals with random effects that tie many rows, crossed factors above all: the likelihood by effects.

With T = [Z̃ c] (all rows times √w, in the working basis), R block-diagonal by series and V = R + Z̃GZ̃', G = I ⊗ λλ' term
by term, everything that inference asks of V⁻¹ follows from products summed series by series,

    M = T'R⁻¹T    M_a = T'R⁻¹R_aR⁻¹T    M_ab = T'R⁻¹R_aR⁻¹R_bR⁻¹T    N_ab = T'R⁻¹R_abR⁻¹T

and K = Λ(Λ'M_ZZΛ + I)⁻¹Λ', as large as there are effects. B = I − [K M_ZT; 0] gives V⁻¹T = R⁻¹TB, so

    T'V⁻¹T = MB    T'V⁻¹R_aV⁻¹T = B'M_aB    tr V⁻¹R_a = tr R⁻¹R_a − tr KM_a    log|V| = log|R| + log|Λ'M_ZZΛ + I|
    c'V⁻¹R_aV⁻¹R_bV⁻¹c = [B'(M_ab − M_aKM_b)B]_cc
    tr V⁻¹R_aV⁻¹R_b = tr R⁻¹R_aR⁻¹R_b − tr K(M_ab + M_ba) + tr KM_aKM_b     (of M_a in K its part ZZ)

and for G's parameters, ∂V = Z̃E_gZ̃', the same with E_g between parts of T'V⁻¹T. They are the `Moments`, from which the
deviance's gradient and exact Hessian come (`likelihood`). Rows are counted nowhere but in the sums over series, which
are made by the matrices of these (`of_series`) or, where a row depends on the row before it only, by `neighbours`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from henderson.contract.rows import Rows, TermRows
from henderson.covariance.layout import consecutive
from henderson.engine.likelihood import first_derivatives, second_derivatives
from henderson.engine.moments import KnownCurved, Moments
from henderson.engine.residual.cliques import Precision
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.neighbours import Neighbours, OfNeighbours
from henderson.engine.residual.of_series import OfSeries
from henderson.engine.residual.units import Batch, batches_of
from henderson.numerics import lapack
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: rows tied together from which effects are the better coordinates; and the most effects whose matrices are kept
TIED, MOST_EFFECTS = 150, 3000
#: columns of T, and its entries, up to which it is multiplied as one that is full
NARROW, MOST_DOUBLES = 200, 1 << 23


class CrossedModel:
    """The search's view of a `BlockModel` by its effects.

    Parameters
    ----------
    model : BlockModel
        Units and data are not needed of it.
    rows : Rows

    Attributes
    ----------
    batches : tuple of Batch
        The series.
    Z : (n, Q) csr_array
        Rows in the order of the batches.
    c : (n, p + 1) array
    steps : list of (Q, Q) csr_array
        E_g of every parameter of G.
    """

    def __init__(self, model: BlockModel, rows: Rows) -> None:
        self.model = model
        model.design.refuse_related("what depends on a matrix of all effects")
        plain = replace(model.design, terms=())
        self.batches: tuple[Batch, ...] = batches_of(plain, replace(rows, terms=()))
        order = np.concatenate([batch.rows.ravel() for batch in self.batches])
        c = np.empty((rows.n, model.p + 1))
        model.basis.rows(rows, c)
        self.c = c[order]
        root = np.sqrt(rows.unit_weights)[:, None]
        matrices, self.steps, self.sizes = [], [], []
        for term, own, layout, T in zip(model.design.terms, rows.terms, model.layouts, model.roots):
            if own.codes is None:
                matrices.append(sparse.csr_array(own.given_loadings.multiply(T[0, 0] * root)))
            else:
                matrices.append(TermRows(own.codes, (own.columns * root) @ T).matrix(term.n_levels))
            self.sizes.append(term.n_levels * layout.q)
        self.places = consecutive(self.sizes)
        self.Z = sparse.csr_array(sparse.hstack(matrices, format="csr"))[order]
        for k, layout in enumerate(model.layouts):
            for E in layout.basis():
                blocks = [sparse.csr_array((size, size)) for size in self.sizes]
                blocks[k] = sparse.kron(sparse.eye_array(model.design.terms[k].n_levels), E, format="csr")
                self.steps.append(sparse.csr_array(sparse.block_diag(blocks, format="csr")))
        self.evaluations = 0
        precision = Precision(model.residual, replace(rows, terms=()))
        self.neighbours: Neighbours | None = None
        if precision.is_of_neighbours:
            T = sparse.hstack([self.Z, sparse.csr_array(self.c)], format="csr")[np.argsort(order)]
            self.neighbours = Neighbours(precision, rows, sparse.csr_array(T))

    @staticmethod
    def suits(model: BlockModel, rows: Rows) -> bool:
        """Whether many rows are tied, by not too many effects: by fewer than rows, since beside effects of every row R
        alone may be singular, which V is not."""
        terms = model.design.terms
        effects = sum(term.n_levels * term.n_columns for term in terms)
        if not terms or model.design.is_related or effects > MOST_EFFECTS:
            return False
        return int(model.sizes_of_blocks(rows).max()) > max(TIED, effects)

    @property
    def n_effects(self) -> int:
        """Q."""
        return int(self.Z.shape[1])

    def by(self, psi: FloatArray) -> OfSeries | OfNeighbours:
        """What R at ψ makes of T."""
        if self.neighbours is None:
            return OfSeries(self.model, self.batches, self.weighed, psi)
        return self.neighbours.at(psi[self.model.n_g :])

    def at(self, phi: FloatArray) -> CrossedPoint:
        """The deviance at φ."""
        self.evaluations += 1
        self.model.evaluations += 1
        return CrossedPoint(self, phi, self.model.regular(phi))

    @lazy
    def dense(self) -> FloatArray | None:
        """T, (n, Q + p + 1), where it has few columns; else None."""
        n, width = len(self.c), self.n_effects + self.c.shape[1]
        return np.hstack([self.Z.toarray(), self.c]) if width <= NARROW and n * width <= MOST_DOUBLES else None

    def weighed(self, parts: list[FloatArray]) -> FloatArray:
        """T'AT for A block-diagonal by series, given for the units of each batch (U, n, n): (Q + p + 1, Q + p + 1)."""
        if (T := self.dense) is not None:
            AT, end = np.empty_like(T), 0
            for batch, A in zip(self.batches, parts):
                count, n = batch.rows.shape
                start, end = end, end + count * n
                of_blocks = A if batch.n_units == count else A[batch.unit_of]
                np.matmul(of_blocks, T[start:end].reshape(count, n, -1), out=AT[start:end].reshape(count, n, -1))
            return np.asarray(T.T @ AT)
        data, indices, counts, start = [], [], [], 0
        for batch, A in zip(self.batches, parts):
            count, n = batch.rows.shape
            data.append(A[batch.unit_of].ravel())
            first = start + n * np.arange(count)
            indices.append(np.broadcast_to((first[:, None] + np.arange(n))[:, None, :], (count, n, n)).ravel())
            counts.append(np.full(count * n, n))
            start += count * n
        pointer = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        A = sparse.csr_array((np.concatenate(data), np.concatenate(indices), pointer), shape=(start, start))
        q, both = self.n_effects, A @ self.c
        out = np.empty((q + both.shape[1],) * 2)
        out[:q, :q] = (self.Z.T @ (A @ self.Z)).toarray()
        out[:q, q:] = self.Z.T @ both
        out[q:, :q] = (self.Z.T @ (A.T @ self.c)).T
        out[q:, q:] = self.c.T @ both
        return out


class CrossedPoint:
    """The likelihood at one point; see `search.optimize.Point`.

    Attributes
    ----------
    theta, psi, deviance
        φ, (G, ψ), and the deviance there; infinite where V is not positive definite.
    """

    def __init__(self, crossed: CrossedModel, phi: FloatArray, psi: FloatArray) -> None:
        self.crossed, self.theta, self.psi = crossed, phi, psi
        self.deviance = np.inf
        model, p = crossed.model, crossed.model.p
        if not np.isfinite(psi).all():
            return
        try:
            self.by = crossed.by(psi)
            self.M = self.by.M
            self.K, log_c = self._inner()
            q = crossed.n_effects
            self.B = np.eye(len(self.M))
            self.B[:q] -= self.K @ self.M[:q]
            self.VT = self.M @ self.B  # T'V⁻¹T
            root = lapack.cholesky(self.VT[q:, q:])
        except np.linalg.LinAlgError:
            return
        self.log_det = self.by.log_r + log_c
        inverse, own = lapack.inverse_lower(root[:p, :p]), root[p, :p]
        self.phi, self.beta, self.r2 = inverse.T @ inverse, own @ inverse, float(root[p, p] ** 2)
        self.v = np.append(-self.beta, 1.0)
        log_x = 2.0 * float(np.log(np.diag(root)[:p]).sum()) if model.reml else 0.0
        found = self.log_det + log_x + self.r2 + model.constant
        self.deviance = float(found) if np.isfinite(found) else np.inf

    def _inner(self) -> tuple[FloatArray, float]:
        """K and log|Λ'M_ZZΛ + I|; of negative variances log|det(D'M_ZZD + S)|, G = DSD', S of signs.

        V is positive definite where D'M_ZZD + S has as many negative eigenvalues as S.
        """
        crossed, model = self.crossed, self.crossed.model
        q = crossed.n_effects
        roots, signs = [], np.ones(q)
        for k, (to, place) in enumerate(zip(model.g_of, crossed.places)):
            if model.coordinates.is_signed(k) and self.psi[to][0] < 0:
                signs[place] = -1.0
        for k, (term, layout, to) in enumerate(zip(model.design.terms, model.layouts, model.g_of)):
            values, vectors = np.linalg.eigh(layout.covariance(self.psi[to]))
            values = np.abs(values) if model.coordinates.is_signed(k) else np.maximum(values, 0.0)
            roots.append(sparse.kron(sparse.eye_array(term.n_levels), vectors * np.sqrt(values)))
        lam = sparse.csr_array(sparse.block_diag(roots, format="csr"))
        inside = lam.T @ (lam.T @ self.M[:q, :q].T).T + np.diag(signs)
        if (signs < 0).any():
            values, vectors = np.linalg.eigh((inside + inside.T) / 2)
            if (values < 0).sum() != (signs < 0).sum():
                raise np.linalg.LinAlgError("the covariance of the data is not positive definite")
            half = lam @ vectors
            return half / values @ half.T, float(np.log(np.abs(values)).sum())
        low = np.linalg.cholesky((inside + inside.T) / 2)
        half = np.linalg.solve(low, lam.toarray().T)
        return half.T @ half, 2.0 * float(np.log(np.diag(low)).sum())

    @lazy
    def moments(self) -> Moments:
        """Moments at the point, y in the working unit and V relative to s²."""
        crossed, model = self.crossed, self.crossed.model
        q, m, k, r = crossed.n_effects, model.n_g, model.k, model.k - model.n_g
        VT, B, K, by, Ma = self.VT, self.B, self.K, self.by, self.by.first
        turned = [B.T @ one @ B for one in Ma]  # T'V⁻¹R_aV⁻¹T
        KM = [K @ one[:q, :q] for one in Ma]
        f1, t1 = np.empty((k, *VT[q:, q:].shape)), np.empty(k)
        f2, t2 = np.empty((k, k, *VT[q:, q:].shape)), np.empty((k, k))
        between = [E @ VT[:q] for E in crossed.steps]  # E_gZ'V⁻¹T
        for g in range(m):
            f1[g], t1[g] = VT[q:, :q] @ between[g][:, q:], np.trace(between[g][:, :q])
            for h in range(m):
                f2[g, h] = VT[q:, :q] @ (crossed.steps[g] @ (VT[:q, :q] @ between[h][:, q:]))
                t2[g, h] = np.sum(between[g][:, :q] * between[h][:, :q].T)
            for a in range(r):
                mixed = VT[q:, :q] @ (crossed.steps[g] @ turned[a][:q, q:])
                f2[g, m + a], f2[m + a, g] = mixed, mixed.T
                t2[g, m + a] = t2[m + a, g] = np.sum(crossed.steps[g].multiply(turned[a][:q, :q].T))
        for a in range(r):
            f1[m + a], t1[m + a] = turned[a][q:, q:], by.traces[0][a] - np.trace(KM[a])
            for b in range(r):
                Mab = by.between(a, b)
                inside = Mab - Ma[a][:, :q] @ (K @ Ma[b][:q])
                f2[m + a, m + b] = (B.T @ inside @ B)[q:, q:]
                trace = by.traces[1][a, b] - 2.0 * float(np.sum(K * Mab[:q, :q].T))
                t2[m + a, m + b] = trace + float(np.sum(KM[a] * KM[b].T))
        bent, traces = np.zeros_like(f2), np.zeros((k, k))
        if not model.residual.linear:
            for a in range(r):
                for b in range(a + 1):
                    N = by.curved(a, b)
                    bent[m + a, m + b] = bent[m + b, m + a] = (B.T @ N @ B)[q:, q:]
                    trace = by.curved_traces[a, b] - float(np.sum(K * N[:q, :q].T))
                    traces[m + a, m + b] = traces[m + b, m + a] = trace
        return Moments(
            model.n, model.p, self.psi, VT[q:, q:], f1, t1, self.log_det - model.log_weights, self.r2,
            KnownCurved(f2, t2, bent, traces), True,
        )  # fmt: skip

    @lazy
    def _derivatives(self) -> tuple[FloatArray, FloatArray]:
        """∂d/∂ψ (k,) and ∂²d/∂ψ∂ψ (k, k)."""
        restricted = self.phi if self.crossed.model.reml else None
        one = first_derivatives(self.moments, self.v, restricted)
        two = second_derivatives(self.moments, self.v, restricted)
        return one.logdet + one.r2, two.logdet + two.r2 - 2 * one.cross @ self.phi @ one.cross.T

    @property
    def gradient_psi(self) -> FloatArray:
        """∂d/∂ψ, (k,)."""
        return self._derivatives[0]

    @property
    def cross(self) -> FloatArray:
        """X'V⁻¹V_aV⁻¹e, (k, p)."""
        return (self.moments.f1 @ self.v)[:, : self.crossed.model.p]

    @lazy
    def jacobian(self) -> FloatArray:
        """∂ψ/∂φ, (k, f)."""
        return self.crossed.model.jacobian(self.theta)

    @lazy
    def gradient(self) -> FloatArray:
        """∂d/∂φ, (f,)."""
        return self.crossed.model.jacobian(self.theta).T @ self._derivatives[0]

    @lazy
    def hessian_model(self) -> FloatArray:
        """∂²d/∂φ∂φ, exact, (f, f)."""
        model, (gradient, hessian) = self.crossed.model, self._derivatives
        jacobian = model.jacobian(self.theta)
        return jacobian.T @ hessian @ jacobian + model.curvature(self.theta, gradient)

    def lighten(self) -> None:
        """Nothing large is kept but what the moments need."""

    def modes(self) -> tuple[FloatArray, ...]:
        """b̂ of each term in the user's units, (J, q)."""
        crossed, model = self.crossed, self.crossed.model
        score = self.VT[: crossed.n_effects, crossed.n_effects :] @ self.v  # Z̃'V⁻¹e
        out = []
        for layout, to, T, place in zip(model.layouts, model.g_of, model.roots, crossed.places):
            G = layout.covariance(self.psi[to])
            out.append(model.basis.y_scale * score[place].reshape(-1, layout.q) @ G @ T.T)
        return tuple(out)

    def conditional_covariances(self) -> tuple[FloatArray, ...]:
        """Var(b_j | y), given β and the variances, in the user's units, (J, q, q) a term."""
        crossed, model, out = self.crossed, self.crossed.model, []
        for layout, to, T, place in zip(model.layouts, model.g_of, model.roots, crossed.places):
            G, q = layout.covariance(self.psi[to]), layout.q
            inner = self.VT[place, place].reshape(-1, q, place.stop - place.start)
            own = np.stack([inner[j, :, j * q : (j + 1) * q] for j in range(len(inner))])
            out.append(model.basis.y_scale**2 * (T @ (G - G @ own @ G) @ T.T))
        return tuple(out)

    def error_covariance(self, term: int, fixed: bool) -> FloatArray:
        """Var(b − b̂) of all effects of a term, as rows load on them, in the user's units, (J q, J q): G − GZ'PZG;
        not `fixed`: as if β were known."""
        crossed, model, q = self.crossed, self.crossed.model, self.crossed.n_effects
        layout, T, place = model.layouts[term], model.roots[term], crossed.places[term]
        inner = self.VT[place, place]
        if fixed:
            across = self.VT[place, q : q + model.p]
            inner = inner - across @ self.phi @ across.T
        J = (place.stop - place.start) // layout.q
        G = np.kron(np.eye(J), layout.covariance(self.psi[model.g_of[term]]))
        turn = np.kron(np.eye(J), T)
        return model.basis.y_scale**2 * turn @ (G - G @ inner @ G) @ turn.T


def moments_of_crossed(point: CrossedPoint) -> Moments:
    """Moments at a point, in the working basis, y in its own unit."""
    return in_unit_of_y(point.moments, point.crossed.model)


def in_unit_of_y(found: Moments, model: BlockModel) -> Moments:
    """Moments of a model in the working basis, y in its own unit."""
    unit = model.basis.y_scale
    columns = np.diag(np.append(np.ones(model.p), unit))
    second = found.second
    assert isinstance(second, KnownCurved)
    scaled = KnownCurved(columns @ second.f2 @ columns, second.t2, columns @ second.bent @ columns, second.traces_of)
    return replace(
        found,
        f0=columns @ found.f0 @ columns,
        f1=columns @ found.f1 @ columns,
        r2=unit**2 * found.r2,
        second=scaled,
    )
