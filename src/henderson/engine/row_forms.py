"""What V⁻¹ says of single rows, without an n × n matrix: leverages, and rows left out at known variances.

Rows are weighted, so that Var(y) = σ² V with V = I + ZGZ'. With W = ΛC⁻¹Λ' (the conditional covariance of the effects,
relative to σ²), c = [X y] and the modes b_c = G Z'V⁻¹c of every column:

    V⁻¹c = c − Z b_c     (V⁻¹)_ii = 1 − z_i'Wz_i     P_ii = (V⁻¹)_ii − (V⁻¹X)_i'Φ(V⁻¹X)_i,   e = V⁻¹(y − Xβ̂) = Py

A row loads on one level j of the front, with z_f, and on the rest with z_r. With M_j the front's own (G⁻¹ + Z_j'Z_j)⁻¹
and W_r the rest's block of W,

    z'Wz = z_f'M_jz_f + s'W_rs,   s = z_r − (Z_j'Z_r)'M_jz_f
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from henderson.contract.rows import Rows
from henderson.engine.criterion import Evaluation
from henderson.engine.fit import Fit
from henderson.engine.sums.crossproducts import codes_of, sparse_columns
from henderson.numerics import small
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: numbers in a dense slice of rows × effects of the rest
SLICE = 2_000_000


@dataclass(frozen=True)
class RowForms:
    """Forms of V⁻¹ by row, at a fit; columns in the working basis, y in its own unit.

    Attributes
    ----------
    x : (n, p) array
        W^½ X.
    vx : (n, p) array
        V⁻¹X.
    e : (n,) array
        V⁻¹(y − Xβ̂) = Py.
    r : (n,) array
        y − Xβ̂, weighted.
    explained : (n,) array
        z'Wz = 1 − (V⁻¹)_ii.
    random : (n,) array
        z'Gz = V_ii − 1.
    phi : (p, p) array
        (X'V⁻¹X)⁻¹.
    to_beta : (p, p) array
        Coefficients of the user's columns from those of `x`.
    nu : int
        n − p (REML) or n.
    r2 : float
        e'Ve = y'Py.
    """

    x: FloatArray
    vx: FloatArray
    e: FloatArray
    r: FloatArray
    explained: FloatArray
    random: FloatArray
    phi: FloatArray
    to_beta: FloatArray
    nu: int
    r2: float

    @property
    def p_diagonal(self) -> FloatArray:
        """P_ii, (n,): one less the leverage of the fixed and the random effects."""
        return 1.0 - self.explained - _forms(self.vx, self.phi, self.vx)

    @property
    def fixed_leverage(self) -> FloatArray:
        """Diagonal of X(X'V⁻¹X)⁻¹X'V⁻¹, (n,)."""
        return _forms(self.x, self.phi, self.vx)

    @property
    def leverage(self) -> FloatArray:
        """Diagonal of ∂ŷ/∂y at known variances, (n,)."""
        return 1.0 - self.p_diagonal


@blas_threads()
def row_forms(fit: Fit) -> RowForms:
    """The forms of a fit's rows.

    Parameters
    ----------
    fit : Fit
        With its rows.
    """
    criterion = fit.criterion
    return forms_at(criterion.at_lam(criterion.lam_of(fit.theta), fit.theta), fit.rows)


def forms_at(point: Evaluation, rows: Rows) -> RowForms:
    """The forms of some rows at a point.

    Parameters
    ----------
    point : Evaluation
    rows : Rows
        Those that the point's cross-products are of. Or other rows of the design: then `e` are the errors of their
        prediction (weighted), y − Xβ̂ − Zb̂, and σ²(1 + explained + vx'Φvx) is their variance.
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
        effects = small.left(lam @ lam.T, scores)  # (q, p + 1, J)
        vc -= np.asarray(matrix @ effects.transpose(2, 0, 1).reshape(block.size, -1))
        if rows.terms[block.terms[0]].codes is None:
            random += float((lam @ lam.T)[0, 0]) * np.asarray(matrix.power(2).sum(axis=1)).ravel()
        else:
            random += np.square(z @ lam).sum(axis=1)
    v = np.append(-point.beta, 1.0)
    return RowForms(
        columns[:, :-1],
        vc[:, :-1],
        basis.y_scale * (vc @ v),
        basis.y_scale * (columns @ v),
        _explained(point, rows, Z, matrices),
        random,
        point.phi,
        basis.to_beta,
        criterion.nu,
        basis.y_scale**2 * point.r2,
    )


def _explained(point: Evaluation, rows: Rows, Z: list[FloatArray], matrices: list[sparse.csr_array]) -> FloatArray:
    """z'Wz of every row, (n,)."""
    system, blocks, factor = point.criterion.system, point.criterion.blocks, point.factor
    out, moved, codes = np.zeros(rows.n), np.zeros((0, rows.n)), np.zeros(0, np.intp)
    if blocks.front is not None:
        block, z = blocks.blocks[blocks.front], Z[blocks.front].T
        codes = codes_of(rows.terms[block.terms[0]], block)
        half = small.multiply(factor.front.T[:, :, codes], z[:, None])
        moved = small.multiply(factor.front.T[:, :, codes].transpose(1, 0, 2), half)[:, 0]
        out += np.square(half[:, 0]).sum(axis=0)
    if not system.has_rest:
        return out
    step = max(1, SLICE // blocks.n_rest)
    rest = sparse.csr_array(sparse.hstack([matrices[k] for k in blocks.rest], format="csr"))
    for start in range(0, rows.n, step):
        here = slice(start, start + step)
        s = rest[here].toarray()
        for a, zr in enumerate(system.cross.zr if blocks.front is not None else ()):
            s -= moved[a, here, None] * zr[codes[here]].toarray()
        out[here] += np.einsum("ir,ri->i", s, factor.rest.weigh(np.ascontiguousarray(s.T)))
    return out


def _forms(left: FloatArray, middle: FloatArray, right: FloatArray) -> FloatArray:
    """left_i' middle right_i, (n,)."""
    return np.einsum("ia,ia->i", left @ middle, right)
