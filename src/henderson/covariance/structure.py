"""`Structure`: what the rest of the library asks of a kind of covariance matrix; one class a kind.

The q effects of one level have covariance σ² G, G = λλ'. A structure has two sets of coordinates:

- θ, unconstrained, on which the search runs: λ(θ) is a root of G, of any shape that the class likes.
- the *G parameters* g, in which G = Σ g_i B_i is linear (`basis`): moments, information and degrees of freedom are
  computed there. The B_i span a space that holds every G(θ); it may be larger (AR(1): the bands of a Toeplitz matrix).

A new structure says `n_theta`, `lam`, `jacobian`, `basis` and `theta_of_cov`, and gets the rest from here; where
something better is known (its boundary, its whitening, its place in a table) it overrides that. A line in `structures`
makes it known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from henderson.numerics.lapack import eigen
from henderson.numerics.matrices import smallest_singular_value

FloatArray = np.ndarray


@dataclass(frozen=True)
class Shown:
    """One row of a table of variances: a standard deviation (row == column) or a correlation.

    Attributes
    ----------
    row, column : int
        Its place in G, column ≤ row.
    label : str
        ``"Days"``, ``"Days.(Intercept)"``; names joined by dots where one number stands for several.
    """

    row: int
    column: int
    label: str

    @property
    def kind(self) -> str:
        """``"sd"`` or ``"cor"``."""
        return "sd" if self.row == self.column else "cor"


@dataclass(frozen=True)
class Inside:
    """A direction in which G may move and stay a covariance of its structure: dG = R'λ' + λR'', and how it bends.

    Attributes
    ----------
    change : (q, q) array
        dG.
    root_change : (q, s) array, or None
        The change of a root of G, where G is not linear along the direction: ∂²G/∂a∂b = R_aR_b' + R_bR_a'.
    bent : (m, q, q) array, or None
        Where that does not say how G bends: ∂²G along this direction and each of the term's m directions.
    """

    change: FloatArray
    root_change: FloatArray | None = None
    bent: FloatArray | None = None


class Structure(ABC):
    """A kind of covariance matrix G = λλ' of the q effects of a level; stateless, one instance serves every q.

    Attributes
    ----------
    name : str
        What `RandomTerm.structure` calls it.
    linear : bool
        Whether λ is linear in θ: its derivative is one array at every θ. The array engine needs that.
    one_variance : bool
        Whether a level's effects are independent with one variance (what statsmodels calls a variance component).
    any_order : bool
        Whether every G is allowed: a triangular root in any order of the effects is then a root of the structure.
    many_minima : bool
        Whether likelihoods with it often have several minima, so that a search begins at its `restarts`, too.
    redundant : bool
        Whether there are θ at which some direction in θ does not move G.
    convex : bool
        Whether a sum of two of its covariances is one: then it can grow into a direction from every λ, else from λ = 0.
    """

    name: ClassVar[str]
    linear: ClassVar[bool] = True
    one_variance: ClassVar[bool] = False
    any_order: ClassVar[bool] = False
    convex: ClassVar[bool] = True
    redundant: ClassVar[bool] = False
    many_minima: ClassVar[bool] = False

    # ---- coordinates

    @abstractmethod
    def n_theta(self, q: int) -> int:
        """Number of θ."""

    @abstractmethod
    def lam(self, theta: FloatArray, q: int) -> FloatArray:
        """A root λ(θ) of G, (q, q)."""

    @abstractmethod
    def jacobian(self, theta: FloatArray, q: int) -> FloatArray:
        """∂λ/∂θ_i, (n_theta, q, q); of a `linear` structure the same at every θ."""

    @abstractmethod
    def basis(self, q: int) -> FloatArray:
        """∂G/∂g_i, symmetric and linearly independent, (n_g, q, q)."""

    @abstractmethod
    def theta_of_cov(self, cov: FloatArray) -> FloatArray:
        """θ of the covariance of this structure that is nearest to a symmetric matrix, (n_theta,)."""

    def theta(self, lam: FloatArray) -> FloatArray:
        """θ of a lower triangular root of one of its covariances."""
        return self.theta_of_cov(lam @ lam.T)

    def second(self, theta: FloatArray, q: int) -> FloatArray:
        """∂²λ/∂θ_i∂θ_j, (n_theta, n_theta, q, q); asked only of a structure that is not `linear`."""
        n = self.n_theta(q)
        return np.zeros((n, n, q, q))

    def second_covariance(self, theta: FloatArray, q: int) -> FloatArray:
        """∂²G/∂θ_i∂θ_j, (n_theta, n_theta, q, q)."""
        step = self.jacobian(theta, q)
        half = np.einsum("ars,bts->abrt", step, step)
        if not self.linear:
            half = half + self.second(theta, q) @ self.lam(theta, q).T
        return half + half.transpose(0, 1, 3, 2)

    def bend(self, theta: FloatArray, N: FloatArray) -> FloatArray:
        """Σ N ∘ ∂²G/∂θ_i∂θ_j for symmetric N (q, q): (n_theta, n_theta)."""
        return np.tensordot(self.second_covariance(theta, len(N)), N, 2)

    def directions(self, theta: FloatArray, q: int) -> FloatArray:
        """∂G/∂θ_i, (n_theta, q, q)."""
        half = self.jacobian(theta, q) @ self.lam(theta, q).T
        return np.asarray(half + half.transpose(0, 2, 1))

    def pull_back(self, theta: FloatArray, d_lam: FloatArray, N: FloatArray) -> FloatArray:
        """tr N ∂G/∂θ_i / 2 from Nλ (q, q) or from N = ∂f/∂G itself, (n_theta,)."""
        return np.tensordot(self.jacobian(theta, len(d_lam)), d_lam, 2)

    def n_free(self, q: int) -> int:
        """Parameters that a criterion counts: of θ, no more than G has."""
        return min(self.n_theta(q), len(self.basis(q)))

    # ---- among other structures

    def natural(self, theta: FloatArray, q: int) -> tuple[FloatArray, FloatArray] | None:
        """∂G/∂ψ (n, q, q) and ∂²G/∂ψ∂ψ (n, n, q, q) in SAS's parameters ψ; None where G is linear in them, or at the
        end of their range."""
        return None

    def independent(self, q: int) -> bool:
        """Whether it makes q effects uncorrelated."""
        return not (self.basis(q) != 0).any(axis=0)[~np.eye(q, dtype=bool)].any()

    def holds(self, other: Structure, q: int) -> bool:
        """Whether the covariances of another structure are among its own: seen at two without special values."""
        if q == 1:
            return True
        step = other.unspecial(q)
        return all(self._has(other.lam(sign * step, q)) for sign in (1.0, -1.0))

    def unspecial(self, q: int) -> FloatArray:
        """A θ without special values, (n_theta,)."""
        return 1 + 0.5 * np.sin(np.arange(1.0, self.n_theta(q) + 1))

    def of_ranks(self, q: int) -> list[FloatArray]:
        """Factors F of its covariances FF' without special values, one of each kind of rank but zero, (q, r) each."""
        return [self.lam(self.unspecial(q), q)]

    def _has(self, root: FloatArray) -> bool:
        """Whether the covariance of a root is its own."""
        mine = self.lam(self.theta_of_cov(root @ root.T), len(root))
        return bool(np.allclose(mine @ mine.T, root @ root.T, rtol=0, atol=1e-9 * np.abs(root).max(initial=0.0) ** 2))

    def restarts(self, cov: FloatArray) -> list[FloatArray]:
        """θ from which other descents are made, given about what the covariance is without the structure; none where a
        structure has no more minima than others."""
        return []

    def family(self, lam: FloatArray, size: float) -> list[FloatArray]:
        """θ of members from one end of the structure to the other, their standard deviations in the proportions of
        those of λ and their squares in sum `size`²; none where it is not a family of correlations."""
        return []

    # ---- units

    def whiten(self, gram: FloatArray, correlate: bool = True) -> FloatArray:
        """T for which G̃ with G = T G̃ T' has the structure too, and T'gram T is near the identity; (q, q).

        Parameters
        ----------
        gram : (q, q) array
            Average z z' of the term's columns.
        correlate : bool
            Whether T may mix the effects; else it is diagonal.
        """
        mean_square = float(np.mean(np.diag(gram)))
        return np.eye(len(gram)) / np.sqrt(mean_square if mean_square > 0 else 1.0)

    # ---- the boundary

    def rays(self, q: int) -> FloatArray:
        """Extreme rays of its cone of covariances where these are finitely many, (m, q, q); none by default."""
        return np.zeros((0, q, q))

    def off_boundary(self, N: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Where a function with ∂f/∂G = N falls fastest when G gains a rank.

        Parameters
        ----------
        N : (..., q, q) array

        Returns
        -------
        slope : (...) array
            tr N E.
        direction : (..., q, q) array
            E, positive semidefinite and of the structure.
        """
        rays = self.rays(N.shape[-1])
        if not len(rays):
            return np.zeros(N.shape[:-2]), np.zeros_like(N)
        rays = rays / np.linalg.norm(rays, axis=(1, 2))[:, None, None]
        slopes = np.tensordot(N, rays, ((-2, -1), (1, 2)))  # (..., m)
        best = slopes.argmin(axis=-1)
        return np.take_along_axis(slopes, best[..., None], -1)[..., 0], rays[best]

    def growth(self, N: FloatArray, lam: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """The same from a λ at which its own boundary was seen; None where no such direction is known."""
        return self.off_boundary(N) if self.convex or not lam.any() else None

    def rank(self, q: int) -> int:
        """Rank of its covariances off the boundary."""
        return q

    def least(self, lam: FloatArray) -> float:
        """Smallest standard deviation of a combination of effects; zero on the boundary."""
        return smallest_singular_value(lam)

    def without_rounding(self, cov: FloatArray, small: float) -> FloatArray | None:
        """A covariance with the variances below `small` set to zero, (q, q); None where there are none."""
        values, vectors = eigen(cov if self.any_order else np.where(self._free(len(cov)), cov, 0.0))
        none = values < small
        if not (none.any() and values[none].any()):
            return None
        return np.asarray((vectors * np.where(none, 0.0, values)) @ vectors.T)

    def _free(self, q: int) -> FloatArray:
        """Entries of G that it leaves free, (q, q) bool."""
        return (self.basis(q) != 0).any(axis=0)

    def without_weakest(self, lam: FloatArray, sizes: FloatArray) -> FloatArray:
        """The λ nearest to `lam` on the boundary, for effects whose columns have root mean squares `sizes` (q,)."""
        return np.zeros_like(lam)

    def at_zero(self, lam: FloatArray) -> FloatArray:
        """Which effects' parameters are on the boundary, (q,) bool; `lam` lower triangular."""
        size = np.linalg.norm(lam, axis=1)
        singular = bool((size == 0).any() or np.abs(np.diag(lam / size[:, None])).min() < 1e-5)
        return np.full(len(lam), singular)

    def inside(self, lam: FloatArray, zero: float) -> list[Inside]:
        """Directions that stay inside the boundary where `lam` is on it: variances up to `zero` stay at zero."""
        theta = self.theta(lam)
        root = self.lam(theta, len(lam))
        found = []
        for step in self.jacobian(theta, len(lam)):
            half = step @ root.T
            if np.abs(half).max(initial=0.0) > zero:
                found.append(Inside(half + half.T, step if self.linear else None))
        return found

    # ---- tables and tests

    def display(self, names: Sequence[str]) -> tuple[Shown, ...]:
        """The rows of a table of variances, column by column: one for each G parameter, at its first place in G."""
        rows = []
        for one in self.basis(len(names)):
            places = np.argwhere(np.tril(one) != 0)
            places = places[np.lexsort((places[:, 0], places[:, 1]))]
            r, s = (int(k) for k in places[0])
            own = names[r] if r == s else f"{names[r]}.{names[s]}"
            rows.append(Shown(r, s, own if len(places) == 1 else ".".join(names)))
        return tuple(sorted(rows, key=lambda row: (row.column, row.row)))

    def meaning(self, names: Sequence[str]) -> str:
        """What the rows of `display` say of other entries of G, for a note; empty where they are all there are."""
        return ""

    def mixture(self, had: Structure | None, r: int, q: int) -> tuple[tuple[int, ...], tuple[float, ...]] | None:
        """Degrees of freedom and weights of χ̄², the law of the likelihood-ratio statistic against a smaller term.

        Parameters
        ----------
        had : Structure or None
            What the smaller model has instead: r of this term's q effects with that structure; None: nothing.
        r, q : int

        Returns
        -------
        tuple or None
            None where the weights depend on the data.
        """
        if had is None and self.n_theta(q) == 1:
            return (0, 1), (0.5, 0.5)
        return None


class Filled(Structure):
    """Structures whose λ has θ at given entries and zeros elsewhere; G's free entries are at the same places."""

    @abstractmethod
    def entries(self, q: int) -> FloatArray:
        """Row and column in λ of each θ, column by column, (n_theta, 2)."""

    def n_theta(self, q: int) -> int:
        """Number of entries."""
        return len(self.entries(q))

    def lam(self, theta: FloatArray, q: int) -> FloatArray:
        """θ at the entries."""
        lam = np.zeros((q, q))
        lam[_places(self, q)] = theta
        return lam

    def theta(self, lam: FloatArray) -> FloatArray:
        """The entries of λ."""
        return np.asarray(lam[_places(self, len(lam))])

    def jacobian(self, theta: FloatArray, q: int) -> FloatArray:
        """Ones at the entries."""
        entries = self.entries(q)
        out = np.zeros((len(entries), q, q))
        out[np.arange(len(entries)), entries[:, 0], entries[:, 1]] = 1.0
        return out

    def basis(self, q: int) -> FloatArray:
        """Ones at the entries, both triangles."""
        step = self.jacobian(np.zeros(0), q)
        return np.maximum(step, step.transpose(0, 2, 1))


@lru_cache(maxsize=256)
def _places(structure: Filled, q: int) -> tuple[FloatArray, FloatArray]:
    """Rows and columns of the entries."""
    rows, columns = structure.entries(q).T
    return rows, columns
