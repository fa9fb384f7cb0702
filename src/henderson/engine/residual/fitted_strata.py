"""Strata whose rows the effects can fit exactly, whatever the response is: case 1 of `bounded`.

Let the variances of a set of strata, of m rows in all, go to zero as ε², the random effects having covariances of some
rank, λ_kλ_k' of each term k; a term may have none. With X and Z the columns at those rows, those of effects times λ,

    d = m − rank Z of V's eigenvalues fall, and y'Py stays if rank [X Z] = m

so under ML −2 log L is 2d log ε: there is no maximum if rank [X Z] = m > rank Z. That is asked of λ without special
values, as a rank that some λ have almost all have, of

1. each stratum
2. sets of strata of few rows: strata are taken in turn, as long as all their rows stay independent in [X Z], and left
   out again as long as those that are kept are dependent in Z
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np
from scipy import sparse

from henderson.contract.rows import Rows
from henderson.engine.residual.model import BlockModel

FloatArray = np.ndarray

#: rows of a stratum, and of all that are taken together, up to which ranks with random effects are asked
MOST_ROWS = 200
#: combinations of the terms' ranks that are asked, and orders in which strata are taken
MOST_FACES, ORDERS = 64, 4
#: a singular value, the largest one, of columns that are dependent
DEPENDENT = 1e-9
#: strata that are named
MOST_NAMES = 4


@dataclass(frozen=True)
class Stratum:
    """Rows that have a residual variance of their own.

    Attributes
    ----------
    name : str
        ``"AVISIT 'VIS1' with ARMCD 'PBO'"``.
    rows : (m,) intp array
    """

    name: str
    rows: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """Strata that effects can fit.

    Attributes
    ----------
    strata : tuple of Stratum
    by : str
        ``"fixed"``, or ``"fixed and random"``.
    singular : tuple of str
        Terms whose covariance has to be singular.
    """

    strata: tuple[Stratum, ...]
    by: str
    singular: tuple[str, ...]

    def __str__(self) -> str:
        m, several = sum(len(one.rows) for one in self.strata), len(self.strata) > 1
        given = f", the covariance of {' and '.join(self.singular)} being singular" if self.singular else ""
        return (
            f"the likelihood has no maximum: the {self.by} effects can fit the {m} rows of "
            f"{some([one.name for one in self.strata])} exactly{given}, and it grows for ever as their "
            f"variance{'s go' if several else ' goes'} to zero"
        )


@dataclass(frozen=True)
class FittedStrata:
    """What is asked of strata.

    Attributes
    ----------
    model : BlockModel
    rows : Rows
    X : (n, p) array
        Of the working basis, times √w.
    strata : tuple of Stratum
    """

    model: BlockModel
    rows: Rows
    X: FloatArray
    strata: tuple[Stratum, ...]

    def found(self) -> Iterator[Fitted]:
        """Single strata, then sets of them."""
        most = MOST_ROWS if self.model.layouts else self.model.p
        few = sorted((one for one in self.strata if len(one.rows) <= most), key=lambda one: len(one.rows))
        for face in self.faces:
            for one in few:
                X, Z = self._at([one], face)
                if len(X) <= X.shape[1] + Z.shape[1] and len(X) == rank(np.hstack([X, Z])) > rank(Z):
                    yield self._said([one], face)
        together = int((np.cumsum([len(one.rows) for one in few]) <= MOST_ROWS).sum())
        for face in self.faces[1:] if together > 1 else ():
            if sets := self._together(few[:together], face):
                yield self._said(sets, face)

    @cached_property
    def faces(self) -> list[tuple[FloatArray, ...]]:
        """λ of each term, (q, r), r zero where its effects have no variance."""
        of_terms = [[np.zeros((own.q, 0)), *own.structures[0].of_ranks(own.q)] for own in self.model.layouts]
        if np.prod([len(own) for own in of_terms], dtype=float) <= MOST_FACES:
            return list(product(*of_terms))
        return [tuple(own[k] for own in of_terms) for k in (0, -1)]

    @cached_property
    def _columns(self) -> dict[tuple[int, int], sparse.csr_array]:
        """Of a term and r: Z times λ, times √w, (n, J r)."""
        return {}

    def _at(self, strata: Sequence[Stratum], face: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
        """X and Z at the rows of strata, without columns of zeros."""
        rows = np.concatenate([one.rows for one in strata])
        found = [np.zeros((len(rows), 0))]
        for k, lam in enumerate(face):
            if lam.shape[1]:
                Z = self._effects(k, lam)[rows]
                found.append(Z[:, np.unique(Z.indices)].toarray())
        return self.X[rows], np.hstack(found)

    def _effects(self, k: int, lam: FloatArray) -> sparse.csr_array:
        """Of all rows: Z of a term in the working basis times λ, times √w, (n, J r)."""
        key = (k, id(lam))
        if key not in self._columns:
            Z = self.rows.terms[k].turned(self.model.roots[k] @ lam).matrix(self.model.design.terms[k].n_levels)
            self._columns[key] = sparse.csr_array(Z * np.sqrt(self.rows.unit_weights)[:, None])
        return self._columns[key]

    def _together(self, strata: Sequence[Stratum], face: tuple[FloatArray, ...]) -> list[Stratum]:
        """Strata whose rows X and Z fit together, and Z alone does not; none where they have not been found."""
        X, Z = self._at(strata, face)
        if rank(both := np.hstack([X, Z])) == rank(Z):
            return []
        ends = np.cumsum([0, *(len(one.rows) for one in strata)])
        own = [np.arange(start, stop) for start, stop in pairwise(ends)]
        for first in range(min(ORDERS, len(own))):
            kept: list[int] = []
            for i in (*range(first, len(own)), *range(first)):
                at = np.concatenate([own[k] for k in (*kept, i)])
                if len(at) <= both.shape[1] and rank(both[at]) == len(at):
                    kept.append(i)
                    if rank(Z[at]) < len(at):
                        return [strata[k] for k in _least(kept, own, Z)]
        return []

    def _said(self, strata: Sequence[Stratum], face: tuple[FloatArray, ...]) -> Fitted:
        terms, layouts = self.model.design.terms, self.model.layouts
        singular = [
            term.label or term.group
            for term, layout, lam in zip(terms, layouts, face)
            if 0 < lam.shape[1] < layout.structures[0].rank(layout.q)
        ]
        by = "fixed and random" if any(lam.shape[1] for lam in face) else "fixed"
        return Fitted(tuple(strata), by, tuple(singular))


def _least(kept: Sequence[int], own: Sequence[np.ndarray], Z: FloatArray) -> list[int]:
    """Those of the strata that are kept without which the others' rows, `own`, are not dependent in Z."""
    left = list(kept)
    for i in kept:
        others = [k for k in left if k != i]
        at = np.concatenate([np.zeros(0, np.intp), *(own[k] for k in others)])
        if rank(Z[at]) < len(at):
            left = others
    return sorted(left)


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return "; ".join(names[:MOST_NAMES]) + (f"; and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


def rank(X: FloatArray) -> int:
    """Rank, each column in its own unit."""
    size = np.sqrt((X**2).sum(axis=0))
    if not size.any():
        return 0
    values = np.linalg.svd(X[:, size > 0] / size[size > 0], compute_uv=False)
    return int((values > DEPENDENT * values.max(initial=0.0)).sum())
