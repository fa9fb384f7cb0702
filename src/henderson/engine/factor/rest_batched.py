"""Many components of the rest of one shape, worked on at once, levels last: what a nested model's rest is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from henderson.engine.factor.places import ComponentColumns, Placement, scale_rows
from henderson.numerics import small


class BatchedComponents:
    """Many components of one shape at one θ: S (m, m, C), levels last."""

    def __init__(self, place: ComponentColumns, S: np.ndarray, lam: Sequence[np.ndarray]) -> None:
        self.shape, self.S, self.lam = place.shape, S, lam
        half = self._left(S, True)
        C = self._left(np.ascontiguousarray(half.transpose(1, 0, 2)), True)
        for a in range(len(C)):
            C[a, a] += 1.0
        self.L = small.cholesky(C)
        self.log_det = small.log_det(self.L)

    def _left(self, B: np.ndarray, transpose: bool) -> np.ndarray:
        """Λ'B or ΛB for B (m, k, C)."""
        return scale_rows(self.shape, self.lam, B.reshape(len(B), -1), transpose).reshape(B.shape)

    def half(self, B: np.ndarray) -> np.ndarray:
        """L⁻¹Λ'B for B (m, k, C)."""
        return small.solve_lower(self.L, self._left(B, True))

    def spherical(self, H: np.ndarray) -> np.ndarray:
        """L⁻ᵀH."""
        return small.solve_upper(self.L, H.copy())

    def back(self, H: np.ndarray) -> np.ndarray:
        """ΛL⁻ᵀH."""
        return self._left(self.spherical(H), False)

    def multiply(self, B: np.ndarray) -> np.ndarray:
        """SB."""
        return small.multiply(self.S, B)

    def inverse(self) -> np.ndarray:
        """C⁻¹ (m, m, C)."""
        m = len(self.L)
        eye = np.zeros_like(self.L)
        eye[range(m), range(m)] = 1.0
        return small.solve_upper(self.L, small.solve_lower(self.L, eye))

    def inner(self, H: np.ndarray) -> np.ndarray:
        """H'H summed over the components, (k, k)."""
        return small.inner_sum(H)

    @cached_property
    def W(self) -> np.ndarray:
        """W = ΛC⁻¹Λ', (m, m, C)."""
        half = self._left(self.inverse(), False)
        return self._left(np.ascontiguousarray(half.transpose(1, 0, 2)), False)

    def weights(self) -> np.ndarray:
        """W as a flat array."""
        return self.W.ravel()

    def weights_at(self, place: Placement) -> np.ndarray:
        """W at the entries of the pattern."""
        return self.weights()[place.flat]

    def weigh(self, B: np.ndarray) -> np.ndarray:
        """WB."""
        return small.multiply(self.W, B)

    def weight_stack(self) -> np.ndarray:
        """W, a new array (C, m, m)."""
        return self.W.transpose(2, 0, 1).copy()  # of components of one effect the transpose is contiguous already

    def schur_stack(self) -> np.ndarray:
        """S, (C, m, m)."""
        return self.S.transpose(2, 0, 1)

    def put_level_weights(self, place: ComponentColumns, offsets: np.ndarray, out: Sequence[np.ndarray]) -> None:
        """As `DenseComponent.put_level_weights`; padding is left out."""
        for block, q, n, rows in self.shape.slices():
            padding = offsets[-1]
            for j in range(n):
                here = slice(rows.start + j * q, rows.start + (j + 1) * q)
                columns = place.columns[here.start]
                real = columns < padding
                out[block][:, :, (columns[real] - offsets[block]) // q] = self.W[here, here][:, :, real]

    def add_inverse_blocks(self, out: Sequence[np.ndarray]) -> None:
        """As `DenseComponent.add_inverse_blocks`; padding counts as C⁻¹ = I."""
        self._add_blocks(self.inverse(), out)

    def add_products(self, out: Sequence[np.ndarray], whole: Sequence[np.ndarray]) -> None:
        """As `DenseComponent.add_products`."""
        self._add_blocks(small.multiply(self.S, self._left(self.inverse(), False)), out)
        H = self.half(self.S)
        self._add_blocks(self.S - small.multiply(np.ascontiguousarray(H.transpose(1, 0, 2)), H), whole)

    def _add_blocks(self, matrix: np.ndarray, out: Sequence[np.ndarray]) -> None:
        for block, q, n, part in self.shape.slices():
            for j in range(n):
                here = slice(part.start + j * q, part.start + (j + 1) * q)
                out[block][...] += matrix[here, here].sum(axis=2)
