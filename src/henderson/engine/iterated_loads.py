"""What rows load on when the rest iterates: forms z_i'Wz_k without the rest's W (see `row_forms`).

With s = z_r − a_j'M_jz_f, z'Wz = z_f'M_jz_f + s'W_rs. Of W_r the part that is blocks of levels is known, and what slow
directions add; what is left comes from probes (`factor.iterative.by_level`). Between few rows it is solved for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from henderson.engine.factor.iterative.by_level import PROBES, outer_parts, own_blocks
from henderson.engine.factor.iterative.levels import block_matrix
from henderson.engine.factor.iterative.pairs import Pairs
from henderson.engine.factor.iterative.rest import IterativeRest

FloatArray = np.ndarray

#: numbers in a slice of rows × columns of a block of probes
SLICE = 4_000_000


@dataclass(frozen=True)
class IteratedLoads:
    """The loads of rows, weighted and in the working basis.

    Attributes
    ----------
    codes : (n,) int array
        Level of the front; empty where there is none.
    half, moved : (q, n) arrays
        T_jz_f and M_jz_f.
    rest : (n, R) csr_array
        z_r.
    solver : IterativeRest
    """

    codes: np.ndarray
    half: FloatArray
    moved: FloatArray
    rest: sparse.csr_array
    solver: IterativeRest

    @property
    def pairs(self) -> Pairs:
        """The counts between front and rest."""
        return self.solver.pairs

    def diagonal(self) -> FloatArray:
        """z_i'Wz_i, (n,)."""
        return self.diagonal_and_error()[0]

    def diagonal_and_error(self) -> tuple[FloatArray, FloatArray]:
        """z_i'Wz_i, and its standard error over probes; (n,) each."""
        scaled, pairs = self.solver.scaled, self.pairs
        own = own_blocks(scaled)
        out = np.square(self.half).sum(axis=0)
        weighed = sparse.csr_array(self.rest @ block_matrix(own))
        out += np.asarray(weighed.multiply(self.rest).sum(axis=1)).ravel()
        if pairs.q:
            inner = pairs.front_diagonals(own)
            out += np.einsum("an,abn,bn->n", self.moved, inner[:, :, self.codes], self.moved, optimize=True)
            row = np.repeat(np.arange(len(out)), np.diff(weighed.indptr))
            for a, moved in enumerate(self.moved):
                met = pairs.by_front[self.codes[row] * pairs.q + a, weighed.indices]
                out -= 2 * moved * np.bincount(row, np.asarray(met).ravel() * weighed.data, len(out))
        total, squares = np.zeros(len(out)), np.zeros(len(out))
        for one, other, weight in outer_parts(self.solver.operator):
            by_front = [pairs.front_of(part) if pairs.q else part[:0] for part in (one, other)]
            step = max(1, SLICE // one.shape[1])
            for start in range(0, len(out), step):
                here = slice(start, start + step)
                first, second = (self._of(here, part, front) for part, front in zip((one, other), by_front))
                own = first * second
                out[here] += weight * own.sum(axis=1)
                if weight < 1:  # of probes
                    total[here] += own.sum(axis=1)
                    squares[here] += np.einsum("nk,nk->n", own, own)
        variance = np.maximum(squares - total**2 / PROBES, 0.0) / (PROBES - 1)
        return out, np.sqrt(variance / PROBES)

    def _of(self, rows: slice, part: FloatArray, front: FloatArray) -> FloatArray:
        """s'F of some rows for F (R, k), and A F (J q, k)."""
        out = np.asarray(self.rest[rows] @ part)
        for a, moved in enumerate(self.moved[:, rows]):
            out -= moved[:, None] * front[self.codes[rows] * self.pairs.q + a]
        return out

    def block(self, rows: np.ndarray) -> FloatArray:
        """z_i'Wz_k of some rows, (m, m)."""
        half = self.half[:, rows]
        out = half.T @ half
        s = self.rest[rows]
        if len(self.codes):
            out *= self.codes[rows, None] == self.codes[rows]
            for a, moved in enumerate(self.moved[:, rows]):
                s = s - sparse.diags_array(moved) @ self.pairs.by_front[self.codes[rows] * self.pairs.q + a]
        asked = sparse.csr_array(s)
        return out + np.asarray(asked @ self.solver.weigh(asked.toarray().T))
