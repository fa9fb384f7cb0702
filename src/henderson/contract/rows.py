"""`Rows`: one chunk of a design's rows as arrays.

With Z_k the rows' loadings on the effects of term k, a chunk holds what y = Xβ + Σ_k Z_k b_k + offset + ε needs. A
design's rows are one such chunk in memory, or any number of them: their sums add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.residual import ResidualRows
from henderson.errors import NotAvailable
from henderson.numerics.extents import ColumnExtents

FloatArray = np.ndarray

#: rows that are looked at before all of them are
FEW = 4096
UNLABELLED = pd.RangeIndex(0)


@dataclass(frozen=True)
class TermRows:
    """The rows of one random term: Z (n, J q), effect a of level j in column j q + a.

    Attributes
    ----------
    codes : (n,) int array, or None
        Level of each row; None where rows may load on several levels (then see `loadings`).
    columns : (n, q) float64 array
        Covariates whose coefficients vary by level (a column of ones: a random intercept); (n, 0) with `loadings`.
    loadings : (n, J) csr_array, or None
        Where rows may load on several levels: Z itself.
    """

    codes: np.ndarray | None
    columns: FloatArray
    loadings: sparse.csr_array | None = None

    def matrix(self, n_levels: int) -> sparse.csr_array:
        """Z, (n, J q)."""
        if self.codes is None:
            return sparse.csr_array(self.loadings)
        return indicator_columns(self.codes, self.columns, n_levels)

    def times(self, b: FloatArray) -> FloatArray:
        """Zb, (n,); `b` (J, q)."""
        if self.codes is None:
            return np.asarray(self.given_loadings @ b[:, 0])
        return np.einsum("ia,ia->i", self.columns, b[self.codes])

    def gather(self, v: FloatArray, n_levels: int) -> FloatArray:
        """Z'v, (J, q)."""
        if self.codes is None:
            return np.asarray(self.given_loadings.T @ v)[:, None]
        n = len(v)
        indicator = sparse.csr_array((np.ones(n), (self.codes, np.arange(n))), shape=(n_levels, n))
        return np.asarray(indicator @ (self.columns * v[:, None]))

    def incidence(self, n_levels: int) -> sparse.csr_array:
        """Which levels a row has, (n, J)."""
        if self.codes is None:
            return sparse.csr_array(abs(self.given_loadings) > 0).astype(float)
        return indicator_columns(self.codes, np.ones((len(self.codes), 1)), n_levels)

    def owners(self, codes: np.ndarray, n_levels: int) -> np.ndarray | None:
        """The level of another factor, given by its `codes`, in which each level lies, (J,); None when one does not."""
        if self.codes is None:
            entries = self.given_loadings.tocoo()
            rows, effects = entries.coords
        else:
            rows, effects = np.arange(len(codes)), self.codes
        owner = np.zeros(n_levels, codes.dtype)
        for some in (slice(FEW), slice(None)):  # crossed factors show it in their first rows
            of_row = codes[rows[some]]
            owner[effects[some]] = of_row
            if not np.array_equal(owner[effects[some]], of_row):
                return None
        return owner

    @property
    def given_loadings(self) -> sparse.csr_array:
        """The loadings of a term that has them."""
        assert self.loadings is not None
        return self.loadings

    def gram(self, diagonal: FloatArray | None = None) -> FloatArray:
        """Σ_i z_i z_i', (q, q), over the rows; with A_jj of levels that are related (J,), Σ_i A_jj z_i z_i'."""
        if self.codes is None:
            return np.array([[float((self.given_loadings.data**2).sum())]])
        own = self.columns if diagonal is None else self.columns * diagonal[self.codes, None]
        return own.T @ self.columns

    def root(self, diagonal: FloatArray | None = None) -> FloatArray:
        """R with R'R = Σ_i z_i z_i', of z_i √A_ii where levels are related: from Z itself, (r, q)."""
        if self.codes is None or self.columns.shape[1] == 1:
            return np.sqrt(self.gram(diagonal))
        own = self.columns if diagonal is None else self.columns * np.sqrt(diagonal[self.codes, None])
        return np.asarray(np.linalg.qr(own, mode="r"))

    def turned(self, root: FloatArray) -> TermRows:
        """The rows of effects root⁻¹b_j of every level, Z root, (q, q): a slope on a covariate far from zero is there
        what its root makes of it, to all digits of the covariate."""
        if self.codes is None:
            return TermRows(None, self.columns, sparse.csr_array(self.given_loadings * root[0, 0]))
        return TermRows(self.codes, (self.columns.astype(np.longdouble) @ root).astype(float))

    def __getitem__(self, rows: slice | np.ndarray) -> TermRows:
        return TermRows(
            None if self.codes is None else self.codes[rows],
            self.columns[rows],
            None if self.loadings is None else sparse.csr_array(self.loadings[rows]),
        )


def present(rows: Rows | None, what: str) -> Rows:
    """The rows, for `what` (a method's name, say), which the error names when they were let go."""
    if rows is None:
        gone = "which were removed by remove_data(), or are not in the file that it was saved to"
        raise NotAvailable(f"{what}: this needs the rows of the data, {gone}")
    return rows


def indicator_columns(codes: np.ndarray, columns: FloatArray, n_levels: int) -> sparse.csr_array:
    """Z of the columns (n, k) of a grouping factor, those of a level side by side: (n, J k)."""
    n, k = columns.shape
    index = (codes[:, None] * k + np.arange(k)).ravel()
    values = np.ascontiguousarray(columns).ravel()
    return sparse.csr_array((values, index, np.arange(0, n * k + 1, k) if k else np.zeros(n + 1, int)),
                            shape=(n, n_levels * k))  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """One chunk of rows.

    Attributes
    ----------
    y : (n,) float64 array
        Response.
    X : (n, p) float64 array
        Fixed-effects columns.
    terms : tuple of TermRows
        One a random term, in the design's order.
    weights, offset : (n,) float64 arrays, or None
        Prior weights (Var ε_i = σ²/w_i) and known part of the mean.
    index : pandas.Index of length n
        Labels of the rows.
    positions : (n,) intp array, or None
        Where the rows stand in the data that were given; None: all, in order.
    columns : mapping of str to (n,) arrays
        Columns of the data that the fixed part uses, its factors aside.
    factors : mapping of str to (n,) intp arrays
        Level of each row in the fixed part's factors.
    groups : (n,) intp array, or None
        Level of each row in the groups given beside the formula.
    make : {"pandas", "polars"}
        Of the columns that results return, one number a row: that of the table that was given.
    residual : ResidualRows, or None
        Where the rows stand in their series, when the design's residuals have a structure.
    extents : ColumnExtents, or None
        Of X, where they are known.
    joined : (n, p + 1) float64 array, or None
        [X y], column after column in memory, of which X and y are views (see `side_by_side`).
    """

    y: FloatArray
    X: FloatArray
    terms: tuple[TermRows, ...]
    weights: FloatArray | None = None
    offset: FloatArray | None = None
    index: pd.Index = field(default_factory=lambda: UNLABELLED)
    positions: np.ndarray | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None
    make: str = "pandas"
    residual: ResidualRows | None = None
    extents: ColumnExtents | None = None
    joined: FloatArray | None = None

    @property
    def n(self) -> int:
        """Rows of this chunk."""
        return len(self.y)

    @property
    def response(self) -> FloatArray:
        """y − offset, (n,)."""
        return self.y if self.offset is None else self.y - self.offset

    @property
    def side_by_side(self) -> FloatArray | None:
        """[X y] (n, p + 1) where X and y stand so in memory, and neither weights nor an offset go into their sums."""
        both = self.joined
        if both is None or self.weights is not None or self.offset is not None:
            return None
        own = self.X.shape == both[:, :-1].shape and np.shares_memory(self.X, both[:, :-1])
        return both if own and np.shares_memory(self.y, both[:, -1]) else None

    @property
    def unit_weights(self) -> FloatArray:
        """The weights, ones where there are none, (n,)."""
        return np.ones(self.n) if self.weights is None else self.weights

    @property
    def weight_sum(self) -> float:
        """Σw, n where there are none."""
        return float(self.n if self.weights is None else self.weights.sum())

    @property
    def known(self) -> FloatArray:
        """The offset, zeros where there is none, (n,)."""
        return np.zeros(self.n) if self.offset is None else self.offset

    @property
    def log_weights(self) -> float:
        """Σ log w."""
        return 0.0 if self.weights is None else float(np.log(self.weights).sum())

    def mean(self, beta: FloatArray, kept: np.ndarray | None = None) -> FloatArray:
        """Xβ + offset, (n,), over the columns kept."""
        linear = self.X @ beta if kept is None or kept.all() else self.X[:, kept] @ beta[kept]
        return linear if self.offset is None else linear + self.offset

    def random_part(self, b: tuple[FloatArray, ...]) -> FloatArray:
        """Σ_k Z_k b_k, (n,); one (J, q) array a term."""
        out = np.zeros(self.n)
        for term, effects in zip(self.terms, b):
            out += term.times(effects)
        return out

    def __getitem__(self, rows: slice | np.ndarray) -> Rows:
        """Some of the rows."""

        def part(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[rows]

        return Rows(
            self.y[rows],
            self.X[rows],
            tuple(term[rows] for term in self.terms),
            part(self.weights),
            part(self.offset),
            self.index[rows] if len(self.index) == self.n else pd.RangeIndex(len(self.y[rows])),
            part(self.positions),
            {name: column[rows] for name, column in self.columns.items()},
            {name: codes[rows] for name, codes in self.factors.items()},
            part(self.groups),
            self.make,
            None if self.residual is None else self.residual[rows],
        )

    def chunks(self, size: int) -> Iterator[Rows]:
        """The engine's part of the rows (y, X, terms, weights, offset, residual), `size` at a time in order; views."""
        if 0 < self.n <= size:
            yield self
            return
        for start in range(0, self.n, size):
            here = slice(start, start + size)
            yield Rows(
                self.y[here],
                self.X[here],
                tuple(term[here] for term in self.terms),
                None if self.weights is None else self.weights[here],
                None if self.offset is None else self.offset[here],
                residual=None if self.residual is None else self.residual[here],
                joined=None if self.joined is None else self.joined[here],
            )

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: nothing twice. Columns that are X's are named by their places, codes are small."""
        small: dict[int, np.ndarray] = {}
        terms = [(_small(term.codes, small), _places_in(self.X, term.columns), term.loadings) for term in self.terms]
        columns = {
            name: _places_in(self.X, column[:, None]) if isinstance(column, np.ndarray) else column
            for name, column in self.columns.items()
        }
        factors = {name: _small(codes, small) for name, codes in self.factors.items()}
        groups, positions = _small(self.groups, small), _small(self.positions, small)
        own = {"terms": terms, "columns": columns, "factors": factors, "groups": groups, "positions": positions}
        return {**self.__dict__, **own, "joined": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        X, large = state["X"], {}  # type: ignore[var-annotated]  # of the arrays' ids
        terms = (TermRows(_large(codes, large), _columns_at(X, where), Z) for codes, where, Z in state["terms"])
        columns = {
            name: _columns_at(X, where)[:, 0] if isinstance(where, list | np.ndarray) else where
            for name, where in state["columns"].items()
        }
        factors = {name: _large(codes, large) for name, codes in state["factors"].items()}
        groups, positions = _large(state["groups"], large), _large(state["positions"], large)
        own = {"terms": tuple(terms), "columns": columns, "factors": factors, "groups": groups, "positions": positions}
        self.__dict__.update({**state, **own})

    def with_response(self, y: FloatArray) -> Rows:
        """The same rows with another response."""
        return replace(self, y=np.ascontiguousarray(y))


def _small(codes: np.ndarray | None, known: dict[int, np.ndarray]) -> np.ndarray | None:
    """Codes in as few bytes as they need; the same array for the same codes."""
    if codes is None:
        return None
    if id(codes) not in known:
        known[id(codes)] = codes.astype(np.min_scalar_type(int(codes.max(initial=0))))
    return known[id(codes)]


def _large(codes: np.ndarray | None, known: dict[int, np.ndarray]) -> Any:
    """The reverse."""
    return None if codes is None else known.setdefault(id(codes), codes.astype(np.intp))


def _places_in(X: FloatArray, columns: np.ndarray) -> Any:
    """Which columns of X these are; themselves where they are not all X's."""
    if columns.dtype != X.dtype or not columns.shape[1]:
        return columns
    address = {X[:, j].ctypes.data: j for j in range(X.shape[1])} if len(X) else {}
    places = [address.get(columns[:, j].ctypes.data, -1) for j in range(columns.shape[1])]
    is_view = -1 not in places and columns.strides[0] == X.strides[0]
    return places if is_view else columns


def _columns_at(X: FloatArray, where: Any) -> FloatArray:
    """The reverse: a view where the places are at equal distances."""
    if not isinstance(where, list):
        return where
    steps = set(np.diff(where).tolist())
    if len(steps) > 1 or min(steps, default=1) < 1:
        return X[:, where]
    return X[:, where[0] : where[-1] + 1 : min(steps, default=1)]
