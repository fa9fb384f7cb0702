"""Few common factors behind many effects: reduced rank, G = ΛΛ', and factor-analytic, G = ΛΛ' + Ψ, Ψ diagonal.

Λ (q, k) is lower trapezoidal (zero above its diagonal), which of all rotations ΛH, HH' = I, leaves one but for signs;
θ are its entries, column by column, and of Ψ = D² the square roots d. Every ΛΛ' has such a Λ. In

    ∂G = ∂Λ Λ' + Λ ∂Λ' + 2 D ∂D

there is no square root, so that d = 0 (a Heywood case) is an ordinary point of G(θ), at which the gradient in d
vanishes; there ∂f/∂ψ_r = N_rr decides whether it is a minimum.

What is shown of Λ is another rotation: `loadings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from henderson.covariance.diagonal import Diagonal
from henderson.covariance.minres import own_variances, principal_root
from henderson.covariance.roots import triangular
from henderson.covariance.structure import Inside, Shown, Structure
from henderson.covariance.unstructured import Unstructured
from henderson.numerics.lapack import eigen

FloatArray = np.ndarray

#: standard deviation, beside the effect's, of an own variance that is zero but for rounding
NOTHING = 1e-7
#: sets of axes at which further descents begin, and sizes of the loadings that are drawn
AXES, DRAWN = 24, (1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5)
#: share of its variance that an effect has for itself, at least, where a descent begins
LEFT = 0.05


@dataclass(frozen=True)
class Factors:
    """G taken apart.

    Attributes
    ----------
    loadings : (q, k) array
        Along principal axes of the correlations, the strongest first; columns with a positive sum.
    own : (q,) array
        Ψ; zeros of reduced rank.
    """

    loadings: FloatArray
    own: FloatArray

    @property
    def communality(self) -> FloatArray:
        """Share of each variance that the factors make, (q,); NaN of an effect without variance."""
        common = (self.loadings**2).sum(axis=1)
        with np.errstate(invalid="ignore"):
            return common / (common + self.own)


class FactorStructure(Structure):
    """What the two have in common.

    Parameters
    ----------
    k : int
        Factors; of fewer effects there are as many.
    """

    linear = False
    convex = False
    redundant = True
    many_minima = True
    #: what a formula calls it
    word: str

    def __init__(self, k: int) -> None:
        self.k = k
        self.name = f"{self.word}({k})"  # type: ignore[misc]  # of the instance: a family has many members

    def rank(self, q: int) -> int:
        """k, or fewer effects."""
        return min(self.k, q)

    def _places(self, q: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of Λ's entries, column by column."""
        columns, rows = np.triu_indices(self.rank(q), m=q)
        return rows, columns

    def _n_loadings(self, q: int) -> int:
        k = self.rank(q)
        return q * k - k * (k - 1) // 2

    def loading(self, theta: FloatArray, q: int) -> FloatArray:
        """Λ, (q, k)."""
        out = np.zeros((q, self.rank(q)))
        out[self._places(q)] = theta[: self._n_loadings(q)]
        return out

    def _theta_of_loading(self, loading: FloatArray) -> FloatArray:
        """Λ's entries after the rotation that makes it trapezoidal."""
        q = len(loading)
        return np.asarray(triangular(loading)[:, : self.rank(q)][self._places(q)])

    def _loading_changes(self, theta: FloatArray, q: int) -> FloatArray:
        """∂Λ Λ' + Λ ∂Λ' of each entry, (m, q, q)."""
        loading = self.loading(theta, q)
        rows, columns = self._places(q)
        half = np.zeros((len(rows), q, q))
        half[np.arange(len(rows)), rows] = loading[:, columns].T
        return half + half.transpose(0, 2, 1)

    def basis(self, q: int) -> FloatArray:
        """The entries of G."""
        return Unstructured().basis(q)

    def jacobian(self, theta: FloatArray, q: int) -> FloatArray:
        """R_i with R_iλ' + λR_i' = ∂G/∂θ_i: (I − P/2) ∂G λ⁺', P the projection on the columns of λ."""
        lam = self.lam(theta, q)
        inverse = np.linalg.pinv(lam, rcond=1e-12)
        return np.asarray((np.eye(q) - lam @ inverse / 2) @ self.directions(theta, q) @ inverse.T)

    def pull_back(self, theta: FloatArray, d_lam: FloatArray, N: FloatArray) -> FloatArray:
        """tr N ∂G/∂θ_i / 2."""
        return np.tensordot(self.directions(theta, len(N)), N, 2) / 2

    def second_covariance(self, theta: FloatArray, q: int) -> FloatArray:
        """Entries of one column of Λ meet in ΛΛ'."""
        n, m = self.n_theta(q), self._n_loadings(q)
        rows, columns = self._places(q)
        out = np.zeros((n, n, q, q))
        a, b = np.nonzero(columns[:, None] == columns)
        out[a, b, rows[a], rows[b]] += 1.0
        out[a, b, rows[b], rows[a]] += 1.0
        for r in range(n - m):
            out[m + r, m + r, r, r] = 2.0
        return out

    def bend(self, theta: FloatArray, N: FloatArray) -> FloatArray:
        """2N of the two rows where entries are of one column of Λ, 2N_rr of an own root: never (n, n, q, q)."""
        q, m = len(N), self._n_loadings(len(N))
        rows, columns = self._places(q)
        out = np.diag(2.0 * np.concatenate([np.zeros(m), N.diagonal()[: self.n_theta(q) - m]]))
        out[:m, :m] = 2.0 * N[np.ix_(rows, rows)] * (columns[:, None] == columns)
        return out

    def growth(self, N: FloatArray, lam: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Along vv' where a factor is missing, and what its own variances allow."""
        theta = self.theta(lam)
        found = []
        if _smallest(self.loading(theta, len(lam))) < NOTHING * max(1.0, float(np.abs(lam).max(initial=0.0))):
            found.append(Unstructured().off_boundary(N))
        found += self._own_growth(theta, N)
        return min(found, key=lambda one: float(one[0]), default=None)

    def _own_growth(self, theta: FloatArray, N: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Where an own variance at zero may grow."""
        return []

    def off_boundary(self, N: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From λ = 0 as any covariance, the first factor."""
        return Unstructured().off_boundary(N)

    def inside(self, lam: FloatArray, zero: float) -> list[Inside]:
        """The θ along which G moves."""
        theta, q = self.theta(lam), len(lam)
        change, bent = self.directions(theta, q), self.second_covariance(theta, q)
        moves = [i for i, one in enumerate(change) if np.abs(one).max(initial=0.0) > zero]
        return [Inside(change[i], bent=bent[i][moves]) for i in moves]

    def holds_all(self, q: int) -> bool:
        """Whether there are so many factors that G is free, and Λ is not to be told."""
        return self.n_theta(q) > len(self.basis(q))

    def at_zero(self, lam: FloatArray) -> FloatArray:
        """Effects whose own variance is zero; all where a factor is missing."""
        q = len(lam)
        if self.holds_all(q):
            return Unstructured().at_zero(lam)
        theta, size = self.theta(lam), np.linalg.norm(lam, axis=1)
        missing = _smallest(self.loading(theta, q)) < NOTHING * float(size.max(initial=0.0))
        return np.full(q, missing) | (self._own_sds(theta, q) <= NOTHING * size) | (size == 0)

    def _own_sds(self, theta: FloatArray, q: int) -> FloatArray:
        """|d|; infinite of reduced rank, where there are none."""
        return np.full(q, np.inf)

    def least(self, lam: FloatArray) -> float:
        """Smallest singular value of Λ, and standard deviation of an effect's own."""
        q = len(lam)
        if self.holds_all(q):
            return super().least(lam)
        theta = self.theta(lam)
        return min(_smallest(self.loading(theta, q)), float(self._own_sds(theta, q).min(initial=np.inf)))

    def theta(self, lam: FloatArray) -> FloatArray:
        """θ of a root of one of its covariances."""
        return self.theta_of_cov(lam @ lam.T)

    def display(self, names: Sequence[str]) -> tuple[Shown, ...]:
        """Every standard deviation and correlation."""
        return Unstructured().display(names)

    def factors(self, cov: FloatArray) -> Factors:
        """Loadings, and own variances, of one of its covariances."""
        q = len(cov)
        theta = self.theta_of_cov(cov)
        loading, own = self.loading(theta, q), self.own(theta, q)
        size = np.sqrt((loading**2).sum(axis=1) + own)
        size = np.where(size > 0, size, 1.0)
        u, s, _ = np.linalg.svd(loading / size[:, None], full_matrices=False)
        turned = size[:, None] * u * s
        return Factors(turned * np.where(turned.sum(axis=0) < 0, -1.0, 1.0), own)

    def restarts(self, cov: FloatArray) -> list[FloatArray]:
        """Factors along other axes of the covariance than the strongest, along its effects, and drawn at random."""
        q, k = len(cov), self.rank(len(cov))
        values, vectors = eigen((cov + cov.T) / 2)
        axes = vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0.0))
        sizes = np.linalg.norm(axes, axis=1)
        loadings = [axes[:, list(chosen)] for chosen in islice(combinations(range(q), k), 1, AXES)]
        rng = np.random.default_rng(0)
        loadings += [size * sizes[:, None] * rng.normal(size=(q, k)) / np.sqrt(k) for size in DRAWN]
        if k == 1:
            of_effects = axes @ axes.T
            loadings += [of_effects[:, [r]] / sizes[r] for r in np.argsort(-sizes)[:AXES] if sizes[r] > 0]
        return [self._with_loading(one, sizes**2) for one in loadings]

    def _with_loading(self, loading: FloatArray, variance: FloatArray) -> FloatArray:
        """θ of Λ, own variances what these leave of `variance` (q,)."""
        return self._theta_of_loading(loading)

    def own(self, theta: FloatArray, q: int) -> FloatArray:
        """The diagonal of Ψ, (q,)."""
        return np.zeros(q)


class ReducedRank(FactorStructure):
    """G = ΛΛ', of rank k."""

    word = "rr"

    def n_theta(self, q: int) -> int:
        """Λ's entries."""
        return self._n_loadings(q)

    def lam(self, theta: FloatArray, q: int) -> FloatArray:
        """Λ, and zeros."""
        out = np.zeros((q, q))
        out[:, : self.rank(q)] = self.loading(theta, q)
        return out

    def directions(self, theta: FloatArray, q: int) -> FloatArray:
        """∂ΛΛ' + Λ∂Λ'."""
        return self._loading_changes(theta, q)

    def theta(self, lam: FloatArray) -> FloatArray:
        """Λ along the k strongest axes of λ."""
        u, s, _ = np.linalg.svd(lam)
        k = self.rank(len(lam))
        return self._theta_of_loading(u[:, :k] * s[:k])

    def theta_of_cov(self, cov: FloatArray) -> FloatArray:
        """Of the k largest eigenvalues."""
        return self._theta_of_loading(principal_root((cov + cov.T) / 2, self.rank(len(cov))))

    def whiten(self, gram: FloatArray, correlate: bool = True) -> FloatArray:
        """Any T: the rank of TGT' is G's."""
        return Unstructured().whiten(gram, correlate)

    def without_rounding(self, cov: FloatArray, small: float) -> FloatArray | None:
        """Factors whose variance is below `small` left out."""
        values = eigen((cov + cov.T) / 2)[0][::-1][: self.rank(len(cov))]
        none = values < small
        if not (none.any() and values[none].any()):
            return None
        root = principal_root((cov + cov.T) / 2, int((~none).sum()))
        return root @ root.T

    def without_weakest(self, lam: FloatArray, sizes: FloatArray) -> FloatArray:
        """Less the weakest factor of the scaled effects."""
        u, s, _ = np.linalg.svd(sizes[:, None] * lam)
        s[self.rank(len(lam)) - 1 :] = 0.0
        return triangular(u * s / np.where(sizes > 0, sizes, 1.0)[:, None])


class FactorAnalytic(FactorStructure):
    """G = ΛΛ' + Ψ, Ψ diagonal."""

    word = "fa"

    def n_theta(self, q: int) -> int:
        """Λ's entries, then d."""
        return self._n_loadings(q) + q

    def own(self, theta: FloatArray, q: int) -> FloatArray:
        """d²."""
        return np.asarray(theta[self._n_loadings(q) :] ** 2)

    def lam(self, theta: FloatArray, q: int) -> FloatArray:
        """The triangular root of ΛΛ' + D²."""
        return triangular(np.hstack([self.loading(theta, q), np.diag(theta[self._n_loadings(q) :])]))

    def _with_loading(self, loading: FloatArray, variance: FloatArray) -> FloatArray:
        left = np.maximum(variance - (loading**2).sum(axis=1), LEFT * variance)
        return np.concatenate([self._theta_of_loading(loading), np.sqrt(left)])

    def directions(self, theta: FloatArray, q: int) -> FloatArray:
        """∂ΛΛ' + Λ∂Λ', and 2 d_r."""
        own = np.zeros((q, q, q))
        own[range(q), range(q), range(q)] = 2.0 * theta[self._n_loadings(q) :]
        return np.concatenate([self._loading_changes(theta, q), own])

    def theta_of_cov(self, cov: FloatArray) -> FloatArray:
        """Ψ by least squares (`minres`), Λ from what is left."""
        cov = (cov + cov.T) / 2
        k = self.rank(len(cov))
        psi = own_variances(cov, k)
        return np.concatenate([self._theta_of_loading(principal_root(cov - np.diag(psi), k)), np.sqrt(psi)])

    def whiten(self, gram: FloatArray, correlate: bool = True) -> FloatArray:
        """Every effect scaled by its own column."""
        return Diagonal().whiten(gram)

    def _own_growth(self, theta: FloatArray, N: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        q = len(N)
        units = np.eye(q)[self._own_sds(theta, q) <= NOTHING * max(1.0, float(np.abs(theta).max(initial=0.0)))]
        return [(np.asarray(unit @ N @ unit), np.outer(unit, unit)) for unit in units]

    def without_rounding(self, cov: FloatArray, small: float) -> FloatArray | None:
        """Own variances below `small` are zero."""
        theta = self.theta_of_cov(cov)
        m = self._n_loadings(len(cov))
        rounding = (theta[m:] != 0) & (theta[m:] ** 2 < small)
        if not rounding.any():
            return None
        theta[m:][rounding] = 0.0
        root = self.lam(theta, len(cov))
        return root @ root.T

    def _own_sds(self, theta: FloatArray, q: int) -> FloatArray:
        return np.abs(theta[self._n_loadings(q) :])

    def without_weakest(self, lam: FloatArray, sizes: FloatArray) -> FloatArray:
        """Less the smallest own variance."""
        theta, q = self.theta(lam), len(lam)
        theta[self._n_loadings(q) + np.argmin(sizes * np.abs(theta[self._n_loadings(q) :]))] = 0.0
        return self.lam(theta, q)


def _smallest(loading: FloatArray) -> float:
    """Smallest singular value of a (q, k) matrix, k ≤ q."""
    return float(np.linalg.svd(loading, compute_uv=False).min(initial=np.inf))
