"""What rows load on where levels have known relationships: forms z_i'Wz_k.

The levels of one row of the fit meet in it, so z_i'Wz_i needs of W what stands where the equations have entries, which
the inverse on the pattern has. Other rows, and pairs of rows, are solved for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from henderson.engine.factor.sparse.rest import SparseRest

FloatArray = np.ndarray

#: rows that are solved for at once
AT_ONCE = 64


@dataclass(frozen=True)
class SparseLoads:
    """The loads of rows, weighted and in the working basis.

    Attributes
    ----------
    rest : (n, R) csr_array
        z.
    solver : SparseRest
    """

    rest: sparse.csr_array
    solver: SparseRest

    @cached_property
    def _known(self) -> sparse.csr_array:
        """W where the equations have entries, (R, R)."""
        return self.solver.weights_on_pattern()

    def with_others(self, other: sparse.csr_array) -> FloatArray:
        """x_i'Wz_i of rows x (n, R) whose levels meet those of z in the equations, (n,)."""
        return np.asarray((other @ self._known).multiply(self.rest).sum(axis=1)).ravel()

    def diagonal(self) -> FloatArray:
        """z_i'Wz_i, (n,)."""
        W = self._known
        out = _squares(self.rest, W)
        there, asked = (
            sparse.csr_array((np.ones(one.nnz), one.indices, one.indptr), one.shape) for one in (W, self.rest)
        )
        apart = np.flatnonzero(_squares(asked, there) < np.diff(self.rest.indptr) ** 2)
        for start in range(0, len(apart), AT_ONCE):  # levels that meet in no row of the fit
            rows = apart[start : start + AT_ONCE]
            z = self.rest[rows].toarray()
            out[rows] = np.einsum("mr,rm->m", z, self.solver.weigh(z.T))
        return out

    def block(self, rows: np.ndarray) -> FloatArray:
        """z_i'Wz_k of some rows, (m, m)."""
        asked = sparse.csr_array(self.rest[rows])
        effects = np.unique(asked.indices)
        known = self._known[effects][:, effects]
        if known.nnz == len(effects) ** 2:  # they all meet
            z = asked[:, effects].toarray()
            return np.asarray(z @ known.toarray() @ z.T)
        return np.asarray(asked @ self.solver.weigh(asked.toarray().T))


def _squares(z: sparse.csr_array, W: sparse.csr_array) -> FloatArray:
    """z_i'Wz_i, (n,)."""
    return np.asarray((z @ W).multiply(z).sum(axis=1)).ravel()
