"""The working basis: columns shifted, scaled and whitened so that inner products lose no digits.

Inner products square the condition number, so the rows are changed before they are summed:

1. X̃ = (X − shift)/scale: columns far from zero are moved there (when X has a constant column); a factor's Cholesky does
   not care about scale, so only extreme ones are changed. Redundant columns are left out, later ones first, as R's `lm`
   does.
2. ỹ = (y − offset − X β₀)/scale with β₀ the least-squares estimate: the model is the same with β − β₀ for β.
3. Z̃_k = Z_k T_k with unit mean squares, uncorrelated where the term's covariance is free:
   b_k = T_k b̃_k, G_k = T_k G̃_k T_k'.
4. All of it times √w.

In this basis λ = I is a natural size, whatever the units of the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from henderson.contract.design import Design
from henderson.contract.rows import Rows, TermRows
from henderson.covariance.structures import structure_called
from henderson.engine.sums.blocks import Blocks
from henderson.errors import DataError

#: rows of one pass through the cache
CHUNK = 1 << 14
#: a mean that is no more than so many standard deviations does no harm
MILD = 3.0
#: a column whose part orthogonal to the earlier ones is smaller than this is redundant (R's `lm` has the same)
RANK_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Basis:
    """What turns rows of a design into rows of the working basis.

    Attributes
    ----------
    kept : (p_all,) bool array
        Columns of X that are not redundant; p of them.
    shift, scale : (p,) arrays
    constant : int
        Which kept column of X is constant, or −1; `value` is its value.
    beta0 : (p,) array
        Least-squares coefficients in the user's columns, subtracted from y.
    y_scale : float
    roots : tuple of (q, q) arrays
        T of each block.
    """

    kept: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    constant: int
    value: float
    beta0: np.ndarray
    y_scale: float
    roots: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, design: Design, chunks: Iterable[Rows], blocks: Blocks) -> Basis:
        """The basis of a design: two passes over X and y, one over the columns of Z.

        Parameters
        ----------
        design : Design
        chunks : iterable of Rows
            The design's rows, in any number of chunks; gone through several times.
        blocks : Blocks
        """
        n = sum(rows.n for rows in chunks)
        constant, value = _constant_column(chunks)
        shift = np.zeros(len(design.x_names))
        y_mean = 0.0
        if constant >= 0:
            shift = sum(rows.X.sum(axis=0) for rows in chunks) / n
            shift[constant] = 0.0
            y_mean = float(sum(rows.response.sum() for rows in chunks)) / n
        gram = _gram(chunks, shift, y_mean)
        norms = np.sqrt(np.diag(gram))
        floor = 1e-13 * (np.sqrt(n) * np.abs(shift) + norms[:-1])
        scale = np.append(np.where(norms[:-1] > floor, norms[:-1], np.inf), 1.0)
        gram = gram / np.outer(scale, scale)
        kept = _independent(chunks, shift, scale[:-1], gram[:-1, :-1])
        solution = np.linalg.solve(gram[:-1, :-1][np.ix_(kept, kept)], gram[:-1, -1][kept]) / scale[:-1][kept]
        residual = gram[-1, -1] - gram[:-1, -1][kept] @ (solution * scale[:-1][kept])
        refuse_if_explained(residual, chunks, design.y_name)
        root_n = np.sqrt(n)
        index = int(np.flatnonzero(np.flatnonzero(kept) == constant)[0]) if constant >= 0 and kept[constant] else -1
        if index >= 0:
            solution[index] += (y_mean - shift[kept] @ solution) / value
        rms = scale[:-1][kept] / root_n
        shift = np.where(np.abs(shift[kept]) > MILD * rms, shift[kept], 0.0)
        rms = np.where((rms > 1e-50) & (rms < 1e50), 1.0, rms)
        return cls(
            kept,
            shift,
            rms,
            index,
            value if index >= 0 else 1.0,
            solution,
            float(np.sqrt(residual / n)),
            tuple(_whitening(design, chunks, block.terms) for block in blocks.blocks),
        )

    @property
    def p(self) -> int:
        """Columns of X kept."""
        return len(self.scale)

    def rows(self, rows: Rows, out: np.ndarray) -> None:
        """Write √w [X̃ ỹ] to `out` (m, p + 1); called on rows that fit the cache."""
        X = rows.X if self.kept.all() else rows.X[:, self.kept]
        if self.shift.any():
            np.subtract(X, self.shift, out=out[:, :-1])
        else:
            out[:, :-1] = X
        if (self.scale != 1.0).any():
            out[:, :-1] *= 1.0 / self.scale
        residual = out[:, :-1] @ (self.scale * self.beta0)
        np.subtract(rows.y, residual, out=residual)
        if rows.offset is not None:
            residual -= rows.offset
        residual -= self.shift @ self.beta0
        np.multiply(residual, 1.0 / self.y_scale, out=out[:, -1])
        if rows.weights is not None:
            out *= np.sqrt(rows.weights)[:, None]

    def columns(self, rows: Rows, terms: tuple[int, ...], block: int, out: np.ndarray) -> None:
        """Write √w Z̃ of a block to `out` (m, q); for loadings, what multiplies their rows (m, 1)."""
        root = self.roots[block]
        if rows.terms[terms[0]].codes is None:
            out[...] = root[0, 0]
        elif len(root) == 1:
            np.multiply(rows.terms[terms[0]].columns, root[0, 0], out=out)
        else:
            out[...] = _stack(rows, terms) @ root
        if rows.weights is not None:
            out *= np.sqrt(rows.weights)[:, None]

    def to_user(self) -> np.ndarray:
        """B with [X y − offset] = [X̃ ỹ] B over the kept columns, (p + 1, p + 1)."""
        out = np.diag(np.append(self.scale, self.y_scale))
        if self.constant >= 0:  # X_j = scale_j X̃_j + shift_j 1, and 1 = X_c / value
            out[self.constant, :-1] += self.scale[self.constant] / self.value * self.shift
        out[:-1, -1] = out[:-1, :-1] @ self.beta0
        return out


def refuse_if_explained(residual: float, chunks: Iterable[Rows], name: str) -> None:
    """Raise when the residual sum of squares is rounding of the response."""
    if not residual > 1e-20 * max(float(sum(_square(rows.response) for rows in chunks)), 1e-300):
        raise DataError(f"the fixed effects explain {name} exactly: no variance is left to estimate")


def _constant_column(chunks: Iterable[Rows]) -> tuple[int, float]:
    """Index and value of the first column that is one nonzero number; −1 and 1 when there is none."""
    left = None
    for rows in chunks:
        X = rows.X
        if left is None:
            left = {int(j): X[0, j] for j in np.flatnonzero((X[0] == X[-1]) & (X[0] != 0))} if len(X) else {}
        left = {j: value for j, value in left.items() if (X[:, j] == value).all()}
    for j, value in (left or {}).items():
        return j, float(value)
    return -1, 1.0


def _square(v: np.ndarray) -> float:
    return float(v @ v)


def _gram(chunks: Iterable[Rows], shift: np.ndarray, y_mean: float) -> np.ndarray:
    """[X − shift, y − offset − y_mean]'W[…], (p + 1, p + 1)."""
    out = np.zeros((len(shift) + 1,) * 2)
    for rows in chunks:
        quick = _quick_gram(rows, shift, y_mean) if rows.weights is None and rows.n > 4 * CHUNK else None
        out += sum(part.T @ part for part in _centred([rows], shift, y_mean)) if quick is None else quick
    return out


def _quick_gram(rows: Rows, shift: np.ndarray, y_mean: float) -> np.ndarray | None:
    """The same of one chunk without weights, in one product; None when digits would be lost."""
    n, p = rows.X.shape
    y = rows.response - y_mean
    out = np.empty((p + 1, p + 1))
    out[:-1, :-1], out[:-1, -1], out[-1, -1] = rows.X.T @ rows.X, rows.X.T @ y, y @ y
    raw, sums = np.diag(out).copy(), np.append(rows.X.sum(axis=0), y.sum())
    s = np.append(shift, 0.0)
    out[-1, :-1] = out[:-1, -1]
    out += n * np.outer(s, s) - np.outer(s, sums) - np.outer(sums, s)
    return out if (np.diag(out) > raw / (1 + MILD**2) / 2).all() else None  # little was taken away: nothing is lost


def _centred(chunks: Iterable[Rows], shift: np.ndarray, y_mean: float) -> Iterator[np.ndarray]:
    """√w [X − shift, y − offset − y_mean], in parts that fit the cache."""
    for chunk in chunks:
        for rows in chunk.chunks(CHUNK):
            out = np.empty((rows.n, len(shift) + 1))
            np.subtract(rows.X, shift, out=out[:, :-1])
            np.subtract(rows.response, y_mean, out=out[:, -1])
            if rows.weights is not None:
                out *= np.sqrt(rows.weights)[:, None]
            yield out


def _independent(chunks: Iterable[Rows], shift: np.ndarray, scale: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Which columns are not in the span of earlier ones, (p,) bool; `gram` has a unit diagonal.

    A Cholesky factor column by column. A pivot below 1e-10 may be rounding of the inner products, so there the column's
    residual is formed from the rows themselves and measured.
    """
    p = len(gram)
    kept = np.zeros(p, bool)
    for j in range(p):
        if not np.isfinite(scale[j]):
            continue
        S = np.flatnonzero(kept)
        coefficients = np.linalg.lstsq(gram[np.ix_(S, S)], gram[S, j], rcond=None)[0]
        pivot = gram[j, j] - gram[S, j] @ coefficients
        if pivot < 1e-10:
            pivot = 0.0
            correction = np.zeros(len(S))
            for _ in range(2):  # a step of refinement, then the measure
                step, pivot = np.zeros(len(S)), 0.0
                for rows in _centred(chunks, shift, 0.0):
                    residual = rows[:, j] / scale[j] - (rows[:, S] / scale[S]) @ (coefficients + correction)
                    step += (rows[:, S] / scale[S]).T @ residual
                    pivot += residual @ residual
                correction = correction + np.linalg.lstsq(gram[np.ix_(S, S)], step, rcond=None)[0]
        kept[j] = pivot > RANK_TOLERANCE**2
    return kept


def _stack(rows: Rows, terms: tuple[int, ...]) -> np.ndarray:
    """Columns of the terms side by side, (m, q)."""
    columns = [rows.terms[i].columns for i in terms]
    return columns[0] if len(columns) == 1 else np.hstack(columns)


def _whitening(design: Design, chunks: Iterable[Rows], terms: tuple[int, ...]) -> np.ndarray:
    """T (q, q), upper triangular within each term, with (Z T)'W(Z T)/n = I where the structure leaves G free."""
    roots = []
    n = sum(rows.n for rows in chunks)
    for i in terms:
        term = design.terms[i]
        gram = np.zeros((term.n_columns, term.n_columns))
        for chunk in chunks:
            for rows in chunk.chunks(n if term.loaded else CHUNK):
                gram += _weighted_gram(rows.terms[i], rows.weights)
        gram /= n
        scale = np.sqrt(np.diag(gram))
        if not (scale > 0).all():
            name = term.names[int(np.argmin(scale))]
            raise DataError(f"the column {name!r} of the random-effects term on {term.group!r} is all zero")
        roots.append(structure_called(term.structure).whiten(gram))
    return np.asarray(linalg.block_diag(*roots))


def _weighted_gram(term: TermRows, weights: np.ndarray | None) -> np.ndarray:
    """Σ_i w_i z_i z_i', (q, q)."""
    if weights is None:
        return term.gram
    if term.loadings is not None:
        return np.array([[float(term.loadings.multiply(term.loadings).sum(axis=1) @ weights)]])
    return (term.columns * weights[:, None]).T @ term.columns
