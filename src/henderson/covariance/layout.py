"""Where θ and the G parameters of several terms stand: all terms on one grouping factor, or all of a design.

The terms lie one after another on the diagonal of λ and G, each with its own structure; θ and g are those of the terms
one after another. All that a term's structure knows (`structure.Structure`) is asked here for all terms at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Protocol

import numpy as np
from scipy.linalg import block_diag

from henderson.covariance.structure import Structure
from henderson.covariance.structures import structure_called
from henderson.errors import DataError

FloatArray = np.ndarray

#: numbers in the directions of a term's G, parameters times q², beyond which there is no memory for them: q about 140
LARGEST = 200_000_000


class Structured(Protocol):
    """What a layout needs of a random-effects term."""

    @property
    def n_columns(self) -> int:
        """q, the number of effects per level."""

    @property
    def structure(self) -> str:
        """Name of its covariance structure."""


def layouts_of(terms: Sequence[Structured]) -> tuple[Layout, ...]:
    """One layout for each term."""
    return tuple(Layout.of([term.n_columns], [term.structure]) for term in terms)


def layout_of(terms: Sequence[Structured]) -> Layout:
    """One layout for all terms together."""
    return Layout.of([term.n_columns for term in terms], [term.structure for term in terms])


def consecutive(sizes: Sequence[int]) -> tuple[slice, ...]:
    """Slices of those sizes, one after another."""
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(slice(start, stop) for start, stop in pairwise(ends))


@dataclass(frozen=True)
class Layout:
    """Terms side by side: λ and G are (q, q), block-diagonal by term.

    Attributes
    ----------
    structures : tuple of Structure
        Of each term.
    terms : tuple of slice
        Rows of λ that belong to each term.
    theta_of, g_of : tuple of slice
        Where each term's θ and G parameters are.
    """

    structures: tuple[Structure, ...]
    terms: tuple[slice, ...]
    theta_of: tuple[slice, ...]
    g_of: tuple[slice, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], names: Sequence[str]) -> Layout:
        """Terms of the given numbers of effects and structures; one object for equal ones, since it never changes."""
        return _layout(tuple(sizes), tuple(names))

    @cached_property
    def q(self) -> int:
        """Effects per level."""
        return self.terms[-1].stop if self.terms else 0

    @cached_property
    def n_theta(self) -> int:
        """Number of θ."""
        return self.theta_of[-1].stop if self.terms else 0

    @property
    def n_g(self) -> int:
        """Number of G parameters."""
        return self.g_of[-1].stop if self.terms else 0

    @cached_property
    def linear(self) -> bool:
        """Whether λ is linear in θ."""
        return all(one.linear for one in self.structures)

    def _parts(self) -> Iterator[tuple[Structure, slice, slice, int]]:
        """Structure, rows, θ and number of effects of each term."""
        for one, rows, place in zip(self.structures, self.terms, self.theta_of):
            yield one, rows, place, rows.stop - rows.start

    # ---- θ and λ

    @cached_property
    def _filled(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, bool]:
        """Of a linear layout: λ[r, s] = Σ value θ[i] over these; and whether no entry of λ occurs twice."""
        step = self.root_directions(np.zeros(self.n_theta))
        i, r, s = np.nonzero(step)
        distinct = len(np.unique(r * max(self.q, 1) + s)) == len(r)
        return i, r, s, step[i, r, s], distinct

    def lam(self, theta: FloatArray) -> FloatArray:
        """λ(θ), (q, q); of a linear layout also for a batch, (n_theta, B) → (q, q, B)."""
        lam = np.zeros((self.q, self.q, *theta.shape[1:]))
        if not self.linear:
            for one, rows, place, q in self._parts():
                lam[rows, rows] = one.lam(theta[place], q)
            return lam
        i, r, s, value, distinct = self._filled
        filled = value.reshape(-1, *([1] * (theta.ndim - 1))) * theta[i]
        if distinct:
            lam[r, s] = filled
        else:
            np.add.at(lam, (r, s), filled)
        return lam

    def theta(self, lam: FloatArray) -> FloatArray:
        """θ of a λ, lower triangular, whose covariance has the structure."""
        return np.concatenate([np.zeros(0), *(one.theta(lam[rows, rows]) for one, rows, _, _ in self._parts())])

    def theta_of_cov(self, cov: FloatArray) -> FloatArray:
        """θ of the covariance of the structure nearest to a symmetric matrix."""
        return np.concatenate([np.zeros(0), *(one.theta_of_cov(cov[rows, rows]) for one, rows, _, _ in self._parts())])

    def nearest(self, cov: FloatArray) -> FloatArray:
        """λ of the covariance of the structure nearest to a symmetric matrix."""
        return self.lam(self.theta_of_cov(cov))

    def root_directions(self, theta: FloatArray) -> FloatArray:
        """∂λ/∂θ_i, (n_theta, q, q)."""
        out = np.zeros((self.n_theta, self.q, self.q))
        for one, rows, place, q in self._parts():
            out[place, rows, rows] = one.jacobian(theta[place], q)
        return out

    @cached_property
    def _constant_directions(self) -> FloatArray:
        return self.root_directions(np.zeros(self.n_theta))

    @cached_property
    def standard_deviations(self) -> tuple[tuple[int, int], ...]:
        """Which θ stand alone on the diagonal of λ, and at which effect (the first of several)."""
        steps = self._constant_directions
        diagonals = [np.diag(step) for step in steps]
        alone = [not (step - np.diag(own)).any() for step, own in zip(steps, diagonals)]
        return tuple((i, int(diagonals[i].argmax())) for i in np.flatnonzero(alone).tolist())

    # ---- derivatives

    def directions(self, theta: FloatArray) -> FloatArray:
        """∂G/∂θ_i, (n_theta, q, q)."""
        if not self.linear:
            out = np.zeros((self.n_theta, self.q, self.q))
            for one, rows, place, q in self._parts():
                out[place, rows, rows] = one.directions(theta[place], q)
            return out
        half = self._constant_directions @ self.lam(theta).T
        return half + half.transpose(0, 2, 1)

    def pull_back(self, theta: FloatArray, d_lam: FloatArray, N: FloatArray) -> FloatArray:
        """Half of ∂d/∂θ, from half of ∂d/∂λ, Nλ, or from N = ∂d/∂G; (q, q) both."""
        if not self.linear:
            parts = [
                one.pull_back(theta[place], d_lam[rows, rows], N[rows, rows]) for one, rows, place, _ in self._parts()
            ]
            return np.concatenate(parts)
        i, r, s, value, _ = self._filled
        return np.bincount(i, value * d_lam[r, s], self.n_theta)

    @cached_property
    def _bent(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, FloatArray]:
        """Of a linear layout: Σ N ∘ ∂²G/∂θ_i∂θ_j = Σ weight N[r, s] over the entries with place i n_theta + j."""
        i, r, s, value, _ = self._filled
        one, two = np.nonzero(s[:, None] == s)  # entries of one column of λ meet in λλ'
        return i[one] * self.n_theta + i[two], r[one], r[two], 2.0 * value[one] * value[two]

    def bend(self, theta: FloatArray, N: FloatArray) -> FloatArray:
        """Σ N ∘ ∂²G/∂θ_i∂θ_j for symmetric N (q, q): (n_theta, n_theta)."""
        if self.linear:
            place, r, s, weight = self._bent
            return np.bincount(place, weight * N[r, s], self.n_theta**2).reshape(self.n_theta, self.n_theta)
        out = np.zeros((self.n_theta, self.n_theta))
        for one, rows, own, _ in self._parts():
            out[own, own] = one.bend(theta[own], N[rows, rows])
        return out

    def second_directions(self, theta: FloatArray) -> FloatArray:
        """∂²G/∂θ_i∂θ_j, (n_theta, n_theta, q, q)."""
        out = np.zeros((self.n_theta, self.n_theta, self.q, self.q))
        for one, rows, place, q in self._parts():
            out[place, place, rows, rows] = one.second_covariance(theta[place], q)
        return out

    # ---- G parameters

    @cached_property
    def _basis(self) -> FloatArray:
        out = np.zeros((self.n_g, self.q, self.q))
        for one, rows, place in zip(self.structures, self.terms, self.g_of):
            out[place, rows, rows] = one.basis(rows.stop - rows.start)
        return out

    def basis(self) -> FloatArray:
        """∂G/∂g_i, symmetric, (n_g, q, q)."""
        return self._basis

    @cached_property
    def dual(self) -> FloatArray:
        """B*_i with g_i = Σ B*_i ∘ G, and Σ_i f_i B*_i = ∂f/∂G of a function with ∂f/∂g = f; (n_g, q, q)."""
        flat = self._basis.reshape(self.n_g, -1)
        return np.linalg.solve(flat @ flat.T, flat).reshape(self._basis.shape) if self.n_g else self._basis

    def g(self, cov: FloatArray) -> FloatArray:
        """G parameters of a covariance, or of many: (q, q, ...) → (n_g, ...)."""
        found = self.dual.reshape(self.n_g, self.q**2) @ cov.reshape(self.q**2, int(np.prod(cov.shape[2:])))
        return found.reshape(self.n_g, *cov.shape[2:])

    def covariance(self, g: FloatArray) -> FloatArray:
        """G, (q, q), from its parameters."""
        return (np.asarray(g, float) @ self._basis.reshape(self.n_g, self.q**2)).reshape(self.q, self.q)

    # ---- the boundary

    def off_boundary(self, N: FloatArray, lam: FloatArray | None = None) -> list[tuple[FloatArray, FloatArray]]:
        """For each term, where a function with ∂f/∂G = N (..., q, q) falls fastest when G gains a rank.

        See `Structure.off_boundary`; the direction is (..., q, q), zero outside the term. At a λ a term that knows of
        no such direction is left out (`Structure.growth`).
        """
        found = []
        for one, rows in zip(self.structures, self.terms):
            here = N[..., rows, rows]
            known = one.off_boundary(here) if lam is None else one.growth(here, lam[rows, rows])
            if known is None:
                continue
            slope, own = known
            direction = np.zeros_like(N)
            direction[..., rows, rows] = own
            found.append((slope, direction))
        return found

    def least(self, lam: FloatArray) -> float:
        """Smallest standard deviation of a combination of a term's effects; zero where one is on its boundary."""
        return min((one.least(lam[rows, rows]) for one, rows in zip(self.structures, self.terms)), default=np.inf)

    def without_rounding(self, lam: FloatArray, small: float) -> tuple[FloatArray, bool]:
        """λ with the variances below `small` set to zero, and whether there were any."""
        found = [one.without_rounding(lam[rows, rows] @ lam[rows, rows].T, small) for one, rows, _, _ in self._parts()]
        if all(one is None for one in found):
            return lam, False
        cov = lam @ lam.T
        for one, rows in zip(found, self.terms):
            if one is not None:
                cov[rows, rows] = one
        return self.nearest(cov), True

    def whiten(self, gram: Sequence[FloatArray], correlate: bool = True) -> FloatArray:
        """T, (q, q), from each term's average z z' (see `Structure.whiten`)."""
        parts = [one.whiten(each, correlate) for one, each in zip(self.structures, gram)]
        return np.asarray(block_diag(*parts)) if parts else np.zeros((0, 0))


@lru_cache(maxsize=256)
def _layout(sizes: tuple[int, ...], names: tuple[str, ...]) -> Layout:
    structures = tuple(structure_called(name) for name in names)
    for one, q in zip(structures, sizes):
        if (count := one.n_theta(q)) * q**2 > LARGEST:
            raise DataError(
                f"{q} correlated effects a level have {count:,} variances and covariances, more than can be estimated: "
                "is a covariate that should be a number read as text, each of its values a level? "
                "(... || group) leaves the covariances out"
            )
    return Layout(
        structures,
        consecutive(sizes),
        consecutive([one.n_theta(q) for one, q in zip(structures, sizes)]),
        consecutive([len(one.basis(q)) for one, q in zip(structures, sizes)]),
    )
