"""Relative covariance factors λ(θ): the only room that knows how θ becomes a matrix.

The effects of one level have covariance σ² λ λ', λ lower triangular (q, q). A structure says which entries of λ are
free; θ holds them, the lower triangle column by column (lme4's order). A row of `STRUCTURES` is all it takes to add
a structure whose λ is linear in θ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray


def _lower(q: int) -> FloatArray:
    """Entries of the lower triangle, column by column: (q(q+1)/2, 2)."""
    return np.array([(r, s) for s in range(q) for r in range(s, q)]).reshape(-1, 2)


def _diagonal(q: int) -> FloatArray:
    return np.column_stack([np.arange(q), np.arange(q)])


#: name -> (entries of λ that θ fills: q -> (k, 2); whether one θ fills them all)
STRUCTURES: dict[str, tuple[Callable[[int], FloatArray], bool]] = {
    "unstructured": (_lower, False),
    "diagonal": (_diagonal, False),
    "identity": (_diagonal, True),
}


@dataclass(frozen=True)
class Layout:
    """Where θ goes in the λ of one block of effects (all terms on one grouping factor).

    Attributes
    ----------
    q : int
        Effects per level of the block.
    entries : (k, 2) int array
        Row and column in λ of each entry that θ fills.
    parameter : (k,) int array
        Which element of the block's θ fills it.
    n_theta : int
    terms : tuple of slice
        Rows of λ that belong to each term of the block.
    structures : tuple of str
        Structure of each term.
    """

    q: int
    entries: FloatArray
    parameter: FloatArray
    n_theta: int
    terms: tuple[slice, ...]
    structures: tuple[str, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], structures: Sequence[str]) -> Layout:
        """Terms of the given sizes and structures, one after another on the diagonal of λ."""
        entries, parameter, terms, row, n_theta = [], [], [], 0, 0
        for q, name in zip(sizes, structures):
            if name not in STRUCTURES:
                raise ValueError(f"unknown covariance structure {name!r}; supported: {', '.join(STRUCTURES)}")
            place, shared = STRUCTURES[name]
            here = place(q) + row
            entries.append(here)
            k = 1 if shared else len(here)
            parameter.append(n_theta + (np.zeros(len(here), int) if shared else np.arange(k)))
            terms.append(slice(row, row + q))
            row, n_theta = row + q, n_theta + k
        return cls(row, np.concatenate(entries), np.concatenate(parameter), n_theta, tuple(terms), tuple(structures))

    def lam(self, theta: FloatArray) -> FloatArray:
        """λ(θ), (q, q) lower triangular."""
        lam = np.zeros((self.q, self.q))
        lam[self.entries[:, 0], self.entries[:, 1]] = theta[self.parameter]
        return lam

    def theta(self, lam: FloatArray) -> FloatArray:
        """The θ of a λ (the last of the entries that one θ shares)."""
        theta = np.zeros(self.n_theta)
        theta[self.parameter] = lam[self.entries[:, 0], self.entries[:, 1]]
        return theta

    def covariance(self, g: FloatArray) -> FloatArray:
        """G, (q, q), from its free entries."""
        return np.tensordot(np.asarray(g, float), self.basis(), 1)

    def basis(self) -> FloatArray:
        """∂G/∂(entry) for every free entry of G, symmetric, (n_theta, q, q)."""
        out = np.zeros((self.n_theta, self.q, self.q))
        for (r, s), i in zip(self.entries, self.parameter):
            out[i, r, s] = out[i, s, r] = 1.0
        return out

    def pull_back(self, d_lam: FloatArray) -> FloatArray:
        """∂d/∂θ from ∂d/∂λ (q, q): the chain rule of `lam`."""
        return np.bincount(self.parameter, d_lam[self.entries[:, 0], self.entries[:, 1]], self.n_theta)

    def directions(self, lam: FloatArray) -> FloatArray:
        """∂(λλ')/∂θ_i for every i, (n_theta, q, q)."""
        d_cov = np.zeros((self.n_theta, self.q, self.q))
        for (r, s), i in zip(self.entries, self.parameter):
            d_cov[i, r, :] += lam[:, s]
            d_cov[i, :, r] += lam[:, s]
        return d_cov

    def free(self) -> FloatArray:
        """Which entries of G = λλ' the structures leave free, (q, q) bool."""
        mask = np.zeros((self.q, self.q), bool)
        for term, name in zip(self.terms, self.structures):
            mask[term, term] = name == "unstructured"
        return mask | np.eye(self.q, dtype=bool)

    def nearest(self, cov: FloatArray) -> FloatArray:
        """λ of the structure for a symmetric matrix: its free entries, projected to positive semidefinite."""
        lam = np.zeros((self.q, self.q))
        for term, name in zip(self.terms, self.structures):
            block = cov[term, term]
            if name == "unstructured":
                lam[term, term] = factor_of(block)
            else:
                variances = np.maximum(np.diag(block), 0.0)
                if name == "identity":
                    variances = np.full_like(variances, variances.mean())
                lam[term, term] = np.diag(np.sqrt(variances))
        return lam

    def canonical(self, lam: FloatArray) -> FloatArray:
        """The same covariance with a nonnegative diagonal in λ."""
        return lam * np.where(np.diag(lam) < 0, -1.0, 1.0)


def factor_of(cov: FloatArray) -> FloatArray:
    """Lower triangular λ, diagonal ≥ 0, with λλ' = the nearest positive semidefinite matrix to `cov`.

    Examples
    --------
    >>> factor_of(np.array([[4.0, 2.0], [2.0, 1.0]]))
    array([[2., 0.],
           [1., 0.]])
    """
    try:
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh((cov + cov.T) / 2)
        return triangular(vectors * np.sqrt(np.maximum(values, 0.0)))


def semidefinite_root(cov: FloatArray) -> FloatArray:
    """λ with λλ' = cov; ValueError where `cov` has a negative eigenvalue (beyond rounding)."""
    values = np.linalg.eigvalsh(cov)
    if values.size and values[0] < -1e-8 * max(float(values[-1]), 1e-300):
        raise ValueError(f"a covariance of random effects is not positive semidefinite: eigenvalue {values[0]:.3g}")
    return factor_of(cov)


def triangular(root: FloatArray) -> FloatArray:
    """Lower triangular λ, diagonal ≥ 0, with λλ' = root root' (root (q, k); may be singular)."""
    r = np.asarray(np.linalg.qr(root.T, mode="r"))
    lam = np.zeros((len(root), len(root)))
    lam[:, : r.shape[0]] = r.T
    lam = lam * np.where(np.diag(lam) < 0, -1.0, 1.0)
    lam[np.abs(lam) < 1e-15 * max(np.abs(lam).max(initial=0.0), 1e-300)] = 0.0
    return lam
