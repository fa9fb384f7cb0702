"""Small random designs of every shape that the engine treats in its own way."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.design import Design, RandomTerm
from henderson.contract.rows import Rows, TermRows
from reference import Data

N = 120


Term = tuple[RandomTerm, TermRows]


def term(group: str, codes: np.ndarray, *columns: np.ndarray, structure: str = "unstructured") -> Term:
    """A term on the levels that occur, and its rows."""
    levels, codes = np.unique(codes, return_inverse=True)
    names = tuple(f"c{i}" for i in range(len(columns)))
    rows = TermRows(codes.astype(np.intp), np.column_stack(columns))
    return RandomTerm(group, pd.Index(levels), names, structure), rows


def loading(Z: sparse.csr_array) -> Term:
    """A component with one variance on whose effects a row loads several times."""
    rows = TermRows(None, np.zeros((Z.shape[0], 0)), sparse.csr_array(Z))
    return RandomTerm("m", pd.RangeIndex(Z.shape[1]), ("m",), "identity", loaded=True), rows


def _terms(kind: str, rng: np.random.Generator, x: np.ndarray) -> tuple[Term, ...]:
    one, z = np.ones(N), rng.normal(size=N)
    a, b, c = rng.integers(0, 12, N), rng.integers(0, 7, N), rng.integers(0, 5, N)
    fine = np.arange(N) // 4
    if kind == "intercepts":
        return (term("a", a, one),)
    if kind == "slopes":
        return (term("a", a, one, x),)
    if kind == "crossed":
        return term("a", a, one), term("b", b, one)
    if kind == "crossed slopes":
        return term("a", a, one, x), term("b", b, one, z, x)
    if kind == "nested":
        return term("fine", fine, one), term("coarse", fine // 3, one)
    if kind == "nested slopes":
        return term("fine", fine, one, x), term("coarse", fine // 3, one, z)
    if kind == "three levels":
        return term("fine", fine, one), term("coarse", fine // 3, one, x), term("top", fine // 6, one)
    if kind == "one factor twice":
        return term("a", a, one), term("a", a, x), term("b", b, one, x, structure="diagonal")
    if kind == "three crossed":
        return term("a", a, one), term("b", b, one), term("c", c, one, x)
    if kind == "loadings":
        return term("a", a, one), loading(sparse.random_array((N, 10), density=0.3, random_state=rng, format="csr"))
    if kind == "only loadings":
        Z, group = np.zeros((N, 20)), np.arange(N) // 12
        Z[np.arange(N), 2 * group], Z[np.arange(N), 2 * group + 1] = rng.normal(size=(2, N))
        return (loading(sparse.csr_array(Z)),)
    raise KeyError(kind)


KINDS = (
    "intercepts",
    "slopes",
    "crossed",
    "crossed slopes",
    "nested",
    "nested slopes",
    "three levels",
    "one factor twice",
    "three crossed",
    "loadings",
    "only loadings",
)


def design(kind: str, *, seed: int = 0, weighted: bool = False) -> Data:
    """A design and its N rows with three columns in X and an offset."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    x = rng.normal(size=N)
    X = np.column_stack([np.ones(N), x, 30 + rng.normal(size=N)])
    terms = _terms(kind, rng, x)
    y = X @ [1, 2, 0] + rng.normal(size=N) + rng.normal(size=30)[np.arange(N) // 4] + 5
    weights = np.exp(0.3 * rng.normal(size=N)) if weighted else None
    rows = Rows(y, X, tuple(own for _, own in terms), weights, rng.normal(size=N))
    names = ("Intercept", "x", "w")
    return Data(Design(tuple(one for one, _ in terms), names, "y", N, weighted=weighted, has_offset=True), rows)
