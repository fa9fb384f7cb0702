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

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from henderson.contract.design import Design
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
    def of(cls, design: Design, blocks: Blocks) -> Basis:
        """The basis of a design: two passes over X and y, one over the columns of Z."""
        X, y = design.X, design.y if design.offset is None else design.y - design.offset
        constant = _constant_column(X)
        shift = np.zeros(X.shape[1])
        if constant >= 0:
            shift = X.mean(axis=0)
            shift[constant] = 0.0
        y_mean = float(y.mean()) if constant >= 0 else 0.0
        gram = _gram(design, shift, y - y_mean)
        norms = np.sqrt(np.diag(gram))
        floor = 1e-13 * (np.sqrt(len(X)) * np.abs(shift) + norms[:-1])
        scale = np.append(np.where(norms[:-1] > floor, norms[:-1], np.inf), 1.0)
        gram = gram / np.outer(scale, scale)
        kept = _independent(design, shift, scale[:-1], gram[:-1, :-1])
        solution = np.linalg.solve(gram[:-1, :-1][np.ix_(kept, kept)], gram[:-1, -1][kept]) / scale[:-1][kept]
        residual = gram[-1, -1] - gram[:-1, -1][kept] @ (solution * scale[:-1][kept])
        if not residual > 1e-20 * max(float(y @ y), 1e-300):
            raise DataError(f"the fixed effects explain {design.y_name} exactly: no variance is left to estimate")
        root_n = np.sqrt(len(y))
        index = int(np.flatnonzero(np.flatnonzero(kept) == constant)[0]) if constant >= 0 and kept[constant] else -1
        if index >= 0:
            solution[index] += (y_mean - shift[kept] @ solution) / X[0, constant]
        rms = scale[:-1][kept] / root_n
        shift = np.where(np.abs(shift[kept]) > MILD * rms, shift[kept], 0.0)
        rms = np.where((rms > 1e-50) & (rms < 1e50), 1.0, rms)
        return cls(
            kept,
            shift,
            rms,
            index,
            float(X[0, constant]) if index >= 0 else 1.0,
            solution,
            float(np.sqrt(residual / len(y))),
            tuple(_whitening(design, block.terms) for block in blocks.blocks),
        )

    @property
    def p(self) -> int:
        """Columns of X kept."""
        return len(self.scale)

    def rows(self, design: Design, part: slice, out: np.ndarray) -> None:
        """Write √w [X̃ ỹ] of some rows to `out` (m, p + 1); called on parts that fit the cache."""
        X = design.X[part] if self.kept.all() else design.X[part][:, self.kept]
        if self.shift.any():
            np.subtract(X, self.shift, out=out[:, :-1])
        else:
            out[:, :-1] = X
        if (self.scale != 1.0).any():
            out[:, :-1] *= 1.0 / self.scale
        residual = out[:, :-1] @ (self.scale * self.beta0)
        np.subtract(design.y[part], residual, out=residual)
        if design.offset is not None:
            residual -= design.offset[part]
        residual -= self.shift @ self.beta0
        np.multiply(residual, 1.0 / self.y_scale, out=out[:, -1])
        if design.weights is not None:
            out *= np.sqrt(design.weights[part])[:, None]

    def columns(self, design: Design, terms: tuple[int, ...], block: int, part: slice, out: np.ndarray) -> None:
        """Write √w Z̃ of some rows of a block to `out` (m, q); for loadings, what multiplies their rows (m, 1)."""
        root = self.roots[block]
        if design.terms[terms[0]].codes is None:
            out[...] = root[0, 0]
        elif len(root) == 1:
            np.multiply(design.terms[terms[0]].columns[part], root[0, 0], out=out)
        else:
            out[...] = _stack(design, terms, part) @ root
        if design.weights is not None:
            out *= np.sqrt(design.weights[part])[:, None]

    def to_user(self) -> np.ndarray:
        """B with [X y − offset] = [X̃ ỹ] B over the kept columns, (p + 1, p + 1)."""
        out = np.diag(np.append(self.scale, self.y_scale))
        if self.constant >= 0:  # X_j = scale_j X̃_j + shift_j 1, and 1 = X_c / value
            out[self.constant, :-1] += self.scale[self.constant] / self.value * self.shift
        out[:-1, -1] = out[:-1, :-1] @ self.beta0
        return out


def _constant_column(X: np.ndarray) -> int:
    """Index of the first column that is one nonzero number, or −1."""
    if not len(X):
        return -1
    for j in np.flatnonzero((X[0] == X[-1]) & (X[0] != 0)):
        if (X[:, j] == X[0, j]).all():
            return int(j)
    return -1


def _gram(design: Design, shift: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[X − shift, y]'W[X − shift, y], (p + 1, p + 1)."""
    n, p = design.X.shape
    if design.weights is None and n > 4 * CHUNK:
        out = np.empty((p + 1, p + 1))
        out[:-1, :-1], out[:-1, -1], out[-1, -1] = design.X.T @ design.X, design.X.T @ y, y @ y
        raw, sums = np.diag(out).copy(), np.append(design.X.sum(axis=0), y.sum())
        s = np.append(shift, 0.0)
        out[-1, :-1] = out[:-1, -1]
        out += n * np.outer(s, s) - np.outer(s, sums) - np.outer(sums, s)
        if (np.diag(out) > raw / (1 + MILD**2) / 2).all():  # little was taken away: nothing is lost
            return out
    return sum(rows.T @ rows for rows in _centred(design, shift, y))


def _centred(design: Design, shift: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """√w [X − shift, y], in chunks."""
    for start in range(0, len(y), CHUNK):
        part = slice(start, start + CHUNK)
        rows = np.empty((len(y[part]), len(shift) + 1))
        np.subtract(design.X[part], shift, out=rows[:, :-1])
        rows[:, -1] = y[part]
        if design.weights is not None:
            rows *= np.sqrt(design.weights[part])[:, None]
        yield rows


def _independent(design: Design, shift: np.ndarray, scale: np.ndarray, gram: np.ndarray) -> np.ndarray:
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
            zero = np.zeros(len(design.y))
            for _ in range(2):  # a step of refinement, then the measure
                step, pivot = np.zeros(len(S)), 0.0
                for rows in _centred(design, shift, zero):
                    residual = rows[:, j] / scale[j] - (rows[:, S] / scale[S]) @ (coefficients + correction)
                    step += (rows[:, S] / scale[S]).T @ residual
                    pivot += residual @ residual
                correction = correction + np.linalg.lstsq(gram[np.ix_(S, S)], step, rcond=None)[0]
        kept[j] = pivot > RANK_TOLERANCE**2
    return kept


def _stack(design: Design, terms: tuple[int, ...], part: slice) -> np.ndarray:
    """Columns of the terms side by side, (m, q)."""
    columns = [design.terms[i].columns[part] for i in terms]
    return columns[0] if len(columns) == 1 else np.hstack(columns)


def _whitening(design: Design, terms: tuple[int, ...]) -> np.ndarray:
    """T (q, q), upper triangular within each term, with (Z T)'W(Z T)/n = I where the structure leaves G free."""
    roots = []
    for i in terms:
        term = design.terms[i]
        if term.loadings is not None:
            squares = term.loadings.multiply(term.loadings).sum(axis=1)
            mean_square = np.average(squares) if design.weights is None else np.mean(design.weights * squares)
            roots.append(np.full((1, 1), 1 / np.sqrt(mean_square)))
            continue
        gram = np.zeros((term.n_columns, term.n_columns))
        for start in range(0, len(design.y), CHUNK):
            part = slice(start, start + CHUNK)
            Z = term.columns[part]
            gram += (Z if design.weights is None else Z * design.weights[part, None]).T @ Z
        gram /= len(design.y)
        scale = np.sqrt(np.diag(gram))
        if not (scale > 0).all():
            name = term.names[int(np.argmin(scale))]
            raise DataError(f"the column {name!r} of the random-effects term on {term.group!r} is all zero")
        roots.append(structure_called(term.structure).whiten(gram))
    return np.asarray(block_diag(*roots))
