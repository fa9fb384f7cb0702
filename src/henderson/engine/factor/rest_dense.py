"""One component of the rest as a dense matrix, through LAPACK: what a crossed model's rest is.

Matrices are in Fortran order and only their lower triangle is worked on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
from scipy.linalg import blas, lapack

from henderson.engine.factor.places import ComponentColumns, Placement, scale_rows
from henderson.numerics.triangular import inverse_of_factored

#: order from which a matrix times up to so many columns is made column by column
LARGE, FEW = 200, 6


@lru_cache(maxsize=4)
def _lower(n: int) -> np.ndarray:
    """Which entries of an (n, n) matrix are below the diagonal or on it."""
    return np.tri(n, dtype=bool)


def mirrored(matrix: np.ndarray) -> np.ndarray:
    """A symmetric matrix from its lower triangle."""
    return np.where(_lower(len(matrix)), matrix, matrix.T)


def symmetric_times(lower: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A symmetric matrix (n, n), its lower triangle valid, times B (n, k), in Fortran order.

    A product of matrices copies the large one into blocks first, which takes longer than a few columns do.
    """
    columns = np.asfortranarray(B)
    if len(lower) < LARGE or columns.shape[1] > FEW:
        return np.asarray(blas.dsymm(1.0, lower, columns, lower=1))
    out = np.zeros(columns.shape, order="F")
    for k in range(columns.shape[1]):
        blas.dsymv(1.0, lower, columns[:, k], y=out[:, k], beta=1.0, lower=1, overwrite_y=1)
    return out


class DenseComponent:
    """One component at one θ; S in Fortran order, its lower triangle valid."""

    def __init__(self, place: ComponentColumns, S: np.ndarray, lam: Sequence[np.ndarray]) -> None:
        self.S = S
        self._begin(place, lam)

    def _begin(self, place: ComponentColumns, lam: Sequence[np.ndarray]) -> None:
        self.shape, self.lam = place.shape, lam
        self._inverse: np.ndarray | None = None
        self.t: np.ndarray | None = None  # λ of every effect, where all are scalar
        if all(q == 1 for _, q, _ in self.shape.parts):
            self.t = np.concatenate([np.full(n, lam[block][0, 0]) for block, _, n in self.shape.parts])
        self._factor()

    def _factor(self) -> None:
        """L and log|C|."""
        if self.t is not None:
            C = np.multiply(self.S, self.t, order="F")
            C *= self.t[:, None]
        else:
            half = scale_rows(self.shape, self.lam, self.full_S, True)
            C = np.asfortranarray(scale_rows(self.shape, self.lam, np.ascontiguousarray(half.T), True))
        C.ravel(order="K")[:: len(C) + 1] += 1.0
        self.L, info = lapack.dpotrf(C, lower=1, overwrite_a=1, clean=0)
        if info:
            raise np.linalg.LinAlgError(f"the mixed-model equations are not positive definite (pivot {info})")
        self.log_det = 2.0 * float(np.log(np.diag(self.L)).sum())

    def half(self, B: np.ndarray) -> np.ndarray:
        """L⁻¹Λ'B for the component's rows of B (size, k)."""
        scaled = np.asfortranarray(scale_rows(self.shape, self.lam, B, True))
        return blas.dtrsm(1.0, self.L, scaled, lower=1, overwrite_b=1)

    def back(self, H: np.ndarray) -> np.ndarray:
        """ΛL⁻ᵀH."""
        return scale_rows(self.shape, self.lam, self.spherical(H), False)

    def spherical(self, H: np.ndarray) -> np.ndarray:
        """L⁻ᵀH."""
        return blas.dtrsm(1.0, self.L, np.asfortranarray(H), lower=1, trans_a=1)

    def multiply(self, B: np.ndarray) -> np.ndarray:
        """SB."""
        return symmetric_times(self.S, B)

    def inverse(self) -> np.ndarray:
        """C⁻¹, lower triangle valid, Fortran order."""
        if self._inverse is None:
            self._inverse = self._new_inverse()
        return self._inverse

    def _new_inverse(self) -> np.ndarray:
        return inverse_of_factored(self.L)

    @cached_property
    def full_S(self) -> np.ndarray:
        """S with both triangles."""
        return mirrored(self.S)

    @cached_property
    def full_inverse(self) -> np.ndarray:
        """C⁻¹ with both triangles."""
        return mirrored(self.inverse())

    def inner(self, H: np.ndarray) -> np.ndarray:
        """H'H, (k, k)."""
        return np.asarray(H.T @ H)

    def weights(self) -> np.ndarray:
        """W as a flat Fortran array, lower triangle valid."""
        return self.W.ravel(order="F")

    def weights_at(self, place: Placement) -> np.ndarray:
        """W at the entries of the pattern."""
        return self.weights()[place.flat]

    def weigh(self, B: np.ndarray) -> np.ndarray:
        """WB."""
        return symmetric_times(self.W, B)

    def full_W(self) -> np.ndarray:
        """W with both triangles, a new array: it may be large."""
        return mirrored(self.W)

    def trace_with(self, M: np.ndarray) -> float:
        """tr WM for symmetric M (size, size) whose lower triangle is valid."""
        W = self.W
        below = sum(2.0 * float(W[i + 1 :, i] @ M[i + 1 :, i]) for i in range(len(W)))
        return below + float(np.diag(W) @ np.diag(M))

    def weight_stack(self) -> np.ndarray:
        """W, a new array (1, size, size)."""
        return self.full_W()[None]

    def schur_stack(self) -> np.ndarray:
        """S, (1, size, size)."""
        return self.full_S[None]

    def put_level_weights(self, place: ComponentColumns, offsets: np.ndarray, out: Sequence[np.ndarray]) -> None:
        """Write the diagonal blocks of W to each block's (q, q, levels)."""
        for block, q, _, rows in self.shape.slices():
            level = (place.columns[rows][::q] - offsets[block]) // q
            if self.t is not None:
                out[block][0, 0, level] = self.t[rows] ** 2 * self.inverse_diagonal[rows]
            else:
                out[block][:, :, level] = _diagonal_blocks(self.W[rows, rows], q).transpose(1, 2, 0)

    @property
    def W(self) -> np.ndarray:
        """W = ΛC⁻¹Λ', Fortran order, lower triangle valid."""
        if self.t is not None:
            return self._scalar_parts[0]
        return self._block_weights

    @cached_property
    def _block_weights(self) -> np.ndarray:
        half = scale_rows(self.shape, self.lam, self.full_inverse, False)
        return np.asfortranarray(scale_rows(self.shape, self.lam, np.ascontiguousarray(half.T), False))

    @cached_property
    def _scalar_parts(self) -> tuple[np.ndarray, np.ndarray]:
        """W and the diagonal of C⁻¹ where all λ are scalar: C⁻¹ itself is scaled in place, it may be large."""
        W = self._new_inverse() if self._inverse is None else self._inverse.copy("F")
        diagonal = np.diag(W).copy()
        W *= self.t
        W *= np.asarray(self.t)[:, None]
        return W, diagonal

    @property
    def inverse_diagonal(self) -> np.ndarray:
        """Of C⁻¹, (size,)."""
        return self._scalar_parts[1] if self.t is not None else np.diag(self.inverse())

    def add_inverse_blocks(self, out: Sequence[np.ndarray]) -> None:
        """Add Σ_j (C⁻¹)_jj to the (q, q) of each block."""
        if self.t is not None:
            for block, _, _, part in self.shape.slices():
                out[block][...] += self.inverse_diagonal[part].sum()
            return
        K = self.inverse()
        for block, q, _, part in self.shape.slices():
            out[block][...] += _diagonal_blocks(K[part, part], q).sum(axis=0)

    def add_products(self, out: Sequence[np.ndarray], whole: Sequence[np.ndarray]) -> None:
        """Add Σ_j (SΛC⁻¹)_jj to each block's (q, q), and Σ_j (Z'V⁻¹Z)_jj to `whole`, without dividing by λ."""
        S, K = self.full_S, self.full_inverse
        LK = scale_rows(self.shape, self.lam, K, False)
        for block, q, n, part in self.shape.slices():
            rows = S[part].reshape(n, q, -1).transpose(1, 0, 2).reshape(q, -1)
            columns = LK[:, part].reshape(-1, n, q).transpose(2, 1, 0).reshape(q, -1)
            out[block][...] += rows @ columns.T
        H = self.half(S)
        for block, q, n, part in self.shape.slices():
            h = H[:, part].reshape(-1, n, q).transpose(2, 0, 1).reshape(q, -1)
            whole[block][...] += _diagonal_blocks(S[part, part], q).sum(axis=0) - h @ h.T


def _diagonal_blocks(matrix: np.ndarray, q: int) -> np.ndarray:
    """The (n, q, q) blocks on the diagonal of a matrix whose lower triangle is valid."""
    n = len(matrix) // q
    starts = np.arange(n) * q
    out = np.empty((n, q, q))
    for a in range(q):
        for b in range(a + 1):
            out[:, a, b] = out[:, b, a] = matrix[starts + a, starts + b]
    return out
