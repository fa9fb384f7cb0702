"""What the errors of predictions need of the fixed effects, once for all rows.

With Ω = Z'V⁻¹Z, Y = Z'V⁻¹X, Φ = (X'V⁻¹X)⁻¹ and, for a row (x, z), d = x − Y'Gz and δ = Φd, the row's weights of the
data leave ζ = ζ₀ − Yδ of its own effects, ζ₀ = (I − ΩG)z. Quadratic forms of ζ have parts that are linear in z: with
the parameters' matrices E_i and their covariance ω, Ω̃ = Σ ω_ik E_i(Ω − YΦY')E_k,

    d = x − z'(GY)      c_i = z'(I − GΩ)E_iY      g = z'(I − GΩ)Ω̃Y

and parts without z: F_i = Y'E_iY, Y'Ω̃Y. So all that a row reads is (Q, p) tables, a row of them for each effect. With
the scores S = Z'V⁻¹(y − Xβ̂) the derivative of a prediction along g_i is ζ'E_iS, at these data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.factor.system import Factor
from henderson.numerics import small

FloatArray = np.ndarray
#: of every block (q, p, J)
Table = list[FloatArray]


@dataclass(frozen=True)
class FixedTables:
    """Tables of p numbers for each random effect, and p × p matrices.

    Attributes
    ----------
    phi : (p, p) array
    moved : Table
        GY.
    by_parameter : tuple of k Tables
        (I − GΩ)E_iY.
    added : Table, or None
        (I − GΩ)Ω̃Y.
    squares : (k, p, p) array
        Y'E_iY.
    square_added : (p, p) array
        Y'Ω̃Y.
    scores : Table, or None
        (I − GΩ)E_iS, (q, k, J) of every block.
    square_scores : (p, k) array
        Y'E_iS.
    """

    phi: FloatArray
    moved: Table
    by_parameter: tuple[Table, ...]
    added: Table | None
    squares: FloatArray
    square_added: FloatArray
    scores: Table | None
    square_scores: FloatArray


def fixed_tables(factor: Factor, phi: FloatArray, omega: FloatArray | None, scores: list[FloatArray]) -> FixedTables:
    """The tables at one factor.

    Parameters
    ----------
    factor : Factor
    phi : (p, p) array
    omega : (k, k) array, or None
        Covariance of the G parameters; None: only GY is wanted.
    scores : list of (q, J) arrays
        S of every block.
    """
    blocks, p = factor.system.blocks, len(phi)
    zvc_front, zvc_rest = factor.zvc
    Y = blocks.split(zvc_front[:, :p], zvc_rest[:, :p])
    moved = _times_g(factor, Y)
    if omega is None:
        return FixedTables(phi, moved, (), None, np.zeros((0, p, p)), np.zeros((p, p)), None, np.zeros((p, 0)))
    turned = [[np.zeros_like(own) for own in Y] for _ in range(blocks.n_g)]  # E_iY
    by_score = [np.zeros((block.q, blocks.n_g, block.n_levels)) for block in blocks.blocks]  # E_iS
    for k, block in enumerate(blocks.blocks):
        for i, E in zip(block.g_parameters, block.layout.basis()):
            turned[i][k] = small.left(E, Y[k])
            by_score[k][:, i] = E @ scores[k]
    squares = np.array([sum(small.gram(own, one) for own, one in zip(Y, E)) for E in turned]).reshape(blocks.n_g, p, p)
    image = [factor.marginal(E) for E in turned]  # ΩE_iY
    projected = [[o - small_right(own, phi @ F) for o, own in zip(one, Y)] for one, F in zip(image, squares)]
    added = [np.zeros_like(own) for own in Y]
    for k, block in enumerate(blocks.blocks):
        for i, E in zip(block.g_parameters, block.layout.basis()):
            added[k] += small.left(E, sum(weight * one[k] for weight, one in zip(omega[i], projected)))
    by_parameter = tuple(_less(E, _times_g(factor, one)) for E, one in zip(turned, image))
    square_added = sum((small.gram(own, one) for own, one in zip(Y, added)), np.zeros((p, p)))
    table = _less(added, _times_g(factor, factor.marginal(added)))
    square_scores = sum((small.gram(own, one) for own, one in zip(Y, by_score)), np.zeros((p, blocks.n_g)))
    return FixedTables(
        phi,
        moved,
        by_parameter,
        table,
        squares,
        (square_added + square_added.T) / 2,
        _less(by_score, _times_g(factor, factor.marginal(by_score))),
        square_scores,
    )


def small_right(b: FloatArray, matrix: FloatArray) -> FloatArray:
    """b times one (m, s) matrix for all levels: (q, m, J) → (q, s, J)."""
    return np.einsum("amj,ms->asj", b, matrix, optimize=True)


def _less(one: Table, other: Table) -> Table:
    return [a - b for a, b in zip(one, other)]


def _times_g(factor: Factor, table: Table) -> Table:
    """G times a table."""
    return [small.left(lam @ lam.T, own) for lam, own in zip(factor.lam, table)]
