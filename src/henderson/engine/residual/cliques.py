"""The precision of correlated residuals as a sum over few rows at a time, and what of it is the same everywhere.

Rows that depend on their past only through the row before (ar1, ar1h, ad, adh, car1, sp_exp along a line) have

    R⁻¹ = Σ_κ s_κ E_κ C_κ⁻¹ E_κ'      log|R| = Σ_κ s_κ log|C_κ|

over the pairs κ of neighbours (s = 1) and the rows between two pairs (s = −1), C_κ the covariance of those rows alone
and E_κ their columns of I. Independent rows are sums over single rows, and any other structure is one clique a series.
Cliques with the same C at every ψ are a class, here a unit of a `Batch`: with all visits one apart AR(1) has two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from henderson.contract.rows import Rows
from henderson.covariance.residual.residual import Residual
from henderson.covariance.residual.structure import ResidualStructure
from henderson.engine.residual.units import Batch, batch_of, hash_of

FloatArray = np.ndarray
IntArray = np.ndarray


@dataclass(frozen=True)
class Cliques:
    """Classes of cliques of one size and sign.

    Attributes
    ----------
    sign : float
        s, one or minus one.
    batch : Batch
        A unit a class.
    even : bool
        Whether the rows of a pair have one variance at every ψ: then C⁻¹ has one value on its diagonal, and one sum.
    """

    sign: float
    batch: Batch
    even: bool = False

    @property
    def entries(self) -> list[tuple[int, int, int]]:
        """Of each entry of C⁻¹ on and below the diagonal which distinct one it is, and row and column."""
        places = zip(*_triangle(self.batch.n))
        return [(0 if self.even and a == b else e, int(a), int(b)) for e, (a, b) in enumerate(places)]

    @property
    def n_distinct(self) -> int:
        """Distinct entries of C⁻¹ of one class."""
        return 1 + max(e for e, _, _ in self.entries)

    @property
    def n_entries(self) -> int:
        """Distinct entries of C⁻¹ of all classes."""
        return self.batch.n_units * self.n_distinct

    def distinct(self, S: FloatArray) -> FloatArray:
        """The distinct entries of symmetric S (..., U, k, k), class after class, (..., E)."""
        rows, columns = (place[: self.n_distinct] for place in _triangle(self.batch.n))
        return S[..., rows, columns].reshape(*S.shape[:-3], -1)


def cliques_of(structure: ResidualStructure, rows: Rows, *, even: bool = False) -> tuple[Cliques, ...]:
    """The classes of cliques of rows without random terms; `even`: the rows of a pair have one variance."""
    residual = rows.residual
    assert residual is not None
    places = [residual.where] if residual.where.ndim == 1 else list(residual.where.T)
    order = residual.order
    first = np.diff(residual.codes[order], prepend=-1) != 0
    memory = structure.memory if len(places) < 2 else None  # in the plane no row stands between others
    return tuple(
        Cliques(sign, _classes(rows, at, structure.by_difference), even and at.shape[1] == 2)
        for sign, at in _members(memory, order, first)
        if len(at)
    )


def _members(memory: int | None, order: IntArray, first: np.ndarray) -> list[tuple[float, IntArray]]:
    """Sign and rows (B, k) of the cliques of each size; the `first` rows of the series in their `order`."""
    if memory == 0:
        return [(1.0, order[:, None])]
    last = np.append(first[1:], True)
    if memory == 1:
        pairs = np.stack([order[:-1], order[1:]], axis=1)[~first[1:]]
        return [(1.0, pairs), (-1.0, order[~first & ~last, None]), (1.0, order[first & last, None])]
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(first)))
    return [(1.0, order[starts[sizes == n][:, None] + np.arange(n)]) for n in np.unique(sizes)]


def _classes(rows: Rows, at: IntArray, by_difference: bool) -> Batch:
    """Cliques `at` (B, k) in classes; where only differences of places matter, they are counted from its first row."""
    residual = rows.residual
    assert residual is not None
    where = residual.where[at]
    if by_difference:
        where = where - where[:, :1]
    columns = [where] if where.ndim == 2 else list(np.moveaxis(where, 2, 0))
    columns += [] if residual.strata is None else [residual.strata[at]]
    columns += [own[at] for own in residual.covariates]
    alike = all((column == column[:1]).all() for column in columns)
    found = batch_of(rows, at, np.zeros(at.shape, np.uint64) if alike else hash_of(columns, at.shape))
    return replace(found, where=found.where - found.where[:, :1]) if by_difference else found


@dataclass(frozen=True)
class Coefficients:
    """What stands before the entries of the sums at one ψ, and log|R|; with derivatives in ψ.

    Attributes
    ----------
    values : (E,) array
        s_κ times the entries of C_κ⁻¹, rows a ≥ b, class after class.
    first : (r, E) array
    second : (r, r, E) array
    log_det : float
        log|R|.
    log_first : (r,) array
    log_second : (r, r) array
    """

    values: FloatArray
    first: FloatArray
    second: FloatArray
    log_det: float
    log_first: FloatArray
    log_second: FloatArray


class Precision:
    """R⁻¹ and log|R| of some rows as functions of ψ.

    Parameters
    ----------
    residual : Residual
    rows : Rows

    Attributes
    ----------
    cliques : tuple of Cliques
    """

    def __init__(self, residual: Residual, rows: Rows) -> None:
        even = residual.structure.by_difference and not residual.variance
        self.cliques = cliques_of(residual.structure, rows, even=even)
        self.residual, structure = residual, residual.structure
        if structure.memory == 1 and structure.by_difference and structure.places == "visits":
            furthest = max(int(own.batch.where.max(initial=0)) for own in self.cliques)
            self.residual = residual.with_visits(furthest + 1)  # places are counted from zero in each clique

    @property
    def n_entries(self) -> int:
        """E."""
        return sum(own.n_entries for own in self.cliques)

    def _of(self, function: str, psi: FloatArray, batch: Batch) -> FloatArray:
        return getattr(self.residual, function)(psi, batch.where, batch.strata, batch.covariates)

    def values(self, psi: FloatArray) -> tuple[FloatArray, float, list[FloatArray]]:
        """`values` and `log_det` of the coefficients, and the C⁻¹ of each size, (U, k, k).

        Raises
        ------
        numpy.linalg.LinAlgError
            When a C is not positive definite.
        """
        values, log_det, inverses = [], 0.0, []
        for own in self.cliques:
            low = np.linalg.cholesky(self._of("cov", psi, own.batch))
            log_det += 2.0 * own.sign * float(own.batch.counts @ np.log(np.einsum("uii->ui", low)).sum(axis=1))
            half = np.linalg.inv(low)
            inverses.append(half.transpose(0, 2, 1) @ half)
            values.append(own.sign * own.distinct(inverses[-1]))
        return np.concatenate(values), log_det, inverses

    def coefficients(
        self, psi: FloatArray, known: tuple[FloatArray, float, list[FloatArray]] | None = None
    ) -> Coefficients:
        """All of them: ∂C⁻¹ = −C⁻¹∂C C⁻¹, ∂ log|C| = tr C⁻¹∂C, and once more; `known` are the `values` there."""
        r = self.residual.n_parameters
        values, log_det, inverses = self.values(psi) if known is None else known
        first, second = [], []
        log_first, log_second = np.zeros(r), np.zeros((r, r))
        for own, S in zip(self.cliques, inverses):
            counts = own.sign * own.batch.counts
            SD = S @ self._of("first", psi, own.batch)  # (r, U, k, k)
            SDS = SD @ S
            twice = SD[:, None] @ SDS
            bent = twice + twice.swapaxes(0, 1)
            log_second -= np.einsum("u,auij,buji->ab", counts, SD, SD)
            if not self.residual.linear:
                D2 = self._of("second", psi, own.batch)
                bent = bent - S @ D2 @ S
                log_second += np.einsum("u,uij,abuji->ab", counts, S, D2)
            log_first += np.einsum("u,auii->a", counts, SD)
            first.append(-own.sign * own.distinct(SDS))
            second.append(own.sign * own.distinct(bent))
        return Coefficients(
            values, np.concatenate(first, axis=-1), np.concatenate(second, axis=-1),
            log_det, log_first, log_second,
        )  # fmt: skip


@lru_cache(maxsize=64)
def _triangle(k: int) -> tuple[np.ndarray, np.ndarray]:
    return np.tril_indices(k)
