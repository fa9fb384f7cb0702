"""The precision of correlated residuals as a sum over few rows at a time, and what of it is the same everywhere.

Rows that depend on their past only through the row before (ar1, ar1h, ad, adh, car1, sp_exp along a line) have

    R⁻¹ = Σ_κ s_κ E_κ C_κ⁻¹ E_κ'      log|R| = Σ_κ s_κ log|C_κ|

over the pairs κ of neighbours (s = 1) and the rows between two pairs (s = −1), C_κ the covariance of those rows alone
and E_κ their columns of I. Independent rows are sums over single rows, and any other structure is one clique a series.
Cliques with the same C at every ψ are a class, here a unit of a `Batch`: with all visits one apart AR(1) has two.

What rows are summed for is R⁻¹, entry by entry. An entry beside the diagonal is one of a clique's; one on it is the sum
of those of up to three cliques, and rows for which it is the same sum are alike (`Alike`): those inside a series, and
those at its ends, for AR(1) with all visits one apart. There are no more classes of rows than entries of the cliques.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from henderson.contract.rows import Rows
from henderson.covariance.residual.residual import Residual
from henderson.covariance.residual.structure import ResidualStructure
from henderson.engine.residual.units import Batch, batch_of, hash_of
from henderson.numerics import tiny

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

    @cached_property
    def entries(self) -> list[tuple[int, int, int]]:
        """Of each entry of C⁻¹ on and below the diagonal which distinct one it is, and row and column."""
        places = zip(*_triangle(self.batch.n))
        return [(0 if self.even and a == b else e, int(a), int(b)) for e, (a, b) in enumerate(places)]

    @cached_property
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
        left = np.flatnonzero(~first[1:])
        pairs = np.stack([order[left], order[left + 1]], axis=1)
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
    found = batch_of(rows, at, None if alike else hash_of(columns, at.shape))
    return replace(found, where=found.where - found.where[:, :1]) if by_difference else found


@dataclass(frozen=True)
class Entries:
    """Entries of R⁻¹ in classes in which they are the same at every ψ.

    Attributes
    ----------
    row, column : int
        Which of `Alike.rows` their rows are, and the rows of their columns: the same on the diagonal.
    classes : (B,) int array, or None
        None where there is one.
    made_of : (s, U) int array
        Distinct entries of the cliques, E for none, whose sum those of each class are.
    """

    row: int
    column: int
    classes: IntArray | None
    made_of: IntArray

    @property
    def n_classes(self) -> int:
        """U."""
        return self.made_of.shape[1]


@dataclass(frozen=True)
class Alike:
    """The entries of R⁻¹ on and below the diagonal.

    Attributes
    ----------
    rows : list of (B,) int arrays, or None
        None: all rows, in order.
    entries : list of Entries
    n_distinct : int
        E.
    """

    rows: list[IntArray | None]
    entries: list[Entries]
    n_distinct: int

    @classmethod
    def of(cls, cliques: tuple[Cliques, ...], n: int) -> Alike:
        """Those of all cliques of n rows."""
        rows: list[IntArray | None] = []
        diagonal: list[Diagonal] = []
        beside, E = [], 0
        for own in cliques:
            made_of, first = E + own.n_distinct * np.arange(own.batch.n_units), len(rows)
            unit = own.batch.unit_of if len(made_of) > 1 else None
            rows += list(own.batch.rows.T)
            on: dict[int, list[IntArray]] = {}
            for e, a, b in own.entries:
                if a == b:
                    on.setdefault(e, []).append(own.batch.rows[:, a])
                else:
                    beside.append(Entries(first + a, first + b, unit, made_of[None] + e))
            diagonal += [Diagonal(at, unit, made_of + e) for e, at in on.items()]
            E += own.n_entries
        of_rows = [found] if (found := _of_rows(diagonal, E, n)) is not None else [own.apart for own in diagonal]
        at_rows = [Entries(len(rows) + k, len(rows) + k, *own[1:]) for k, own in enumerate(of_rows)]
        return cls([*rows, *(own[0] for own in of_rows)], [*at_rows, *beside], E)

    @classmethod
    def apart(cls, cliques: tuple[Cliques, ...], n: int) -> Alike:
        """The same of cliques of one and two rows where every row and every pair is a class."""
        E, first = sum(own.n_entries for own in cliques), 0
        rows: list[IntArray | None] = [None]
        places, beside = [], []
        for own in cliques:
            at = first + own.n_distinct * np.arange(own.batch.n_units)[own.batch.unit_of]
            for e, a, b in own.entries:
                if a == b:
                    places.append((own.batch.rows[:, a], at + e))
                else:
                    rows += [own.batch.rows[:, a], own.batch.rows[:, b]]
                    beside.append(Entries(len(rows) - 2, len(rows) - 1, np.arange(len(at)), at[None] + e))
            first += own.n_entries
        made_of = np.full((len(places), n), E)
        for k, (there, entry) in enumerate(places):
            made_of[k, there] = entry
        return cls(rows, [Entries(0, 0, np.arange(n), made_of), *beside], E)

    @property
    def n_classes(self) -> int:
        """Of all entries."""
        return sum(own.n_classes for own in self.entries)

    @cached_property
    def made_of(self) -> IntArray:
        """Entries of the cliques, E for none, whose sum each class is, (s, n_classes)."""
        most, E = max(len(own.made_of) for own in self.entries), self.n_distinct
        return np.concatenate(
            [np.pad(own.made_of, ((0, most - len(own.made_of)), (0, 0)), constant_values=E) for own in self.entries],
            axis=1,
        )


@dataclass(frozen=True)
class Diagonal:
    """One distinct entry on the diagonal of C⁻¹, of all cliques of one size.

    Attributes
    ----------
    rows : list of (B,) int arrays
        Where it stands, all of one entry: one array, or two where both rows of a pair have it.
    unit : (B,) int array, or None
        Class of each clique; None where there is one.
    made_of : (U,) int array
        The number of the entry of each class.
    """

    rows: list[IntArray]
    unit: IntArray | None
    made_of: IntArray

    @property
    def apart(self) -> tuple[IntArray, IntArray | None, IntArray]:
        """The rows of it alone, their classes and what these are made of."""
        unit = None if self.unit is None else np.tile(self.unit, len(self.rows))
        return np.concatenate(self.rows), unit, self.made_of[None]


def _of_rows(diagonal: list[Diagonal], E: int, n: int) -> tuple[None, IntArray | None, IntArray] | None:
    """All rows in order, their classes and what these are made of; None where there could be more than entries."""
    at = [(rows, own.made_of[0 if own.unit is None else own.unit]) for own in diagonal for rows in own.rows]
    base = E + 1
    if base ** len(at) > n:
        return None
    key = np.zeros(n, np.intp)  # digit k: one more than the entry that a row has in the k-th place, or zero
    for k, (rows, entry) in enumerate(at):
        key[rows] += base**k * (1 + entry)
    keys = np.flatnonzero(np.bincount(key))
    digits = (keys // base ** np.arange(len(at))[:, None] - 1) % base
    made_of, of_key = np.unique(np.sort(digits, axis=0), axis=1, return_inverse=True)
    if made_of.shape[1] > sum(len(own.made_of) for own in diagonal):
        return None
    classes = np.zeros(int(keys[-1]) + 1, np.intp)
    classes[keys] = of_key.ravel()
    return None, classes[key] if made_of.shape[1] > 1 else None, made_of


@dataclass(frozen=True)
class Coefficients:
    """What stands before the sums of each class at one ψ, and log|R|; with derivatives in ψ.

    Attributes
    ----------
    values : (U,) array
        The entries of R⁻¹ of each class (`Alike`).
    first : (r, U) array
    second : (r, r, U) array
    log_det : float
        log|R|.
    log_first : (r,) array
    squares, traces : (r, r) arrays
        tr R⁻¹R_aR⁻¹R_b and tr R⁻¹R_ab.
    """

    values: FloatArray
    first: FloatArray
    second: FloatArray
    log_det: float
    log_first: FloatArray
    squares: FloatArray
    traces: FloatArray

    @property
    def log_second(self) -> FloatArray:
        """∂² log|R|, (r, r)."""
        return self.traces - self.squares


class Precision:
    """R⁻¹ and log|R| of some rows as functions of ψ.

    Parameters
    ----------
    residual : Residual
    rows : Rows

    Attributes
    ----------
    cliques : tuple of Cliques
    alike : Alike
    """

    def __init__(self, residual: Residual, rows: Rows) -> None:
        even = residual.structure.by_difference and not residual.variance
        self.cliques = cliques_of(residual.structure, rows, even=even)
        self.alike = Alike.of(self.cliques, rows.n)
        self.residual, structure = residual, residual.structure
        if structure.memory == 1 and structure.by_difference and structure.places == "visits":
            furthest = max(int(own.batch.where.max(initial=0)) for own in self.cliques)
            self.residual = residual.with_visits(furthest + 1)  # places are counted from zero in each clique

    @property
    def is_of_neighbours(self) -> bool:
        """Whether cliques are of one and two rows."""
        return all(own.batch.n <= 2 for own in self.cliques)

    def part(self, n: int) -> None:
        """Take every row, of n, and every pair as a class."""
        self.alike = Alike.apart(self.cliques, n)

    def _summed(self, parts: list[FloatArray]) -> FloatArray:
        """What each class is made of, (..., U), of the distinct entries of the cliques of each size (..., E)."""
        whole = np.concatenate([*parts, np.zeros((*parts[0].shape[:-1], 1))], axis=-1)
        first, *others = self.alike.made_of
        out = whole.take(first, axis=-1)
        for own in others:
            out += whole.take(own, axis=-1)
        return out

    def of(self, function: str, psi: FloatArray, batch: Batch) -> FloatArray:
        """C of each class ("cov"), or its "first" or "second" derivatives, (…, U, k, k)."""
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
            inverse, log = tiny.inverses(self.of("cov", psi, own.batch))
            log_det += own.sign * float(own.batch.counts @ log)
            inverses.append(inverse)
            values.append(own.sign * own.distinct(inverse))
        return self._summed(values), log_det, inverses

    def coefficients(
        self, psi: FloatArray, known: tuple[FloatArray, float, list[FloatArray]] | None = None
    ) -> Coefficients:
        """All of them: ∂C⁻¹ = −C⁻¹∂C C⁻¹, ∂ log|C| = tr C⁻¹∂C, and once more; `known` are the `values` there."""
        r = self.residual.n_parameters
        values, log_det, inverses = self.values(psi) if known is None else known
        first, second = [], []
        log_first, squares, traces = np.zeros(r), np.zeros((r, r)), np.zeros((r, r))
        for own, S in zip(self.cliques, inverses):
            counts = own.sign * own.batch.counts
            SD = tiny.products(S, self.of("first", psi, own.batch))  # (r, U, k, k)
            SDS = tiny.products(SD, S)
            twice = tiny.products(SD[:, None], SDS)
            bent = twice + twice.swapaxes(0, 1)
            squares += np.einsum("u,auij,buji->ab", counts, SD, SD)
            if not self.residual.linear:
                SD2 = tiny.products(S, self.of("second", psi, own.batch))
                bent = bent - tiny.products(SD2, S)
                traces += np.einsum("u,abuii->ab", counts, SD2)
            log_first += np.einsum("u,auii->a", counts, SD)
            first.append(-own.sign * own.distinct(SDS))
            second.append(own.sign * own.distinct(bent))
        return Coefficients(
            values, self._summed(first), self._summed(second), log_det, log_first, squares, traces
        )  # fmt: skip


@lru_cache(maxsize=64)
def _triangle(k: int) -> tuple[np.ndarray, np.ndarray]:
    return np.tril_indices(k)
