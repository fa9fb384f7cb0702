"""Forms of V⁻¹ by row where residuals correlate: what `engine.row_forms` has for independent ones.

Rows times √w, V = Var(y) relative to the square of the working response's unit, S = V⁻¹ block by block:

    P = S − SXΦX'S      leverage_i = ∂ŷ_i/∂y_i = 1 − (RP)_ii,  ŷ = Xβ̂ + Zb̂,  R the residuals' part of V
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.contract.rows import Rows
from henderson.engine.residual.ends import RowPoint
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.point import BlockPoint
from henderson.engine.residual.related import RelatedPoint
from henderson.engine.residual.related_rows import RelatedForms, related_forms
from henderson.engine.rows_of_point import CorrelatedRows

FloatArray = np.ndarray


@dataclass(frozen=True)
class StructuredForms(CorrelatedRows):
    """Forms of a point's rows; see `CorrelatedRows`.

    Attributes
    ----------
    part, block, place : (n,) int arrays
        Where each row is among the point's blocks.
    point : BlockPoint
    """

    part: np.ndarray
    block: np.ndarray
    place: np.ndarray
    point: BlockPoint

    def p_block(self, rows: np.ndarray) -> FloatArray:
        """P between some rows, (m, m)."""
        vx = self.vx[rows]
        out = -vx @ self.phi @ vx.T
        where = np.column_stack([self.part[rows], self.block[rows]])
        found, member = np.unique(where, axis=0, return_inverse=True)
        for k, (part, block) in enumerate(found):
            here = np.flatnonzero(member.ravel() == k)
            unit = int(self.point.model.parts[part].batch.unit_of[block])
            place = self.place[rows[here]]
            out[np.ix_(here, here)] += self.point.factored[part].S[unit][np.ix_(place, place)]
        return out


def structured_forms(model: BlockModel, point: RowPoint, rows: Rows) -> StructuredForms | RelatedForms:
    """The forms of a model's rows at a point.

    Parameters
    ----------
    model : BlockModel
    point : BlockPoint
    rows : Rows
        Those that the model is of.
    """
    if isinstance(point, RelatedPoint):
        return related_forms(point)
    n, p = rows.n, model.p
    c, Sc = np.empty((n, p + 1)), np.empty((n, p + 1))
    model.basis.rows(rows, c)
    own, leverage = np.empty(n), np.empty(n)
    part_of, block_of, place_of = np.empty((3, n), np.intp)
    for k, (part, at) in enumerate(zip(model.parts, point.factored)):
        unit, where = part.batch.unit_of, part.batch.rows
        solved = np.matmul(at.S[unit], c[where])
        R = model.residual_cov(point.psi, part.batch)
        Sc[where] = solved
        own[where] = np.einsum("unn->un", at.S)[unit]
        along = solved[:, :, :p]
        kept = np.einsum("unm,umn->un", R, at.S)[unit]
        kept = kept - np.einsum("bna,ac,bnc->bn", np.matmul(R[unit], along), point.phi, along, optimize=True)
        leverage[where] = 1.0 - kept
        part_of[where], block_of[where] = k, np.arange(len(where))[:, None]
        place_of[where] = np.arange(where.shape[1])
    unit_of_y = model.basis.y_scale
    return StructuredForms(
        c[:, :p],
        Sc[:, :p],
        unit_of_y * (Sc @ point.v),
        unit_of_y * (c @ point.v),
        point.phi,
        model.basis.to_beta,
        model.nu,
        unit_of_y**2 * point.r2,
        own,
        leverage,
        part_of,
        block_of,
        place_of,
        point,
    )
