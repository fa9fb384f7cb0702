"""The rest of related levels, or of crossed ones that hardly meet, where variances may be negative, G = λJλ'.

With J of ones and minus ones

    C = Λ'SΛ + A⁻¹ ⊗ J = LDL'     W = ΛC⁻¹Λ'     Σ_j (F'Z'V⁻¹ZF)_jj = Λ⁻ᵀ [Σ_j (I − (A⁻¹ ⊗ J)C⁻¹)_jj] JΛ⁻¹
"""

from __future__ import annotations

import numpy as np

from henderson.engine.factor.sparse.rest import SparseRest
from henderson.numerics.sparse.signed import SparseSigned

FloatArray = np.ndarray


class SignedSparseRest(SparseRest):
    """See `SparseRest`.

    Parameters
    ----------
    pairs, rr, lam, n, signs
        As of `SparseRest`.
    """

    has_root = False
    cholesky: SparseSigned

    @property
    def excess(self) -> int:
        """Negative eigenvalues of C more than J has."""
        return int(np.count_nonzero(self.cholesky.signs < 0)) - int(np.count_nonzero(self._expected < 0))

    @property
    def _expected(self) -> FloatArray:
        """J of all effects, (R,)."""
        return np.concatenate([np.tile(J, levels) for J, levels in zip(self.signs, self.pairs.levels)])

    def _factored(self) -> SparseSigned:
        return SparseSigned(self.pairs.plan, self.pairs.values(self.lam, self.signs), self._expected)

    def inner(self, H: list[FloatArray]) -> FloatArray:
        """H'DH."""
        return np.asarray(H[0].T @ (self.cholesky.signs[:, None] * H[0]))

    def back(self, H: list[FloatArray], spherical: bool = False) -> FloatArray:
        """ΛL⁻ᵀDH, or (A⁻¹ ⊗ J)L⁻ᵀDH."""
        found = self.cholesky.back(self.cholesky.signs[:, None] * H[0])
        if not spherical:
            return self.pairs.scaled(found, self.lam)
        return self.pairs.scaled(self.pairs.prior_times(found), [np.diag(J) for J in self.signs])
