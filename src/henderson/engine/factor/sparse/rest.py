"""The rest of related levels, or of crossed ones that hardly meet, at one θ: a sparse Cholesky factor behind
`factor.rest.Rest`.

With Var(b) = σ² A ⊗ λλ' and all effects in the rest (no front), S = Z'WZ and

    C = Λ'SΛ + A⁻¹ ⊗ I = LL'     W = ΛC⁻¹Λ' = (S + A⁻¹ ⊗ G⁻¹)⁻¹     log|V W| = log|C| + Σ_k q_k log|A_k|

The effects are b = Fw with FF' = A and independent w; whatever is summed over levels is summed over w. Since F
commutes with λ, Σ_j (SΛC⁻¹)_jj is the same of either, and the totals Z'V⁻¹Z of w have the sum

    Σ_j (F'(S − SWS)F)_jj = [Σ_j (SΛC⁻¹)_jj] λ⁻¹,    SΛC⁻¹ = Λ⁻ᵀ(I − (A⁻¹ ⊗ I)C⁻¹)

of which only entries of C⁻¹ where C has entries are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy import sparse

from henderson.engine.factor.front import MILD, invertible
from henderson.engine.factor.places import Placement
from henderson.engine.factor.sparse.pairs import SparsePairs
from henderson.errors import NotAvailable
from henderson.numerics.lazy import lazy
from henderson.numerics.sparse.cholesky import SparseCholesky

FloatArray = np.ndarray

#: singular value of λ, relative to its natural size, that takes the place of smaller ones where λ⁻¹ is asked for
LEAST = 1e-5


class SparseRest:
    """See `Rest`.

    Parameters
    ----------
    pairs : SparsePairs
    rr : (R, R) csr array
        S.
    lam : list of (q, q)
    n : int
        Rows of the data.
    signs : sequence of (q,) arrays, optional
        J of G = λJλ' of every block, of ones here; `factor.signed.sparse` has others.
    """

    has_root = True

    def __init__(
        self,
        pairs: SparsePairs,
        rr: sparse.csr_array,
        lam: Sequence[FloatArray],
        n: int,
        signs: Sequence[FloatArray] | None = None,
    ) -> None:
        self.pairs, self.rr, self.lam, self.n = pairs, rr, list(lam), n
        self.signs = [np.ones(q) for q in pairs.q] if signs is None else list(signs)
        self.cholesky = self._factored()
        known = sum(q * one.log_det for q, one in zip(pairs.q, pairs.relations) if one is not None)
        self.log_det = self.cholesky.log_det + known

    def _factored(self) -> SparseCholesky:
        return SparseCholesky(self.pairs.plan, self.pairs.values(self.lam))

    def half(self, B: FloatArray) -> list[FloatArray]:
        """L⁻¹Λ'B."""
        return [self.cholesky.half(self.pairs.scaled(B, [one.T for one in self.lam]))]

    def inner(self, H: list[FloatArray]) -> FloatArray:
        """H'H."""
        return H[0].T @ H[0]

    def back(self, H: list[FloatArray], spherical: bool = False) -> FloatArray:
        """ΛL⁻ᵀH, or (A⁻¹ ⊗ I)L⁻ᵀH: what remains of Λ'B when Λ'SΛC⁻¹ of it is taken."""
        found = self.cholesky.back(H[0])
        return self.pairs.prior_times(found) if spherical else self.pairs.scaled(found, self.lam)

    def multiply(self, B: FloatArray) -> FloatArray:
        """SB."""
        return np.asarray(self.rr @ B)

    def unscale(self, B: FloatArray) -> FloatArray:
        """Λ⁻ᵀB."""
        return self.pairs.scaled(B, [np.linalg.inv(one).T for one in self.lam])

    def divisible(self, floor: float = MILD) -> list[bool]:
        """For each block whether formulas may divide by its λ."""
        return [invertible(lam, self.n / levels, floor) for lam, levels in zip(self.lam, self.pairs.levels)]

    def traces(self) -> tuple[list[FloatArray], list[FloatArray]]:
        """Σ_j (SΛC⁻¹)_jj and Σ_j (F'Z'V⁻¹ZF)_jj for every block, (q, q) each."""
        first = self._first
        if all(self.divisible()):
            return first, self._totals
        # Z'V⁻¹Z is continuous in G, and here λ is singular: a little of every effect tells
        return first, self.again([_full_rank(one) for one in self.lam])._totals

    def again(
        self, lam: Sequence[FloatArray], pairs: SparsePairs | None = None, rr: sparse.csr_array | None = None
    ) -> SparseRest:
        """The same at another λ, or of other pairs."""
        own = self.pairs if pairs is None else pairs
        return type(self)(own, self.rr if rr is None else rr, lam, self.n, self.signs)

    @property
    def _totals(self) -> list[FloatArray]:
        """Σ_j (F'Z'V⁻¹ZF)_jj where no λ is singular."""
        return [_symmetric(one * J @ np.linalg.inv(lam)) for one, J, lam in zip(self._first, self.signs, self.lam)]

    @lazy
    def _first(self) -> list[FloatArray]:
        """Σ_j (SΛC⁻¹)_jj over the entries of S."""
        pairs = self.pairs
        if all(self.divisible()):  # Λ⁻ᵀ(I − (A⁻¹ ⊗ J)C⁻¹)
            out = [levels * np.eye(q) for levels, q in zip(pairs.levels, pairs.q)]
            for one, Z in zip(pairs.pairs, self._inverse):
                if one.prior is not None:
                    twice = np.where(one.is_diagonal, 0.5, 1.0) * one.prior
                    half = np.einsum("m,mab->ab", twice, Z)
                    out[one.first] -= self.signs[one.first][:, None] * (half + half.T)
            return [np.linalg.solve(lam.T, own) for lam, own in zip(self.lam, out)]
        out = [np.zeros((q, q)) for q in pairs.q]
        for one, Z in zip(pairs.pairs, self._inverse):
            k, l = one.first, one.second
            out[k] += np.einsum("mac,cd,mbd->ab", one.S, self.lam[l], Z, optimize=True)
            other = ~one.is_diagonal
            out[l] += np.einsum("mca,cd,mdb->ab", one.S[other], self.lam[k], Z[other], optimize=True)
        return out

    @lazy
    def _inverse(self) -> list[FloatArray]:
        """C⁻¹ of every pair."""
        return self.pairs.blocks_of(self.cholesky.inverse)

    def borrowed_sum(self) -> None:
        """There is no front."""
        return None

    def level_weights(self) -> list[FloatArray]:
        """The diagonal blocks of W, (q, q, levels) for every block."""
        out = [np.zeros((q, q, levels)) for q, levels in zip(self.pairs.q, self.pairs.levels)]
        for one, Z in zip(self.pairs.pairs, self._inverse):
            same, lam = one.is_diagonal, self.lam[one.first]
            if same.any():
                out[one.first][:, :, one.row[same]] = (lam @ Z[same] @ lam.T).transpose(1, 2, 0)
        return out

    def pair_weights(self) -> list[FloatArray]:
        """W of every pair, (m, q_k, q_l)."""
        return [self.lam[one.first] @ Z @ self.lam[one.second].T for one, Z in zip(self.pairs.pairs, self._inverse)]

    def weights_on_pattern(self) -> sparse.csr_array:
        """W where C has entries, (R, R)."""
        pairs, rows, columns, values = self.pairs, [], [], []
        for one, found in zip(pairs.pairs, self.pair_weights()):
            down = pairs.slices[one.first].start + one.row[:, None, None] * pairs.q[one.first]
            across = pairs.slices[one.second].start + one.column[:, None, None] * pairs.q[one.second]
            at = down + np.arange(found.shape[1])[:, None], across + np.arange(found.shape[2])
            row, column = (np.broadcast_to(place, found.shape) for place in at)
            other = ~one.is_diagonal
            rows += [row.ravel(), column[other].ravel()]
            columns += [column.ravel(), row[other].ravel()]
            values += [found.ravel(), found[other].ravel()]
        where = np.concatenate(rows), np.concatenate(columns)
        return sparse.csr_array((np.concatenate(values), where), shape=(pairs.n_effects,) * 2)

    def weigh(self, B: FloatArray) -> FloatArray:
        """WB."""
        return self.back(self.half(B))

    def weigh_rows(self, slices: Iterable[sparse.csr_array]) -> Iterator[FloatArray]:
        """Slices of sparse rows times W."""
        for rows in slices:
            yield self.weigh(np.asarray(rows.toarray()).T).T

    def trace_with(self, M: FloatArray) -> float:
        """Of a rest beside a front, which this is not."""
        raise NotAvailable(NO_MATRIX)

    def weights_on(self, where: Sequence[Placement], size: int) -> FloatArray:
        """Of a rest beside a front, which this is not."""
        raise NotAvailable(NO_MATRIX)

    def weight_stacks(self) -> list[FloatArray]:
        """W as a matrix, which is not formed."""
        raise NotAvailable(NO_MATRIX)

    def schur_stacks(self) -> list[FloatArray]:
        """S as a dense matrix, which is not formed."""
        raise NotAvailable(NO_MATRIX)


NO_MATRIX = (
    "not available where the equations have a sparse factor (known relationships, crossed effects that hardly meet): "
    "this needs a dense matrix over all levels"
)


def _symmetric(matrix: FloatArray) -> FloatArray:
    return (matrix + matrix.T) / 2


def _full_rank(lam: FloatArray) -> FloatArray:
    """λ with small singular values raised."""
    left, size, right = np.linalg.svd(lam)
    return np.asarray((left * np.maximum(size, LEAST * max(1.0, float(size.max(initial=0.0))))) @ right)
