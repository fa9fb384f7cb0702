"""What rows load on where levels have known relationships: forms z_i'Wz_k.

The levels of one row meet in it, so z_i'Wz_i needs of W what stands where the equations have entries, which the
inverse on the pattern has; between two rows it is solved for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from henderson.engine.factor.sparse.rest import SparseRest

FloatArray = np.ndarray


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

    def diagonal(self) -> FloatArray:
        """z_i'Wz_i, (n,)."""
        return np.asarray((self.rest @ self.solver.weights_on_pattern()).multiply(self.rest).sum(axis=1)).ravel()

    def block(self, rows: np.ndarray) -> FloatArray:
        """z_i'Wz_k of some rows, (m, m)."""
        asked = sparse.csr_array(self.rest[rows])
        return np.asarray(asked @ self.solver.weigh(asked.toarray().T))
