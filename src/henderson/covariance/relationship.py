"""Known relationships between the levels of a factor: Var(b) = σ² G A, with A from a pedigree or given as a matrix.

A is matched with the data by label, never by position. It is held by a root, A = LL', or by one of its inverse,
A⁻¹ = R'R, which of a pedigree is sparse at any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.covariance.pedigree import Pedigree
from henderson.errors import DataError
from henderson.numerics.lapack import cholesky, eigen, inverse_lower

FloatArray = np.ndarray

#: levels whose relationships are held as a dense matrix, at most: five of them are in memory at once
MOST = 12_000
#: entries of A and A' that differ by less, relative to the largest, are the same
SYMMETRIC = 1e-8
#: eigenvalue, relative to the largest, that is a negative one by rounding
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Relationship:
    """Relationships of J labels.

    Attributes
    ----------
    what : str
        What it is called in an error.
    labels : pandas.Index of length J
    made : Pedigree or (J, J) array
        What it follows from: a pedigree, or L.
    """

    what: str
    labels: pd.Index
    made: Pedigree | FloatArray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_sparse_inverse(self) -> bool:
        """Whether A⁻¹ is sparse, and there is one."""
        return isinstance(self.made, Pedigree) and self.made.is_regular

    @cached_property
    def root(self) -> FloatArray:
        """L with A = LL', (J, J)."""
        if not isinstance(self.made, Pedigree):
            return self.made
        _refuse_many(len(self.made), self.what)
        return self.made.root()

    @property
    def diagonal(self) -> FloatArray:
        """A_jj, (J,)."""
        if isinstance(self.made, Pedigree):
            return 1.0 + self.made.inbreeding.to_numpy()
        return np.einsum("jk,jk->j", self.root, self.root)

    @property
    def inverse_root(self) -> sparse.csr_array:
        """R lower triangular with A⁻¹ = R'R, (J, J).

        Raises
        ------
        DataError
            When A is singular.
        """
        if isinstance(self.made, Pedigree):
            return self.made.inverse_root
        if np.triu(self.made, 1).any():  # a root by eigenvalues, some of which are zero
            raise DataError(f"{self.what} is singular, and has no inverse: this needs one; add to its diagonal")
        return sparse.csr_array(inverse_lower(self.made))


def relationship(given: Any, factor: str, categories: pd.Index | None = None) -> Relationship:
    """What was given for a factor, as a `Relationship`.

    Parameters
    ----------
    given : Pedigree, DataFrame, (matrix, labels), or array or sparse array
        A matrix without labels goes with a factor that is a pandas.Categorical: its rows are the categories.
    factor : str
    categories : pandas.Index, optional
        Of that Categorical.

    Raises
    ------
    DataError
        When it is no covariance matrix, or its labels are not known; the factor is named.

    Examples
    --------
    >>> A = pd.DataFrame([[1.0, 0.5], [0.5, 1.0]], index=["a", "b"], columns=["a", "b"])
    >>> relationship(A, "animal").diagonal
    array([1., 1.])
    """
    what = f"relmat[{factor!r}]"
    if isinstance(given, Pedigree):
        return Relationship(what, given.ids, given)
    labels: Any = None
    if isinstance(given, tuple) and len(given) == 2:
        given, labels = given
    _refuse_many(max(getattr(given, "shape", (0,)), default=0), what)
    if isinstance(given, pd.DataFrame):
        matrix, labels = _of_frame(given, what)
    else:
        matrix = given.toarray() if sparse.issparse(given) else np.asarray(given)
        if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
            raise DataError(
                f"{what} is a matrix, a DataFrame, a pair (matrix, labels) or a henderson.pedigree(), "
                f"not {type(given).__name__}"
            )
        labels = categories if labels is None else pd.Index(labels)
    matrix = np.asarray(matrix, float)
    if matrix.shape[0] != matrix.shape[1]:
        raise DataError(f"{what} is square, not {matrix.shape[0]} × {matrix.shape[1]}")
    if labels is None:
        raise DataError(
            f"{what} says nothing of which level is which: give a DataFrame, a pair (matrix, labels), or make "
            f"{factor!r} a pandas.Categorical, whose categories are the rows"
        )
    if len(labels) != len(matrix):
        raise DataError(f"{what} has {len(matrix)} rows and {len(labels)} labels")
    if labels.has_duplicates:
        raise DataError(f"{what} has the label {labels[labels.duplicated()][0]!r} twice")
    return Relationship(what, labels, _root(matrix, labels, what))


def _refuse_many(size: int, what: str) -> None:
    """Raise for more levels than there is room for."""
    if size > MOST:
        raise DataError(
            f"{what} has {size:,} levels, and is held as a dense matrix: up to {MOST:,} are taken; a "
            "henderson.pedigree() has no such limit"
        )


def _of_frame(frame: pd.DataFrame, what: str) -> tuple[FloatArray, pd.Index]:
    """The matrix of a DataFrame with its columns in the order of its rows, and the labels."""
    if not frame.index.is_unique or not frame.columns.is_unique:
        raise DataError(f"{what} has a label twice")
    lost = frame.index.difference(frame.columns, sort=False)
    if len(lost) or len(frame.columns) != len(frame.index):
        more = f": {lost[0]!r} is no column" if len(lost) else ""
        raise DataError(f"rows and columns of {what} have the same labels{more}")
    try:
        return frame.loc[:, frame.index].to_numpy(float), frame.index
    except (TypeError, ValueError):
        raise DataError(f"{what} has entries that are not numbers") from None


def _root(matrix: FloatArray, labels: pd.Index, what: str) -> FloatArray:
    """A root of a covariance matrix, which may be singular."""
    if not np.isfinite(matrix).all():
        row = labels[_first(~np.isfinite(matrix))]
        raise DataError(f"{what} has entries that are not finite, in the row of {row!r}")
    size = np.abs(matrix).max(initial=0.0)
    apart = np.abs(matrix - matrix.T) > SYMMETRIC * size
    if apart.any():
        raise DataError(f"{what} is not symmetric: see the row of {labels[_first(apart)]!r}")
    if (np.diag(matrix) <= 0).any():
        raise DataError(f"{what} has no positive diagonal: see {labels[int(np.argmax(np.diag(matrix) <= 0))]!r}")
    try:
        return cholesky(matrix)
    except np.linalg.LinAlgError:
        values, vectors = eigen((matrix + matrix.T) / 2)
        if values[0] < -ROUNDING * len(matrix) * values[-1]:
            raise DataError(f"{what} is no covariance matrix: it has the eigenvalue {values[0]:.3g}") from None
        return vectors * np.sqrt(np.maximum(values, 0.0))


def _first(where: np.ndarray) -> int:
    return int(np.argmax(where.any(axis=1)))
