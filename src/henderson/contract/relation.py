"""Levels that are not independent: Var(b) = σ² A ⊗ G with a known A, by the sparse root of its inverse, A⁻¹ = R'R.

With F = R⁻¹ the effects are b = Fw, w independent. What is wanted of the relationships is a product with F or F', by
substitution, A⁻¹ itself, and log|A|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


@dataclass(frozen=True, eq=False)
class Relation:
    """A of J levels.

    Attributes
    ----------
    root : (J, J) csr_array
        R, lower triangular.
    diagonal : (J,) array
        A_jj.

    Examples
    --------
    >>> halved = Relation(sparse.csr_array([[1.0, 0.0], [-0.5, 1.0]]), np.array([1.0, 1.25]))  # parent, offspring
    >>> halved.to_levels(np.array([[[1.0, 1.0]]]))
    array([[[1. , 1.5]]])
    """

    root: sparse.csr_array
    diagonal: FloatArray

    @lazy
    def precision(self) -> sparse.csr_array:
        """A⁻¹, (J, J)."""
        return sparse.csr_array(self.root.T @ self.root)

    @lazy
    def log_det(self) -> float:
        """log|A|."""
        return -2.0 * float(np.log(self.root.diagonal()).sum())

    @lazy
    def _solver(self) -> Any:
        from scipy.sparse.linalg import splu

        # a triangular matrix in its own order is its own factor
        options = {"SymmetricMode": True}
        return splu(sparse.csc_array(self.root), permc_spec="NATURAL", diag_pivot_thresh=0, options=options)

    def to_levels(self, effects: FloatArray) -> FloatArray:
        """Fw for w (q, k, J)."""
        return self._solved(effects, "N")

    def to_independent(self, totals: FloatArray) -> FloatArray:
        """F'h for h (q, k, J)."""
        return self._solved(totals, "T")

    def _solved(self, array: FloatArray, which: str) -> FloatArray:
        flat = array.reshape(-1, array.shape[-1])
        if not flat.size:
            return array
        return np.ascontiguousarray(self._solver.solve(np.ascontiguousarray(flat.T), which).T).reshape(array.shape)

    def __getstate__(self) -> dict[str, Any]:
        root = {"data": self.root.data, "indices": self.root.indices, "indptr": self.root.indptr}
        return {**root, "diagonal": self.diagonal}

    def __setstate__(self, state: dict[str, Any]) -> None:
        J = len(state["indptr"]) - 1
        root = sparse.csr_array((state["data"], state["indices"], state["indptr"]), shape=(J, J))
        self.__dict__.update(root=root, diagonal=state["diagonal"])
