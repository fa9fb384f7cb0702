"""Any covariance: θ is the lower triangle of λ, column by column (lme4's order)."""

from __future__ import annotations

import numpy as np

from henderson.covariance.roots import factor_of, triangular
from henderson.covariance.structure import Filled, Inside, Structure
from henderson.numerics.lapack import cholesky, inverse_lower

FloatArray = np.ndarray

#: elements of T above which the columns of a term are taken for redundant, and only scaled
LARGEST = 1e6


class Unstructured(Filled):
    """Any covariance matrix of q effects."""

    name = "unstructured"
    any_order = True

    def entries(self, q: int) -> FloatArray:
        """The lower triangle, column by column, (q(q+1)/2, 2)."""
        return np.array([(r, s) for s in range(q) for r in range(s, q)]).reshape(-1, 2)

    def theta_of_cov(self, cov: FloatArray) -> FloatArray:
        """Of the Cholesky factor of its positive semidefinite part."""
        return self.theta(factor_of(cov))

    def whiten(self, gram: FloatArray, correlate: bool = True) -> FloatArray:
        """T upper triangular with T'gram T = I; diagonal where the columns are redundant."""
        scale = np.sqrt(gram.diagonal())
        scale = np.where(scale > 0, scale, 1.0)
        if correlate:
            try:
                root = inverse_lower(cholesky(gram / (scale[:, None] * scale))).T
            except np.linalg.LinAlgError:  # redundant columns in the term: only their scale is changed
                return np.diag(1 / scale)
            if np.abs(root).max(initial=0.0) < LARGEST:
                return root / scale[:, None]
        return np.diag(1 / scale)

    def of_ranks(self, q: int) -> list[FloatArray]:
        """Columns of λ, one to all."""
        lam = self.lam(self.unspecial(q), q)
        return [lam[:, :r] for r in range(1, q + 1)]

    def off_boundary(self, N: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Along vv', v the eigenvector of N's smallest eigenvalue."""
        values, vectors = np.linalg.eigh(N)
        v = vectors[..., 0]
        return values[..., 0], v[..., :, None] * v[..., None, :]

    def without_weakest(self, lam: FloatArray, sizes: FloatArray) -> FloatArray:
        """Less the combination of scaled effects with the smallest standard deviation."""
        vectors, values, _ = np.linalg.svd(sizes[:, None] * lam)
        values[-1] = 0.0
        return triangular(vectors * values / np.where(sizes > 0, sizes, 1.0)[:, None])

    def at_zero(self, lam: FloatArray) -> FloatArray:
        """All of a singular λ's, since some combination has no variance; of a diagonal one those that are zero."""
        if not np.tril(lam, -1).any():
            return np.asarray(np.diag(lam) == 0)
        return super().at_zero(lam)

    def inside(self, lam: FloatArray, zero: float) -> list[Inside]:
        """G of rank s moves as RR', R (q, s)."""
        values, vectors = np.linalg.eigh(lam @ lam.T)
        kept = values > zero
        root = vectors[:, kept] * np.sqrt(values[kept])
        found = []
        for place in np.ndindex(*root.shape):
            change = np.zeros_like(root)
            change[place] = 1.0
            product = change @ root.T
            found.append(Inside(product + product.T, change))
        return found

    def mixture(self, had: Structure | None, r: int, q: int) -> tuple[tuple[int, ...], tuple[float, ...]] | None:
        """One more effect, correlated with the r that are there: ½χ²_r + ½χ²_{r+1} (Stram and Lee 1994, case 3)."""
        if had is not None and q == r + 1 and (had.any_order or r == 1):
            return (r, r + 1), (0.5, 0.5)
        return super().mixture(had, r, q)
