"""The hypotheses of an analysis of variance: which contrasts of β a term stands for, by type.

- **I**, sequential: the term's rows of U in X'X = U'DU (U unit upper triangular; Doolittle's): each term given those
  before it.
- **II**, by containment: the same with the columns in another order: terms that do not contain it, it, terms that
  contain it. A term that no other contains: its own coefficients. Other terms are coded in full here: in ``0 + A + B``
  the term B has the constant in its span, so A stands for differences, as it does with an intercept.
- **III**, marginal means: in the full coding (`full_coding`), the estimable functions that involve only the term and
  the terms that contain it, and are orthogonal to those that involve the latter alone (SAS's definition; with no
  empty cells, equality of unweighted marginal means). The same whatever the contrasts.

In ``A / B`` without a main effect of B, A is contained in A:B, as in SAS; lmerTest takes it that A is not, and its
test of A depends on which level of B comes first.

Columns far from zero, and their products, are told by the working basis' X̃, X = X̃B: R of X̃ = QR has digits of what
varies that X'X, and X's own R times a mean, have not.

Rows are scaled as lmerTest scales them (unit coefficients), since Satterthwaite's df of several rows depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from henderson.engine.sums.basis import Basis
from henderson.inference.anova.full_coding import FullCoding, Term

FloatArray = np.ndarray

#: length of what others leave of a unit vector of the working basis that is more than rounding
TOLD = 1e-12
#: the same of what earlier columns leave of a column, relative to it, in extended precision
DEPENDENT = 1e-14


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a fixed part, by what has their inner products.

    Attributes
    ----------
    of_all : (m, p) array
        Of X.
    triangle : (r, p_kept) array
        Of X̃.
    basis : Basis
    """

    of_all: FloatArray
    triangle: FloatArray
    basis: Basis

    @property
    def of_working(self) -> FloatArray:
        """B, X = X̃B: also of the columns that were dropped, which are sums of those kept; (p_kept, p)."""
        kept = self.basis.kept
        out = np.zeros((int(kept.sum()), len(kept)))
        out[:, kept] = self.basis.from_beta
        if not kept.all():
            weights = self.basis.redundant
            if weights is None:
                weights = np.linalg.lstsq(self.of_all[:, kept], self.of_all[:, ~kept], rcond=None)[0]
            out[:, ~kept] = self.basis.from_beta @ weights
        return out

    def unit_upper(self, order: FloatArray) -> FloatArray:
        """U of X'X = U'DU, (p, p), from a QR decomposition of the columns kept, in some order.

        Where the constant 1 = Xw comes before all columns that are moved by s, X = C(I + ws') with C = X − 1s', and the
        triangle of C times the bracket is X's.
        """
        w, s = self.basis.ones[order], self.basis.shift[order]
        is_first = s.any() and w.any() and np.flatnonzero(w)[-1] < np.flatnonzero(s)[0]
        X = self.triangle @ (self.basis.mixed if is_first else self.basis.from_beta)[:, order]
        X = np.asarray(X, float)
        size = np.sqrt(np.einsum("ij,ij->j", X, X))
        triangle = np.linalg.qr(X / size, mode="r") * size
        if is_first:
            triangle = triangle + np.outer(triangle @ w, s)
        return np.asarray(triangle / np.diag(triangle)[:, None])


def type_one(terms: Sequence[Term], X: Columns, kept: FloatArray) -> list[FloatArray]:
    """Rows (k, p) of each term; columns kept (p,) bool."""
    at = np.flatnonzero(kept)
    upper = X.unit_upper(np.arange(len(at)))
    return [_spread(upper[np.isin(at, term.columns)], at, len(kept)) for term in terms]


def type_two(terms: Sequence[Term], X: Columns, kept: FloatArray, full: FullCoding | None = None) -> list[FloatArray]:
    """Rows (k, p) of each term; columns kept (p,) bool."""
    out = []
    for index, term in enumerate(terms):
        containing = [other for other in terms if other.contains(term)]
        if full is not None:
            others = [k for k, other in enumerate(terms) if other not in containing and kept[other.columns].any()]
            others = [k for k in others if k != index]
            rows = _given_others(index, others, X, full)
            if 0 < len(rows) < kept[term.columns].sum():
                out.append(rows)
                continue
        if not containing:
            out.append(np.eye(len(kept))[term.columns[kept[term.columns]]])
            continue
        last = np.concatenate([other.columns for other in containing])
        rank = np.zeros(len(kept), int)
        rank[term.columns] = 1
        rank[last] = 2
        order = np.argsort(rank, kind="stable")
        order = order[kept[order]]
        upper = X.unit_upper((np.cumsum(kept) - 1)[order])
        out.append(_spread(upper[np.isin(order, term.columns)], order, len(kept)))
    return out


def type_three(terms: Sequence[Term], full: FullCoding, kept: FloatArray, null_space: FloatArray) -> list[FloatArray]:
    """Rows (k, p) of each term; columns kept (p,) bool, `null_space` (p, d), one column for each column dropped.

    A term of which no column was kept is out of the model for the terms that it does not contain: in npk's
    ``block + N * P * K`` the blocks are tested without N:P:K, which they determine. For the terms that it contains it
    is a part of their hypotheses: where a cell is empty and N:P:K is lost by that, N is still asked of cells and not
    of means that a model without N:P:K would predict. So does lmerTest; SAS differs in the first.
    """
    present = [bool(kept[term.columns].any()) for term in terms]
    out = []
    for index, term in enumerate(terms):
        if not present[index]:
            out.append(np.zeros((0, len(kept))))
            continue
        containing = [other.contains(term) for other in terms]
        gone = np.zeros(len(kept), bool)
        inside = np.ones(full.matrix.shape[1], bool)
        for other, columns, here, above_it in zip(terms, full.columns, present, containing):
            gone[other.columns] = not (here or above_it)
            inside[columns] = here or above_it
        of_model = full.matrix[:, inside]
        basis = _complement(null_space[:, ~gone[~kept]].T, np.flatnonzero(~gone))
        own = full.columns[index]
        above = [columns for columns, above_it in zip(full.columns, containing) if above_it]
        outside = inside.copy()
        outside[np.concatenate([own, *above])] = False
        rows = _left_null(basis @ full.matrix[:, outside]) @ basis
        if above:
            upper = _left_null(rows @ full.matrix[:, own]) @ rows
            rows = _left_null(rows @ of_model @ (upper @ of_model).T) @ rows
        rows = _unit_rows(rows, rows @ full.matrix[:, own])
        if gone.any():
            # estimable in the model without the terms that are gone: the same whatever the dropped coefficients are
            rows[:, ~kept] = 0.0
        out.append(rows)
    return out


def _given_others(index: int, others: Sequence[int], X: Columns, full: FullCoding) -> FloatArray:
    """Rows M'X of a term, M its full columns less their projection on those of the others, which do not contain it.

    They are fewer than its own columns where those terms have its mean in their span: of ``0 + A + B`` the term A has a
    column for each level, but given B only differences are left. In the working basis; where what the others span is
    some of its columns, of the term's own the others count alone.
    """
    B, own = X.of_working, full.columns[index]
    constant = np.setdiff1d(np.arange(full.matrix.shape[1]), np.concatenate(full.columns))
    before = full.matrix[:, np.concatenate([constant, *(full.columns[k] for k in others)]).astype(int)]
    users = np.flatnonzero(before.any(axis=1))
    working = np.flatnonzero(B[:, users].any(axis=1))
    if len(users) == len(working) == np.linalg.matrix_rank(before):
        basis, apart = _span(X.triangle[:, working]), np.delete(np.arange(len(B)), working)
    else:  # combinations of the columns: of one far from zero what varies has its digits in extended precision
        basis, apart = _extended_span(X.triangle.astype(np.longdouble) @ (B @ before)), np.arange(len(B))
    left = _span(X.triangle[:, apart] @ (B @ full.matrix[:, own])[apart])
    for _ in range(2):
        left = left - basis @ (basis.T @ left)
    left, values, _ = np.linalg.svd(np.asarray(left, float), full_matrices=False)
    coefficients = np.zeros((int((values > TOLD).sum()), len(B)))
    coefficients[:, apart] = left[:, values > TOLD].T @ X.triangle[:, apart]
    rows = coefficients @ B
    return _unit_rows(rows, rows @ full.matrix[:, own], np.linalg.norm(X.of_all, axis=0))


def _span(columns: FloatArray) -> FloatArray:
    """Orthonormal basis of columns, whatever their units, (n, rank)."""
    left, values, _ = np.linalg.svd(columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300), full_matrices=False)
    return np.asarray(left[:, values > 1e-9 * values.max(initial=0.0)])


def _extended_span(columns: FloatArray) -> FloatArray:
    """The same in extended precision, by Gram and Schmidt, each column made orthogonal twice."""
    basis = np.zeros((len(columns), 0), np.longdouble)
    for column in columns.T:
        size, left = np.sqrt(column @ column), column
        for _ in range(2):
            left = left - basis @ (basis.T @ left)
        if (length := np.sqrt(left @ left)) > DEPENDENT * size:
            basis = np.column_stack([basis, left / length])
    return basis


def _spread(rows: FloatArray, columns: FloatArray, p: int) -> FloatArray:
    """Rows over `columns` as rows over all p."""
    out = np.zeros((len(rows), p))
    out[:, columns] = rows
    return out


def _left_null(matrix: FloatArray) -> FloatArray:
    """Orthonormal rows a with a @ matrix = 0, (s, m) for (m, k)."""
    if not matrix.size:
        return np.eye(len(matrix))
    left, values, _ = np.linalg.svd(matrix)
    rank = int((values > 1e-9 * max(values[0], 1e-300)).sum()) if values[0] > 1e-12 else 0
    return left[:, rank:].T


def _complement(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Orthonormal basis of what is orthogonal to `rows` and nonzero only in `columns`."""
    return _spread(_left_null(rows[:, columns].T), columns, rows.shape[1])


def _unit_rows(rows: FloatArray, own: FloatArray, size: FloatArray | float = 1.0) -> FloatArray:
    """Combinations of `rows` whose coefficients `own` (in order of preference) are unit vectors.

    `size` is that of entries of each column, by which rounding is told.
    """
    rows, scale = rows.copy(), np.maximum(np.abs(own).max(axis=0, initial=0.0), 1e-300)
    own = own / scale
    units = np.ones(len(rows))
    done = 0
    for column in range(own.shape[1]):
        if done == len(rows):
            break
        pivot = done + int(np.abs(own[done:, column]).argmax())
        if np.abs(own[pivot, column]) < 1e-8:
            continue
        for array in (rows, own):
            array[[done, pivot]] = array[[pivot, done]]
        factor = own[:, column] / own[done, column]
        factor[done] = 1 - 1 / own[done, column]
        rows -= factor[:, None] * rows[done]
        own -= factor[:, None] * own[done]
        units[done] = scale[column]
        done += 1
    rows /= units[:, None]
    rows[np.abs(rows) < 1e-11 * size] = 0.0
    return rows
