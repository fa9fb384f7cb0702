"""What every form of V⁻¹ by row has: of independent residuals (`row_forms`), of others (`residual.row_forms`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray


@dataclass(frozen=True)
class RowsOfPoint:
    """Rows at a point, W^½ times them; columns in the working basis, y in its own unit.

    Attributes
    ----------
    x, vx : (n, p) arrays
        Columns of the fixed part, and V⁻¹ times them.
    e : (n,) array
        V⁻¹(y − Xβ̂) = Py.
    r : (n,) array
        y − Xβ̂.
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
    phi: FloatArray
    to_beta: FloatArray
    nu: int
    r2: float

    @property
    def fixed_leverage(self) -> FloatArray:
        """Diagonal of X(X'V⁻¹X)⁻¹X'V⁻¹, (n,)."""
        return np.einsum("ia,ia->i", self.x @ self.phi, self.vx)

    @property
    def of_fixed(self) -> FloatArray:
        """Diagonal of V⁻¹XΦX'V⁻¹, what P has less than V⁻¹, (n,)."""
        return np.einsum("ia,ia->i", self.vx @ self.phi, self.vx)


@dataclass(frozen=True)
class CorrelatedRows(RowsOfPoint):
    """The same where residuals correlate.

    Attributes
    ----------
    own : (n,) array
        Diagonal of V⁻¹.
    leverage : (n,) array
        Diagonal of ∂ŷ/∂y at known variances.
    """

    own: FloatArray
    leverage: FloatArray

    @property
    def p_diagonal(self) -> FloatArray:
        """P_ii, (n,)."""
        return self.own - self.of_fixed
