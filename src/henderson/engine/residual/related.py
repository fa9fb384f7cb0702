"""Residuals that correlate or vary beside levels with known relationships: the likelihood by a sparse factor.

With T = [Z c] (rows times √w, in the working basis) and R(ψ) block-diagonal by series, the equations are those of
independent residuals (`factor.sparse`) with T'R⁻¹T in the place of T'T; log|R| is added. An entry of S = Z'R⁻¹Z is a
sum of products z_i z_j of rows of one series times (R⁻¹)_ij, and (R⁻¹)_ij is one number for all series of a unit
(`units`). So products are summed once by such classes, D, and at ψ

    S = Df,   f the R⁻¹ of all units        <W, Z'MZ> = <D'W, m>   of M that is m_u in the series of each unit u

for W = (S + A⁻¹ ⊗ G⁻¹)⁻¹, which the sparse inverse has where S has entries. V⁻¹ = R⁻¹ − R⁻¹ZWZ'R⁻¹, Q = [Φ] ⊕ 0 + vv',
and the diagonal blocks of V⁻¹ − V⁻¹cQc'V⁻¹ of a unit's series have the sum N_u. With w_a = V_aPy

    ∂_a d = Σ_u <R_a, N_u>      ∂_ab d ≈ w_a'Pw_b + Σ_u <R_ab, N_u>        (the average information, and curvature)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from henderson.contract.rows import Rows
from henderson.engine.criterion import Criterion
from henderson.engine.factor.sparse.pairs import SparsePairs
from henderson.engine.factor.sparse.rest import SparseRest
from henderson.engine.factor.sparse.system import SparseSystem
from henderson.engine.residual.known_scale import KnownScale, covariances_of, modes_of
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.units import AT_ONCE, Batch, batches_of
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts, codes_of, sparse_columns, working_columns
from henderson.numerics import small
from henderson.numerics.distinct import distinct
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: share of a residual's variance that the earlier ones of its series leave, below which R is singular
SINGULAR = 1e-9


@dataclass(frozen=True)
class ByClass:
    """Which entries of R⁻¹ the entries of S = Z'R⁻¹Z on and below the diagonal are sums of.

    Attributes
    ----------
    products : (e, classes) csr_array
        D.
    where : (R, R) csr_array
        Both triangles of S, with the number of the entry, from one.
    """

    products: sparse.csr_array
    where: sparse.csr_array

    @classmethod
    def of(cls, Z: sparse.csr_array, batches: Sequence[Batch]) -> ByClass:
        """From all rows; a class is a unit and two of its places, the later one first."""
        at, z = _padded(Z)
        R, width = Z.shape[1], at.shape[1]
        keys, classes, values, first = [], [], [], 0
        for batch in batches:
            n, unit = batch.n, batch.unit_of
            place = np.repeat(np.arange(n), width)
            own = np.maximum(place[:, None], place) * n + np.minimum(place[:, None], place)
            step = max(1, AT_ONCE // len(place) ** 2)
            for start in range(0, len(unit), step):
                rows = batch.rows[start : start + step]
                where, load = (array[rows].reshape(len(rows), -1) for array in (at, z))
                product = load[:, :, None] * load[:, None, :]
                kept = (where[:, :, None] >= where[:, None, :]) & (product != 0)
                number = first + unit[start : start + step, None, None] * n**2 + own
                keys.append((where[:, :, None] * R + where[:, None, :])[kept])
                classes.append(number[kept])
                values.append(product[kept])
            first += batch.n_units * n**2
        key = np.concatenate(keys)
        unique = distinct(key)
        entries = np.concatenate(values), (np.searchsorted(unique, key), np.concatenate(classes))
        products = sparse.csr_array(sparse.coo_array(entries, shape=(len(unique), first)))
        row, column, number = unique // R, unique % R, np.arange(1.0, len(unique) + 1)
        below = row != column
        places = np.append(row, column[below]), np.append(column, row[below])
        return cls(products, sparse.csr_array((np.append(number, number[below]), places), shape=(R, R)))

    def at(self, f: FloatArray) -> tuple[FloatArray, sparse.csr_array]:
        """The entries of S, and S."""
        entries, where = self.products @ f, self.where
        data = entries[where.data.astype(np.intp) - 1]
        return entries, sparse.csr_array((data, where.indices, where.indptr), shape=where.shape)

    @lazy
    def _times(self) -> FloatArray:
        """In how many triangles of S each entry stands, (e,)."""
        return np.bincount(self.where.data.astype(np.intp) - 1).astype(float)

    def pulled_back(self, W: FloatArray) -> FloatArray:
        """<W, Z'MZ> = Σ m_e κ_e over the classes e: κ, from the entries of W where S has those below the diagonal."""
        return np.asarray(self.products.T @ (self._times * W))


def _padded(Z: sparse.csr_array) -> tuple[np.ndarray, FloatArray]:
    """Columns and entries of each row side by side, (n, most of a row); zeros where there are fewer."""
    counts = np.diff(Z.indptr)
    row, place = np.repeat(np.arange(len(counts)), counts), np.arange(Z.nnz) - np.repeat(Z.indptr[:-1], counts)
    at, z = np.zeros((len(counts), counts.max(initial=1)), np.intp), np.zeros((len(counts), counts.max(initial=1)))
    at[row, place], z[row, place] = Z.indices, Z.data
    return at, z


class RelatedModel:
    """The search's view of a `BlockModel` some of whose levels are related.

    Parameters
    ----------
    model : BlockModel
        Units and data are not needed of it.
    rows : Rows

    Attributes
    ----------
    batches : tuple of Batch
        The series; where residuals do not correlate, the rows.
    Z : (n, R) csr_array
    c : (n, p + 1) array
    """

    def __init__(self, model: BlockModel, rows: Rows) -> None:
        self.model, self.blocks = model, Blocks.of(model.design.terms, [rows])
        series = rows.residual
        assert series is not None
        if model.residual.structure.memory == 0:
            series = replace(series, codes=np.arange(rows.n))
        alone = replace(rows, terms=(), residual=series)
        self.batches: tuple[Batch, ...] = batches_of(replace(model.design, terms=()), alone)
        self.basis = model.basis_of(self.blocks)
        c, Z = working_columns(rows, self.blocks, self.basis)
        parts = []
        for k in self.blocks.rest:
            block = self.blocks.blocks[k]
            term = rows.terms[block.terms[0]]
            parts.append(sparse_columns(term, codes_of(term, block), Z[k], block.n_levels))
        self.c, self.Z = np.ascontiguousarray(c.T), sparse.csr_array(sparse.hstack(parts, format="csr"))
        self.sums = ByClass.of(self.Z, self.batches)
        self.pairs = SparsePairs(self.sums.where, self.blocks)
        self.pairs.check_memory()

    def at(self, phi: FloatArray) -> RelatedPoint:
        """The deviance at φ."""
        self.model.evaluations += 1
        return RelatedPoint(self, phi, self.model.regular(phi))

    def times(self, parts: Sequence[FloatArray], x: FloatArray) -> FloatArray:
        """A matrix that is block-diagonal by series, given for the units (U, n, n) of each batch, times x (n, s)."""
        out = np.empty_like(x)
        for batch, A in zip(self.batches, parts):
            out[batch.rows] = A[batch.unit_of] @ x[batch.rows]
        return out

    def gram(self, x: FloatArray, Q: FloatArray) -> list[FloatArray]:
        """xQx' of the series of each unit, summed, (U, n, n) a batch, for x (n, s) and Q (s, s)."""
        turned, out = x @ Q, []
        for batch in self.batches:
            own = turned[batch.rows] @ x[batch.rows].transpose(0, 2, 1)
            out.append(np.add.reduceat(own, np.cumsum(batch.counts) - batch.counts, axis=0))
        return out

    def by_unit(self, classes: FloatArray) -> Iterator[FloatArray]:
        """Numbers of the classes as symmetric matrices of each batch's units, (U, n, n): what stood below the diagonal
        is halved, to stand in both triangles."""
        first = 0
        for batch in self.batches:
            lower = classes[first : first + batch.n_units * batch.n**2].reshape(-1, batch.n, batch.n)
            yield (lower + lower.transpose(0, 2, 1)) / 2
            first += lower.size

    def along(self, totals: FloatArray) -> Iterator[FloatArray]:
        """Z(A ⊗ E_g)h of each parameter of G, with the relationships A of the levels, for h (R, s): (n, s)."""
        blocks = self.blocks
        by_block = blocks.split(np.zeros((0, totals.shape[1], 0)), totals)
        found: list[FloatArray] = [np.zeros(0)] * blocks.n_g
        for k, (block, own) in enumerate(zip(blocks.blocks, by_block)):
            independent, rows = block.independent(own), slice(blocks.offsets[k], blocks.offsets[k] + block.size)
            for g, E in zip(block.g_parameters, block.layout.basis()):
                effects = block.of_levels(np.einsum("ab,bsj->asj", E, independent))
                found[g] = self.Z[:, rows] @ effects.transpose(2, 0, 1).reshape(block.size, -1)
        return iter(found)


class RelatedPoint:
    """The likelihood at one point; see `search.optimize.Point`.

    Attributes
    ----------
    theta, psi, deviance
        φ, (G, ψ), and the deviance there; infinite where V is not positive definite.
    beta, phi, r2, v
        β̂ of the working columns, (X'V⁻¹X)⁻¹, y'Py, (−β̂, 1).
    """

    def __init__(self, related: RelatedModel, phi: FloatArray, psi: FloatArray) -> None:
        self.related, self.theta, self.psi, self.deviance = related, phi, psi, np.inf
        model, blocks = related.model, related.blocks
        if not np.isfinite(psi).all():
            return
        try:
            low = [_root(model.residual_cov(psi, batch)) for batch in related.batches]
            self.S = [_inverse(one) for one in low]
            counts = [batch.counts for batch in related.batches]
            self.log_r = sum(
                2.0 * float(n @ np.log(np.einsum("uii->ui", one)).sum(axis=1)) for n, one in zip(counts, low)
            )
            self.Rc = related.times(self.S, related.c)
            entries, rr = related.sums.at(np.concatenate([one.ravel() for one in self.S]))
            m, none = model.p + 1, np.zeros((0, 0, 0))
            cross = CrossProducts(
                model.n, model.log_weights, related.c.T @ self.Rc, none, np.zeros((0, m, 0)), [], rr,
                related.Z.T @ self.Rc,
            )  # fmt: skip
            system = SparseSystem(cross, blocks, related.pairs.weighed(entries))
            lam, signs = model.coordinates.block_roots(phi, blocks)
            self.inner = KnownScale(Criterion(system, related.basis, model.reml), lam, phi, signs)
        except np.linalg.LinAlgError:
            return
        deviance = self.inner.deviance + self.log_r
        if np.isfinite(deviance):
            self.deviance, self.beta, self.phi, self.r2 = deviance, self.inner.beta, self.inner.phi, self.inner.r2
            self.v = np.append(-self.beta, 1.0)

    # ---- what a fit says

    def modes(self) -> tuple[FloatArray, ...]:
        """b̂ of each term in the user's units, (J, q)."""
        return modes_of(self.inner, self.related.blocks, self.related.model)

    def conditional_covariances(self) -> tuple[FloatArray, ...]:
        """Var(b_j | y), given β and the variances, in the user's units, (J, q, q) a term."""
        return covariances_of(self.inner, self.related.blocks, self.related.model)

    def lighten(self) -> None:
        """Let go of what takes memory; it is computed again should anybody ask."""
        self.inner.lighten()
        for name in ("U", "_w", "R"):
            self.__dict__.pop(name, None)

    # ---- products with V⁻¹

    @property
    def rest(self) -> SparseRest:
        """The sparse factor."""
        found = self.inner.factor.rest
        assert isinstance(found, SparseRest)
        return found

    @lazy
    def U(self) -> FloatArray:
        """V⁻¹c, (n, p + 1)."""
        related, factor = self.related, self.inner.factor
        return self.Rc - related.times(self.S, related.Z @ factor.rest.back(factor.H))

    def solve(self, x: FloatArray) -> FloatArray:
        """V⁻¹x for x (n, s)."""
        Rx = self.related.times(self.S, x)
        return Rx - self.related.times(self.S, self.related.Z @ self.rest.weigh(self.related.Z.T @ Rx))

    @lazy
    def R(self) -> list[FloatArray]:
        """R of each batch's units, (U, n, n)."""
        return [self.related.model.residual_cov(self.psi, batch) for batch in self.related.batches]

    def by_residual(self, x: FloatArray) -> FloatArray:
        """Rx for x (n, s)."""
        return self.related.times(self.R, x)

    def inner_products(self, x: FloatArray) -> FloatArray:
        """x'V⁻¹x for x (n, s)."""
        Rx = self.related.times(self.S, x)
        half = self.rest.half(self.related.Z.T @ Rx)
        return x.T @ Rx - self.rest.inner(half)

    def moved(self, x: FloatArray) -> Iterator[FloatArray]:
        """V_ax of every parameter, (n, s)."""
        yield from self.related.along(self.related.Z.T @ x)
        for a in range(self.related.model.k - self.related.model.n_g):
            yield self.related.times([own[a] for own in self.first], x)

    # ---- derivatives

    @lazy
    def first(self) -> list[FloatArray]:
        """R_a of each batch's units, (r, U, n, n)."""
        return [self.related.model.first(self.psi, batch) for batch in self.related.batches]

    @lazy
    def second(self) -> list[FloatArray]:
        """R_ab, (r, r, U, n, n)."""
        return [self.related.model.second(self.psi, batch) for batch in self.related.batches]

    @lazy
    def precisions(self) -> list[FloatArray]:
        """The diagonal blocks of V⁻¹ of the series of each unit, summed, (U, n, n) a batch: R⁻¹ − R⁻¹ZWZ'R⁻¹."""
        related = self.related
        classes = related.sums.pulled_back(related.pairs.entries_of(self.rest.pair_weights()))
        return [
            batch.counts[:, None, None] * S - S @ own @ S
            for batch, S, own in zip(related.batches, self.S, related.by_unit(classes))
        ]

    @lazy
    def _by_unit(self) -> list[FloatArray]:
        """N_u."""
        return [own - part for own, part in zip(self.precisions, self.related.gram(self.U, self.Q))]

    @property
    def Q(self) -> FloatArray:
        """[Φ] ⊕ 0 + vv', (p + 1, p + 1)."""
        Q, p = np.outer(self.v, self.v), self.related.model.p
        if self.related.model.reml:
            Q[:p, :p] += self.phi
        return Q

    @lazy
    def gradient_psi(self) -> FloatArray:
        """∂d/∂ψ, (k,)."""
        model, blocks = self.related.model, self.related.blocks
        out = np.empty(model.k)
        for block, total, score in zip(blocks.blocks, self.inner.factor.traces[1], self.inner.scores):
            N = total - small.outer_sum(np.matmul(self.Q, score), score)
            out[block.g_parameters] = np.einsum("iab,ab->i", block.layout.basis(), N)
        out[model.n_g :] = unit_products(self.first, self._by_unit)
        return out

    @lazy
    def gradient(self) -> FloatArray:
        """∂d/∂φ, (f,)."""
        return self.jacobian.T @ self.gradient_psi

    @lazy
    def jacobian(self) -> FloatArray:
        """∂ψ/∂φ, (k, f)."""
        return self.related.model.jacobian(self.theta)

    @lazy
    def _w(self) -> FloatArray:
        """V_aV⁻¹e of every parameter, e = y − Xβ̂, (n, k)."""
        return np.column_stack(list(self.moved(self.U @ self.v[:, None])))

    @lazy
    def cross(self) -> FloatArray:
        """X'V⁻¹V_aV⁻¹e, (k, p)."""
        return self._w.T @ self.U[:, : self.related.model.p]

    @lazy
    def hessian_model(self) -> FloatArray:
        """Average information in φ, and what V's and ψ's curvature add, (f, f)."""
        model = self.related.model
        H = self.inner_products(self._w) - self.cross @ self.phi @ self.cross.T
        if not model.residual.linear:
            H[model.n_g :, model.n_g :] += unit_products(self.second, self._by_unit)
        return self.jacobian.T @ H @ self.jacobian + model.curvature(self.theta, self.gradient_psi)


def unit_products(parts: Sequence[FloatArray], others: Sequence[FloatArray]) -> FloatArray:
    """Σ_u <A, B> of arrays (…, U, n, n) and (U, n, n) a batch, (…)."""
    return sum((np.einsum("...unm,unm->...", one, other) for one, other in zip(parts, others)), np.zeros(()))


def _root(R: FloatArray) -> FloatArray:
    """L with LL' = R, (U, n, n).

    Raises
    ------
    numpy.linalg.LinAlgError
        Where R is singular, or so nearly that its inverse has lost the digits of V's.
    """
    low = np.linalg.cholesky(R)
    left = np.einsum("uii->ui", low) ** 2 / np.einsum("uii->ui", R)
    if left.min(initial=1.0) < SINGULAR:
        raise np.linalg.LinAlgError("the covariance of the residuals of a series is all but singular")
    return low


def _inverse(low: FloatArray) -> FloatArray:
    """(LL')⁻¹ for L (U, n, n)."""
    half = np.linalg.inv(low)
    return half.transpose(0, 2, 1) @ half
