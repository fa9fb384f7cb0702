"""The fixed part with a column for every combination of levels, and what that says about the user's own columns.

Types II and III of the analysis of variance are defined in the parameters β* of the *full* (overparametrised) coding,
in which each level of a factor has a column. X (n, p) in the user's contrasts and X* (n, P) span the same space, X* =
X D, so an estimable l*β* is the row r of the user's coefficients with l* = r D. D follows from the coding
alone: it is found on made-up rows, a few for each combination of levels that a term knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from henderson.formula.coding import Part, fill
from henderson.formula.evaluate import FactorSpec, Values

FloatArray = np.ndarray


@dataclass(frozen=True)
class Term:
    """A term of the fixed part.

    Attributes
    ----------
    name : str
    columns : (k,) int array
        Its columns in X.
    categorical, numeric : frozensets of str
        Its factors.
    """

    name: str
    columns: FloatArray
    categorical: frozenset[str]
    numeric: frozenset[str]

    def contains(self, other: Term) -> bool:
        """Whether `other` has the same covariates and some of the factors, not all: SAS's containment."""
        return self.numeric == other.numeric and other.categorical < self.categorical


@dataclass(frozen=True)
class FullCoding:
    """The columns X* with a dummy for every level of every factor, from the model's X, which leaves some out.

    Attributes
    ----------
    matrix : (p, P) array
        D, X* = X D.
    columns : tuple of int arrays
        Columns of X* of each term, those without a first level in them first.
    """

    matrix: FloatArray
    columns: tuple[FloatArray, ...]


def terms_of_part(part: Part) -> tuple[Term, ...]:
    """The terms of a fixed part, the intercept left out."""
    out = []
    for term, place in zip(part.terms, part.slices):
        if term:
            categorical = frozenset(expr for expr in term if _is_categorical(part.factors[expr]))
            columns = np.arange(place.start, place.stop)
            out.append(Term(":".join(term), columns, categorical, frozenset(term) - categorical))
    return tuple(out)


def terms_of_columns(names: Sequence[str], constant: FloatArray) -> tuple[Term, ...]:
    """Each column that is not constant is a term: for models given as arrays."""
    return tuple(
        Term(name, np.array([j]), frozenset(), frozenset([name])) for j, name in enumerate(names) if not constant[j]
    )


def _is_categorical(spec: FactorSpec) -> bool:
    return spec.levels is not None


def full_coding(part: Part) -> FullCoding:
    """D and the columns of the full coding."""
    pieces, columns, total = [], [], 0
    for term in part.terms:
        pieces.append((tuple((expr, True) for expr in term),))
        sizes = [len(part.factors[expr].names) for expr in term]
        # `fill` lets the first factor vary fastest
        cells = np.array([cell[::-1] for cell in product(*(range(size) for size in reversed(sizes)))], int)
        cells = cells.reshape(int(np.prod(sizes)), len(term))
        first = [_is_categorical(part.factors[expr]) for expr in term]
        touches_first = ((cells == 0) & np.array(first, bool)).any(axis=1)
        if term:
            columns.append(total + np.argsort(touches_first, kind="stable"))
        total += len(cells)
    full = Part(part.terms, tuple(pieces), tuple(map(str, range(total))), (), part.factors)
    values, n = made_up_rows(part)
    own = fill(part, values, np.empty((n, len(part.names))))
    wanted = fill(full, values, np.empty((n, total)))
    matrix, *_ = np.linalg.lstsq(own, wanted, rcond=1e-10)
    matrix[np.abs(matrix) < 1e-11] = 0.0
    return FullCoding(matrix, tuple(columns))


def made_up_rows(part: Part) -> tuple[dict[str, Values], int]:
    """Values of every factor on rows that tell all columns apart: all cells of each term, covariates varied."""
    factors = part.factors
    categorical = [expr for expr in factors if _is_categorical(factors[expr])]
    numeric = [expr for expr in factors if expr not in categorical]
    cells = {(0,) * len(categorical)}
    for term in part.terms:
        levels = [range(len(factors[expr].names)) if expr in term else (0,) for expr in categorical]
        cells.update(product(*levels))
    sets = {tuple(expr for expr in term if expr in numeric) for term in part.terms}
    repeats = sum(int(np.prod([_width(factors[expr]) for expr in one])) for one in sets) + (1 if numeric else 0)
    codes = np.repeat(np.array(sorted(cells), int).reshape(len(cells), -1), repeats, axis=0)
    n = len(codes)
    values = {expr: Values(codes=codes[:, j]) for j, expr in enumerate(categorical)}
    generator = np.random.default_rng(20)
    for expr in numeric:
        values[expr] = Values(tuple(generator.uniform(-1.0, 1.0, (_width(factors[expr]), n))))
    return values, n


def _width(spec: FactorSpec) -> int:
    return len(spec.names)
