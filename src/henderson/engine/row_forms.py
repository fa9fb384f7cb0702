"""What V⁻¹ says of single rows, without an n × n matrix: leverages, and rows left out at known variances.

Rows are weighted, so that Var(y) = σ² V with V = I + ZGZ'. With W = ΛC⁻¹Λ' (the conditional covariance of the effects,
relative to σ²), c = [X y] and the modes b_c = G Z'V⁻¹c of every column:

    V⁻¹c = c − Z b_c     (V⁻¹)_ii = 1 − z_i'Wz_i     P_ii = (V⁻¹)_ii − (V⁻¹X)_i'Φ(V⁻¹X)_i,   e = V⁻¹(y − Xβ̂) = Py

A row loads on one level j of the front, with z_f, and on the rest with z_r. With M_j the front's own (G⁻¹ + Z_j'Z_j)⁻¹
and W_r the rest's block of W,

    z'Wz = z_f'M_jz_f + s'W_rs,   s = z_r − a_j'M_jz_f,   a_j = Z_j'Z_r
         = z_f'M_jz_f + z_r'W_rz_r − 2 z_f'M_ja_jW_rz_r + z_f'M_j(a_jW_ra_j')M_jz_f
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from henderson.contract.rows import Rows
from henderson.engine.criterion import Evaluation
from henderson.engine.factor.iterative.rest import IterativeRest
from henderson.engine.factor.rest_matrix import RestMatrix, rest_matrix
from henderson.engine.factor.sparse.loads import SparseLoads
from henderson.engine.factor.sparse.rest import SparseRest
from henderson.engine.fit import Fit
from henderson.engine.iterated_levels import summary_of, tell
from henderson.engine.iterated_loads import IteratedLoads
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.related_rows import RelatedForms
from henderson.engine.residual.row_forms import StructuredForms, structured_forms
from henderson.engine.rows_of_point import RowsOfPoint
from henderson.engine.sums.crossproducts import codes_of, sparse_columns
from henderson.numerics import small
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: numbers in a dense slice of rows × effects of the rest
SLICE = 2_000_000
#: numbers that a row and the rest take up to which a fit keeps the forms of its rows: some 50 MB
KEPT = 2_000_000
#: effects of the rest up to which the rows of a set load on a dense matrix
FEW_EFFECTS = 256


@dataclass(frozen=True)
class RowForms(RowsOfPoint):
    """Forms of V⁻¹ by row, at a fit; see `RowsOfPoint`.

    Attributes
    ----------
    loads : RowLoads, IteratedLoads or SparseLoads
    explained : (n,) array
        z'Wz = 1 − (V⁻¹)_ii.
    random : (n,) array
        z'Gz = V_ii − 1.
    """

    loads: RowLoads | IteratedLoads | SparseLoads
    explained: FloatArray
    random: FloatArray

    @property
    def p_diagonal(self) -> FloatArray:
        """P_ii, (n,): one less the leverage of the fixed and the random effects."""
        return 1.0 - self.explained - self.of_fixed

    def p_block(self, rows: np.ndarray) -> FloatArray:
        """P between some rows, (m, m)."""
        vx = self.vx[rows]
        return np.eye(len(rows)) - self.loads.block(rows) - vx @ self.phi @ vx.T

    @property
    def leverage(self) -> FloatArray:
        """Diagonal of ∂ŷ/∂y at known variances, (n,)."""
        return 1.0 - self.p_diagonal


#: of rows with independent residuals, or with residuals that correlate
Forms: TypeAlias = RowForms | StructuredForms | RelatedForms


@blas_threads()
def row_forms(fit: Fit) -> Forms:
    """The forms of a fit's rows.

    Parameters
    ----------
    fit : Fit
        With its rows.
    """
    if isinstance(fit, StructuredFit):
        return structured_forms(fit.blocks, fit.row_point, fit.observed)
    return forms_of_rows(fit)


@blas_threads()
def forms_of_rows(fit: Fit) -> RowForms:
    """The forms of the rows of a fit whose residuals are independent; kept with it where they take little memory."""
    known = vars(fit)
    if "row_forms" in known:
        return known["row_forms"]
    forms = forms_at(fit.at_optimum(), fit.rows)
    blocks = fit.criterion.blocks
    numbers = fit.n * (forms.x.shape[1] + sum(block.q for block in blocks.blocks)) + blocks.n_rest**2
    if numbers <= KEPT and fit.rest != "iterative":  # whose errors are told each time
        known["row_forms"] = forms
    return forms


def forms_at(point: Evaluation, rows: Rows) -> RowForms:
    """The forms of some rows at a point.

    Parameters
    ----------
    point : Evaluation
    rows : Rows
        Those that the point's cross-products are of. Or other rows of the design: then `e` are the errors of their
        prediction (weighted), y − Xβ̂ − Zb̂, and σ²(1 + explained + vx'Φvx) is their variance.

    Warns
    -----
    ApproximationWarning
        Where probes gave part of the leverages: of their Monte-Carlo error.
    """
    criterion = point.criterion
    blocks, basis, n = criterion.blocks, criterion.basis, rows.n
    columns = np.empty((n, basis.p + 1))
    basis.rows(rows, columns)
    Z = [np.empty((n, block.q)) for block in blocks.blocks]
    for k, block in enumerate(blocks.blocks):
        basis.columns(rows, block.terms, k, Z[k])
    matrices = [
        sparse_columns(rows.terms[block.terms[0]], codes_of(rows.terms[block.terms[0]], block), z.T, block.n_levels)
        for block, z in zip(blocks.blocks, Z)
    ]
    vc, random = columns.copy(), np.zeros(n)
    for block, lam, scores, z, matrix in zip(blocks.blocks, point.lam, point.scores, Z, matrices):
        effects = block.of_levels(small.left(lam @ lam.T, scores))  # (q, p + 1, J)
        vc -= np.asarray(matrix @ effects.transpose(2, 0, 1).reshape(block.size, -1))
        if rows.terms[block.terms[0]].codes is None:
            random += float((lam @ lam.T)[0, 0]) * np.asarray(matrix.power(2).sum(axis=1)).ravel()
        else:
            own = np.square(z @ lam).sum(axis=1)
            related = block.relation
            random += own if related is None else own * related.diagonal[rows.terms[block.terms[0]].codes]
    v = np.append(-point.beta, 1.0)
    loads, vx = loads_of(point, rows, Z, matrices), vc[:, :-1]
    if isinstance(loads, IteratedLoads):
        explained, error = loads.diagonal_and_error()
        leverage = explained + np.einsum("ia,ab,ib->i", vx, point.phi, vx, optimize=True)
        relative = np.divide(error, leverage, out=np.zeros_like(error), where=leverage > 0)
        tell("leverages of rows", summary_of(relative))
    else:
        explained = loads.diagonal()
    return RowForms(
        columns[:, :-1],
        vx,
        basis.y_scale * (vc @ v),
        basis.y_scale * (columns @ v),
        point.phi,
        basis.to_beta,
        criterion.nu,
        basis.y_scale**2 * point.r2,
        loads,
        explained,
        random,
    )


@blas_threads()
def deviances_without_rows(fit: Fit, theta: FloatArray) -> FloatArray:
    """The deviance at one θ of the fit's data without each row, (n,), but for a constant (the row's log-weight).

    As log|V(i)| + log|X(i)'V(i)⁻¹X(i)| is log P_ii more than with the row, and r² is e_i²/P_ii less; by maximum
    likelihood, log|V(i)| is log (V⁻¹)_ii more.
    """
    criterion = fit.criterion
    point = criterion.at_lam(criterion.lam_of(theta), theta)
    forms, nu = forms_at(point, fit.rows), criterion.nu
    with np.errstate(divide="ignore", invalid="ignore"):
        of_fit = nu * (1.0 + np.log(2.0 * np.pi * forms.r2 / nu))
        r2 = forms.r2 - forms.e**2 / forms.p_diagonal
        of_rest = (nu - 1) * (1.0 + np.log(2.0 * np.pi * r2 / (nu - 1)))
        more = np.log(forms.p_diagonal if criterion.reml else 1.0 - forms.explained)
    return np.asarray(point.deviance - of_fit + of_rest + more)


@dataclass(frozen=True)
class RowLoads:
    """What rows load on, weighted and in the working basis, for forms z_i'Wz_k.

    Attributes
    ----------
    codes : (n,) int array
        Level of the front; empty where there is none.
    half, moved : (q, n) arrays
        T_jz_f and M_jz_f, M_j = T_j'T_j.
    rest : (n, R) csr_array, or None
        z_r.
    zr : list of q (J, R) csr arrays
        a_j = Z_j'Z_r.
    W : (R, R) matrix
        Of the rest.
    between : (q, q, J) array
        a_jWa_j'.
    """

    codes: np.ndarray
    half: FloatArray
    moved: FloatArray
    rest: sparse.csr_array | None
    zr: list[sparse.csr_array]
    W: RestMatrix
    between: FloatArray

    def diagonal(self) -> FloatArray:
        """z_i'Wz_i, (n,)."""
        out = np.square(self.half).sum(axis=0)
        if self.rest is None:
            return out
        if self.zr:
            out += np.einsum("an,abn,bn->n", self.moved, self.between[:, :, self.codes], self.moved, optimize=True)
        step = max(1, SLICE // self.rest.shape[1])
        for start in range(0, len(out), step):
            here = slice(start, start + step)
            z = self.rest[here]
            zW = z @ self.W
            out[here] += _row_sums(z, zW)
            for moved, zr in zip(self.moved, self.zr):
                out[here] -= 2 * moved[here] * _row_sums(sparse.csr_array(zr[self.codes[here]]), zW)
        return out

    def block(self, rows: np.ndarray) -> FloatArray:
        """z_i'Wz_k of some rows, (m, m)."""
        half = self.half[:, rows]
        out = half.T @ half
        if len(self.codes):
            out *= self.codes[rows, None] == self.codes[rows]
        if self.rest is None:
            return out
        row, column, value = self._asked(self.rest, rows, rows, None)
        found = [(row, column, value)]
        for moved, zr in zip(self.moved, self.zr):
            found.append(self._asked(zr, self.codes[rows], rows, -moved))
        row, column, value = (np.concatenate(parts) for parts in zip(*found))
        effects, place = np.unique(column, return_inverse=True)
        if len(effects) <= FEW_EFFECTS:
            s = np.bincount(row * len(effects) + place, value, len(rows) * len(effects)).reshape(len(rows), -1)
            W = self.W[np.ix_(effects, effects)] if isinstance(self.W, np.ndarray) else self.W[effects][:, effects]
            return out + s @ (W @ s.T)
        asked = sparse.csr_array((value, (row, column)), shape=(len(rows), self.rest.shape[1]))
        return out + _dense(_dense(asked @ self.W) @ asked.T)

    @staticmethod
    def _asked(
        matrix: sparse.csr_array, at: np.ndarray, rows: np.ndarray, weights: FloatArray | None
    ) -> tuple[np.ndarray, np.ndarray, FloatArray]:
        """Entries of a matrix's rows `at`, one for each of `rows`, times their weights: places among rows, columns."""
        first = matrix.indptr[at]
        count = matrix.indptr[at + 1] - first
        place = np.repeat(np.arange(len(rows)), count)
        entry = np.arange(len(place)) + np.repeat(first - (np.cumsum(count) - count), count)
        value = matrix.data[entry]
        return place, matrix.indices[entry], value if weights is None else value * weights[rows][place]


def loads_of(
    point: Evaluation, rows: Rows, Z: list[FloatArray], matrices: list[sparse.csr_array]
) -> RowLoads | IteratedLoads | SparseLoads:
    """Of rows with columns Z (n, q) of every block, and the blocks of the design matrix."""
    system, blocks, factor = point.criterion.system, point.criterion.blocks, point.factor
    codes, half = np.zeros(0, np.intp), np.zeros((0, rows.n))
    moved, between, has_front = half, np.zeros((0, 0, 0)), blocks.front is not None
    if blocks.front is not None:
        block, z = blocks.blocks[blocks.front], Z[blocks.front].T
        codes = codes_of(rows.terms[block.terms[0]], block)
        T = factor.front.T[:, :, codes]
        half = small.multiply(T, z[:, None])[:, 0]
        moved = small.multiply(T.transpose(1, 0, 2), half[:, None])[:, 0]
    if not system.has_rest:
        return RowLoads(codes, half, moved, None, [], np.zeros((0, 0)), between)
    rest = sparse.csr_array(sparse.hstack([matrices[k] for k in blocks.rest], format="csr"))
    if isinstance(factor.rest, IterativeRest):
        return IteratedLoads(codes, half, moved, rest, factor.rest)
    if isinstance(factor.rest, SparseRest):
        return SparseLoads(rest, factor.rest)
    W = rest_matrix(factor, factor.rest.weight_stacks())
    if has_front:
        between = system.product.sandwich(factor.rest)
    return RowLoads(codes, half, moved, rest, system.cross.zr if has_front else [], W, between)


def _row_sums(one: sparse.csr_array, other: RestMatrix) -> FloatArray:
    """Σ_c one_ic other_ic, (m,)."""
    return np.asarray(one.multiply(other).sum(axis=1)).ravel()


def _dense(matrix: RestMatrix) -> FloatArray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
