"""Variances and covariances that are free, or none: us (SAS UN), diag (UN(1)), iid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations

import numpy as np

from henderson.covariance.residual.structure import AT_END, ByVisit, Kind, Pairs, several, variance_labels

FloatArray = np.ndarray


class Unstructured(ByVisit):
    """Any covariance of T visits: ψ its lower triangle by rows; φ that of its Cholesky factor, logs on the diagonal."""

    name = "us"
    linear = True
    ordered = False

    @property
    def free_pairs(self) -> tuple[tuple[int, int], ...]:
        """All."""
        return tuple(combinations(range(self.n_visits), 2))

    @cached_property
    def places_of(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each parameter, (k,) each."""
        return np.tril_indices(self.n_visits)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Variances on the diagonal."""
        return tuple("variance" if i == j else "covariance" for i, j in zip(*self.places_of))

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var(VIS1)``, ``Cov(VIS2, VIS1)``, ``Var(VIS2)``, …"""
        return tuple(
            f"Var({visits[i]})" if i == j else f"Cov({visits[i]}, {visits[j]})" for i, j in zip(*self.places_of)
        )

    def matrix(self, psi: FloatArray) -> FloatArray:
        """Both triangles."""
        out = np.empty((self.n_visits, self.n_visits))
        rows, columns = self.places_of
        out[rows, columns] = out[columns, rows] = psi
        return out

    @cached_property
    def _units(self) -> FloatArray:
        rows, columns = self.places_of
        k = np.arange(len(rows))
        out = np.zeros((len(rows), self.n_visits, self.n_visits))
        out[k, rows, columns] = out[k, columns, rows] = 1.0
        return out

    def first_matrix(self, psi: FloatArray) -> FloatArray:
        """Ones at a parameter's places."""
        return self._units

    def _root(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """L, (T, T), and ∂L_ij/∂φ of each entry, (k,)."""
        rows, columns = self.places_of
        entries, slopes = np.array(phi, float), np.ones(len(phi))
        diagonal = rows == columns
        entries[diagonal] = slopes[diagonal] = np.exp(entries[diagonal])
        root = np.zeros((self.n_visits, self.n_visits))
        root[rows, columns] = entries
        return root, slopes

    def working(self, psi: FloatArray) -> FloatArray:
        """The Cholesky factor's lower triangle."""
        rows, columns = self.places_of
        entries = np.linalg.cholesky(self.matrix(psi))[rows, columns]
        diagonal = rows == columns
        entries[diagonal] = np.log(entries[diagonal])
        return entries

    def natural(self, phi: FloatArray) -> FloatArray:
        """LL'."""
        root, _ = self._root(phi)
        return (root @ root.T)[self.places_of]

    def jacobian(self, phi: FloatArray) -> FloatArray:
        """∂(LL')_ij/∂L_rc = δ_ir L_jc + L_ic δ_jr."""
        root, slopes = self._root(phi)
        rows, columns = self.places_of
        here = (rows[:, None] == rows) * root[columns[:, None], columns]
        there = (columns[:, None] == rows) * root[rows[:, None], columns]
        return (here + there) * slopes

    def curvature(self, phi: FloatArray, slope: FloatArray) -> FloatArray:
        """With S symmetric, tr(S LL') = slope'ψ: ∂² in L_rc, L_sc is 2 S_rs; a logarithm adds its own slope."""
        _, slopes = self._root(phi)
        rows, columns = self.places_of
        S = self.matrix(np.where(rows == columns, slope, slope / 2))
        out = 2 * S[rows[:, None], rows] * (columns[:, None] == columns) * slopes[:, None] * slopes
        diagonal = np.flatnonzero(rows == columns)
        out[diagonal, diagonal] += (slope @ self.jacobian(phi))[diagonal]
        return out

    def scaled(self, psi: FloatArray, factors: FloatArray) -> FloatArray:
        """Rows and columns."""
        rows, columns = self.places_of
        return psi * factors[rows] * factors[columns]

    def start(self, pairs: Pairs) -> FloatArray:
        """The mean products, with eigenvalues of the correlations kept above a hundredth."""
        known = np.where(np.isfinite(pairs.cov), pairs.correlations, pairs.mean_correlation())
        np.fill_diagonal(known, 1.0)
        values, vectors = np.linalg.eigh(known)
        known = (vectors * np.maximum(values, 0.01)) @ vectors.T
        sd = np.sqrt(pairs.variances / np.diag(known))
        return (known * np.outer(sd, sd))[self.places_of]

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """All, where the correlations are singular."""
        sigma = self.matrix(psi)
        sd = np.sqrt(np.diag(sigma))
        singular = not (sd > 0).all() or np.linalg.eigvalsh(sigma / np.outer(sd, sd))[0] < within
        return np.full(len(psi), singular)


class Diagonal(ByVisit):
    """Independent residuals, a variance for each visit."""

    name = "diag"
    memory = 0
    linear = True
    ordered = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """T variances."""
        return several("variance", self.n_visits)

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var(VIS1)``, …"""
        return variance_labels(visits)

    def matrix(self, psi: FloatArray) -> FloatArray:
        """ψ on the diagonal."""
        return np.diag(psi)

    def cov(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """ψ on the diagonal, also of two rows of one visit."""
        return psi[where][..., None] * np.eye(where.shape[-1])

    def first(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """Ones on the diagonal at a visit's rows."""
        own = where == np.arange(self.n_visits).reshape(-1, *(1,) * where.ndim)
        return own[..., None] * np.eye(where.shape[-1])

    def second(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """Zero."""
        k = self.n_visits
        return np.zeros((k, k, *where.shape, where.shape[-1]))

    def first_matrix(self, psi: FloatArray) -> FloatArray:
        """Units."""
        out = np.zeros((self.n_visits,) * 3)
        each = np.arange(self.n_visits)
        out[each, each, each] = 1.0
        return out

    def working(self, psi: FloatArray) -> FloatArray:
        """Logarithms."""
        return np.log(psi)

    def natural(self, phi: FloatArray) -> FloatArray:
        """Their exponentials."""
        return np.exp(phi)

    def jacobian(self, phi: FloatArray) -> FloatArray:
        """ψ on the diagonal."""
        return np.diag(np.exp(phi))

    def curvature(self, phi: FloatArray, slope: FloatArray) -> FloatArray:
        """Likewise."""
        return np.diag(slope * np.exp(phi))

    def start(self, pairs: Pairs) -> FloatArray:
        """Mean squares."""
        return pairs.variances

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """Variances far below the others."""
        return psi < within**2 * psi.max()


class Independent(Diagonal):
    """Independent residuals with one variance; for variance functions."""

    name = "iid"
    by_difference = True
    places = "none"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """One variance."""
        return ("variance",)

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var``."""
        return ("Var",)

    def cov(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """ψI."""
        return psi[0] * self.first(psi, where)[0]

    def first(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """I."""
        return np.broadcast_to(np.eye(where.shape[-2]), (1, *where.shape[:-1], where.shape[-2]))

    def second(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """Zero."""
        return np.zeros((1, 1, *where.shape[:-1], where.shape[-2]))

    def start(self, pairs: Pairs) -> FloatArray:
        """The mean square."""
        return np.array([pairs.variance])

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """Never: it has no other to be small beside."""
        return np.zeros(1, bool)
