"""The front's part of the Schur complement by BLAS, for a small rest that is one dense matrix.

a_j = Z_j'Z_r is held as (J, q, R).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.linalg import blas

from henderson.engine.factor.rest import Rest
from henderson.numerics import triangles


class DenseProduct:
    """S and its derivative's traces by BLAS.

    Parameters
    ----------
    a : (J, q, R) array
    rr : (R, R) array
        Z_r'Z_r.
    """

    groups = None  # of its S no entry is known to be zero

    def __init__(self, a: np.ndarray, rr: np.ndarray) -> None:
        self.a, self.rr = a, rr
        self.n_levels, self.q, self.n_rest = a.shape

    @classmethod
    def of_sparse(cls, zr: list[sparse.csr_array], rr: sparse.csr_array) -> DenseProduct:
        """From what `CrossProducts` holds."""
        return cls(np.stack([one.toarray() for one in zr], axis=1), rr.toarray())

    @property
    def _rows(self) -> np.ndarray:
        """a as rows, (J q, R)."""
        return self.a.reshape(-1, self.n_rest)

    def turned(self, T: np.ndarray) -> np.ndarray:
        """T_j a_j of every level, (J q, R)."""
        if self.q == 1:  # a product of numbers, which `matmul` would make level by level
            return T[0, 0][:, None] * self._rows
        return np.matmul(T.transpose(2, 0, 1), self.a).reshape(-1, self.n_rest)

    def _new_rr(self) -> np.ndarray:
        """Z_r'Z_r, a new array in Fortran order, lower triangle valid."""
        return np.array(self.rr.T, order="F")  # symmetric: what lies in a row is copied

    def schur(self, T: np.ndarray) -> list[np.ndarray]:
        """S of the one place, (R, R) in Fortran order, lower triangle."""
        return [blas.dsyrk(-1.0, self.turned(T).T, beta=1.0, c=self._new_rr(), lower=1, overwrite_c=1)]

    def gram(self, K: np.ndarray) -> list[np.ndarray]:
        """Σ_j a_j'K_j'K_j a_j of the one place, (R, R) in Fortran order, lower triangle."""
        rows = self.turned(K)
        return [blas.dsyrk(1.0, rows.T, lower=1)]

    def sandwich(self, rest: Rest) -> np.ndarray:
        """a_j W a_j' (q, q, J), W = ΛC⁻¹Λ'."""
        moved = rest.weigh(self._rows.T).T.reshape(self.a.shape)
        return np.matmul(moved, self.a.transpose(0, 2, 1)).transpose(1, 2, 0)

    def to_rest(self, h: np.ndarray) -> np.ndarray:
        """Σ_j a_j'h_j (R, k) for h (q, k, J)."""
        return self._rows.T @ h.transpose(2, 0, 1).reshape(len(self._rows), h.shape[1])

    def to_front(self, B: np.ndarray) -> np.ndarray:
        """a_j B (q, k, J) for B (R, k)."""
        return (self._rows @ B).reshape(self.n_levels, self.q, B.shape[1]).transpose(1, 2, 0)


class WeighedProduct(DenseProduct):
    """The same of sums that hold Z_r'R⁻¹Z_r by its lower triangle (`triangles`)."""

    def _new_rr(self) -> np.ndarray:
        return triangles.unpacked(self.rr, self.n_rest)
