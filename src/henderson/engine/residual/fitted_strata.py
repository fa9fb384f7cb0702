"""Strata whose rows the effects can fit exactly, whatever the response is: case 1 of `bounded`.

Let the variances of a set of strata, of m rows in all, go to zero as ε², the random effects having covariances of some
rank, λ_kλ_k' of each term k; a term may have none. With X and Z the columns at those rows, those of effects times λ,

    d = m − rank Z of V's eigenvalues fall, and y'Py stays if rank [X Z] = m

so under ML −2 log L is 2d log ε: there is no maximum if rank [X Z] = m > rank Z. That is asked of λ without special
values, as a rank that some λ have almost all have, of

1. each stratum
2. sets of strata of few rows: strata are taken in turn, as long as all their rows stay independent in [X Z], and left
   out again as long as those that are kept are dependent in Z

Of a singular λλ' the direction is free, too: if rank [X Z] = m − 1, there may be one at which y lies in the span at
those rows. It is one at which det [X Z y] changes its sign. d is then k + 1, k = rank [X Z] − rank Z being what
X'V⁻¹X gains, so there is no maximum under REML either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations, pairwise, product

import numpy as np
from scipy import sparse
from scipy.linalg import qr

from henderson.contract.rows import Rows
from henderson.engine.residual.model import BlockModel

FloatArray = np.ndarray

#: rows of a stratum, and of all that are taken together, up to which ranks with random effects are asked
MOST_ROWS = 200
#: combinations of the terms' ranks that are asked, and orders in which strata are taken
MOST_FACES, ORDERS = 64, 4
#: a singular value, the largest one, of columns that are dependent
DEPENDENT = 1e-9
#: angles at which a determinant is looked at, halvings of the distance between two; what is left of responses that are
#: fitted, and a singular value of columns that are all but dependent
ANGLES, HALVINGS, NEARLY = 33, 45, 1e-6
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
        """Single strata, then sets of them, that are fitted whatever the response is."""
        few = self._of_few_rows
        for face in self.faces:
            for one in few:
                if self._may_fit([one], face, 0) and (at := self._at([one], face)).m == rank(at.both) > rank(at.Z):
                    yield self._said([one], face)
        for face in self.faces[1:]:
            if sets := self._together(few, face):
                yield self._said(sets, face)

    def met(self, y: FloatArray) -> Iterator[Fitted]:
        """The same where it takes a direction of a singular covariance that is made for the response, (n,)."""
        for face in self.faces:
            free = [k for k in self._singular(face) if self.model.layouts[k].structures[0].any_order]
            if free and (sets := self._meeting(face, y, free)):
                yield self._said(sets, face)

    @cached_property
    def faces(self) -> list[tuple[FloatArray, ...]]:
        """λ of each term, (q, r), r zero where its effects have no variance."""
        of_terms = [[np.zeros((own.q, 0)), *own.structures[0].of_ranks(own.q)] for own in self.model.layouts]
        if np.prod([len(own) for own in of_terms], dtype=float) <= MOST_FACES:
            return list(product(*of_terms))
        return [tuple(own[k] for own in of_terms) for k in (0, -1)]

    @cached_property
    def _of_few_rows(self) -> list[Stratum]:
        """The smallest first."""
        most = MOST_ROWS if self.model.layouts else self.model.p
        return sorted((one for one in self.strata if len(one.rows) <= most), key=lambda one: len(one.rows))

    @cached_property
    def _effects(self) -> list[sparse.csr_array]:
        """Of each term: Z in the working basis, times √w, (n, J q)."""
        root = np.sqrt(self.rows.unit_weights)[:, None]
        terms = zip(self.model.design.terms, self.rows.terms, self.model.roots)
        return [sparse.csr_array(own.turned(T).matrix(term.n_levels) * root) for term, own, T in terms]

    def _at(self, strata: Sequence[Stratum], face: tuple[FloatArray, ...]) -> Place:
        rows, loads = _joined(strata), []
        for Z, lam in zip(self._effects, face):
            q = len(lam)
            if lam.shape[1]:
                own = Z[rows]
                columns = (np.unique(own.indices // q)[:, None] * q + np.arange(q)).ravel()
                loads.append(own[:, columns].toarray().reshape(len(rows), -1, q))
            else:
                loads.append(np.zeros((len(rows), 0, q)))
        return Place(self.X[rows], tuple(loads), face)

    def _may_fit(self, strata: Sequence[Stratum], face: tuple[FloatArray, ...], more: int) -> bool:
        """Whether X and Z have columns enough for all rows but `more` of the first two strata, or of the only one, and
        Z not a level for each row of all."""
        rows, columns = _joined(strata), self.X.shape[1] + more
        for term, own, lam in zip(self.model.design.terms, self.rows.terms, face):
            if not lam.shape[1]:
                continue
            levels = term.n_levels if own.codes is None else len(np.unique(own.codes[rows]))
            if own.codes is not None and levels == len(rows) and own.columns[rows].any(axis=1).all():
                return False
            columns += levels * lam.shape[1]
        return len(_joined(strata[:2])) <= columns

    def _together(self, strata: Sequence[Stratum], face: tuple[FloatArray, ...]) -> list[Stratum]:
        """Strata whose rows X and Z fit together, and Z alone does not; none where they have not been found."""
        strata = _up_to(strata)
        if len(strata) < 2 or not self._may_fit(strata, face, 0):
            return []
        at = self._at(strata, face)
        Z, both = at.Z, at.both
        if rank(both) == rank(Z):
            return []
        own = _places(strata)
        for first in range(min(ORDERS, len(own))):
            kept: list[int] = []
            for i in (*range(first, len(own)), *range(first)):
                here = np.concatenate([own[k] for k in (*kept, i)])
                if len(here) <= both.shape[1] and rank(both[here]) == len(here):
                    kept.append(i)
                    if rank(Z[here]) < len(here):
                        return [strata[k] for k in _least(kept, own, Z)]
        return []

    def _meeting(self, face: tuple[FloatArray, ...], y: FloatArray, free: Sequence[int]) -> list[Stratum]:
        """Strata of one row more than X and Z fit, whose responses they fit at some λ like those of the face."""
        few = self._of_few_rows
        for one in few:
            if not self._may_fit([one], face, 1):
                continue
            at = self._at([one], face)
            if at.m == rank(at.both) + 1 and at.meets(y[one.rows], free):
                return [one]
        strata = _up_to(few)
        if len(strata) < 2 or not self._may_fit(strata, face, 1):
            return []
        own, at = _places(strata), self._at(strata, face)
        for first in range(min(ORDERS, len(own))):
            kept: list[int] = []
            for i in (*range(first, len(own)), *range(first)):
                here = np.concatenate([own[k] for k in (*kept, i)])
                lacking = len(here) - rank(at.both[here])
                if lacking == 0:
                    kept.append(i)
                elif lacking == 1:
                    sets = [strata[k] for k in _least([*kept, i], own, at.both)]
                    if self._at(sets, face).meets(y[_joined(sets)], free):
                        return sets
        return []

    def _singular(self, face: tuple[FloatArray, ...]) -> list[int]:
        """Terms whose λ has fewer columns than it may have."""
        layouts = self.model.layouts
        return [k for k, lam in enumerate(face) if 0 < lam.shape[1] < layouts[k].structures[0].rank(layouts[k].q)]

    def _said(self, strata: Sequence[Stratum], face: tuple[FloatArray, ...]) -> Fitted:
        terms = self.model.design.terms
        by = "fixed and random" if any(lam.shape[1] for lam in face) else "fixed"
        return Fitted(tuple(strata), by, tuple(terms[k].label or terms[k].group for k in self._singular(face)))


@dataclass(frozen=True)
class Place:
    """Columns at some rows.

    Attributes
    ----------
    X : (m, p) array
    loads : tuple of (m, J, q) arrays
        Of each term, of the levels that the rows have.
    face : tuple of (q, r) arrays
        λ of each term.
    """

    X: FloatArray
    loads: tuple[FloatArray, ...]
    face: tuple[FloatArray, ...]

    @property
    def m(self) -> int:
        """Rows."""
        return len(self.X)

    @cached_property
    def Z(self) -> FloatArray:
        """Columns of the effects times λ, (m, Σ J r)."""
        parts = [(load @ lam).reshape(self.m, -1) for load, lam in zip(self.loads, self.face)]
        return np.hstack([np.zeros((self.m, 0)), *parts])

    @cached_property
    def both(self) -> FloatArray:
        """[X Z]."""
        return np.hstack([self.X, self.Z])

    def meets(self, y: FloatArray, free: Sequence[int]) -> bool:
        """Whether [X Z], of rank m − 1, fits y at some λ on a way around: its determinant with y changes its sign.

        `free`: terms whose λ may be turned.
        """
        size = np.linalg.norm(self.both, axis=0)
        pick = qr(self.both / np.where(size > 0, size, 1.0), mode="r", pivoting=True)[1][: self.m - 1]

        def columns(k: int, plane: tuple[int, int], t: float) -> FloatArray:
            return self._turned(k, plane, t).both[:, pick]

        ways = [(k, plane) for k in free for plane in combinations(range(len(self.face[k])), 2)]
        return any(_is_fitted(partial(columns, *way), y) for way in ways)

    def _turned(self, k: int, plane: tuple[int, int], t: float) -> Place:
        """With λ of a term turned by an angle in a plane of effects."""
        lam, (a, b) = self.face[k].copy(), plane
        lam[[a, b]] = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) @ lam[[a, b]]
        return replace(self, face=(*self.face[:k], lam, *self.face[k + 1 :]))


def _is_fitted(columns: Callable[[float], FloatArray], y: FloatArray) -> bool:
    """Whether y (m,) lies in the span of columns (m, m − 1) at some angle where these are independent."""

    def sign(t: float) -> float:
        return float(np.linalg.slogdet(np.column_stack([columns(t), y]))[0])

    angles = np.linspace(0.0, np.pi, ANGLES)
    signs = np.array([sign(t) for t in angles])
    for i in np.flatnonzero(signs[1:] * signs[:-1] < 0):
        low, high = angles[i], angles[i + 1]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if sign(middle) == signs[i] else (low, middle)
        C = columns(low)
        C = C / np.linalg.norm(C, axis=0)
        left = y - C @ np.linalg.lstsq(C, y, rcond=NEARLY)[0]
        if np.linalg.norm(left) < NEARLY * np.linalg.norm(y):
            return True
    return False


def _up_to(strata: Sequence[Stratum]) -> Sequence[Stratum]:
    """The first, of no more than MOST_ROWS rows."""
    return strata[: int((np.cumsum([len(one.rows) for one in strata]) <= MOST_ROWS).sum())]


def _joined(strata: Sequence[Stratum]) -> np.ndarray:
    """Rows of strata."""
    return np.concatenate([one.rows for one in strata])


def _places(strata: Sequence[Stratum]) -> list[np.ndarray]:
    """Where the rows of each are among those of all."""
    ends = np.cumsum([0, *(len(one.rows) for one in strata)])
    return [np.arange(start, stop) for start, stop in pairwise(ends)]


def _least(kept: Sequence[int], own: Sequence[np.ndarray], Z: FloatArray) -> list[int]:
    """Those of the strata that are kept without which the others' rows, `own`, are not dependent in Z any more."""
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
