"""A sparse symmetric matrix that need not be definite, by fronts: PCP' = LDL', D of ones and minus ones.

As in `cholesky`, with a root of each front's own columns, K F_11 K' = D_1 (`numerics.signed`):

    L_11 = K⁻¹     L_21 = F_21 K'D_1     U = F_22 − L_21 D_1 L_21'     Z_11 = K'D_1K + Y'Z_22Y
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.numerics.signed import signed_root
from henderson.numerics.sparse.cholesky import Part, SparseCholesky
from henderson.numerics.sparse.plan import Batch, Plan

FloatArray = np.ndarray


@dataclass(frozen=True, eq=False)
class SignedPart(Part):
    """See `Part`.

    Attributes
    ----------
    signs : (B, w) array
        D_1.
    size : float
        Σ log|det F_11|.
    """

    signs: FloatArray
    size: float

    @property
    def log_det(self) -> float:
        """Σ log|det F_11|."""
        return self.size

    @property
    def squared(self) -> FloatArray:
        """F_11⁻¹, (B, w, w)."""
        return self.inverse.transpose(0, 2, 1) @ (self.signs[:, :, None] * self.inverse)


class SparseSigned(SparseCholesky):
    """L and D with PCP' = LDL'; `half` is L⁻¹PB and `back` P'L⁻ᵀH, as of a Cholesky factor.

    Parameters
    ----------
    plan : Plan
    values : (e,) array
        The entries of C that the plan was made for.
    expected : (n,) array
        Signs that the pivots are expected to have.

    Attributes
    ----------
    signs : (n,) array
        D.
    log_det : float
        log|det C|.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the columns of a front, or C, are singular.

    Examples
    --------
    >>> plan = Plan.of(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    >>> found = SparseSigned(plan, np.array([-4.0, 2.0, 8.0]), np.array([-1.0, 1.0]))
    >>> float(np.exp(found.log_det)), found.solve(np.array([[-2.0], [10.0]])).ravel(), found.inverse * 36
    (36.0..., array([1., 1.]), array([-8.,  2.,  4.]))
    """

    parts: list[SignedPart]  # type: ignore[assignment]

    def __init__(self, plan: Plan, values: FloatArray, expected: FloatArray) -> None:
        self._expected = np.append(expected[plan.order], 1.0)
        super().__init__(plan, values)
        signs = np.ones(plan.n + 1)
        for batch, part in zip(plan.batches, self.parts):
            signs[batch.columns] = part.signs
        self.signs = signs[: plan.n]

    def _eliminate(self, batch: Batch, F: FloatArray) -> tuple[SignedPart, FloatArray]:
        B, w, _ = batch.shape
        K, signs, size = np.zeros((B, w, w)), np.ones((B, w)), 0.0
        K[:, range(w), range(w)] = 1.0
        real = (batch.columns < self.plan.n).sum(axis=1)
        for m in np.unique(real).tolist():  # columns that are none are the last, and stay what they are
            own = np.flatnonzero(real == m)
            root = signed_root(F[own, :m, :m], self._expected[batch.columns[own[0], :m]] if len(own) == 1 else None)
            K[own, :m, :m], signs[own, :m] = root.K, root.signs
            size += root.log_det
        below = F[:, w:, :w] @ K.transpose(0, 2, 1) * signs[:, None]
        U = F[:, w:, w:] - (below * signs[:, None]) @ below.transpose(0, 2, 1)
        return SignedPart(K, below, signs, size), U

    def solve(self, B: FloatArray) -> FloatArray:
        """C⁻¹B, (n, k)."""
        return self.back(self.signs[:, None] * self.half(B))
