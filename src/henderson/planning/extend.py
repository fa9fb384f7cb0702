"""A study with more levels of a factor, or fewer: new levels copy the design of the levels that there are.

The levels of the factor are taken in an order in which any number of the first of them holds the kinds of levels (the
arms of a trial, the lists of a counterbalanced experiment) in their proportions; when all are used they are taken
again, as new levels. A factor that is nested in it (each of its levels lies in one level of the extended factor) gets
new levels with every copy; crossed ones are copied as they are. So are the series of a residual covariance, which may
be what is extended: more patients, each with the visits of one that there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.design import Design, RandomTerm
from henderson.contract.residual import ResidualRows, ResidualTerm
from henderson.contract.rows import Rows, TermRows
from henderson.design.residual_checks import check_repeated


@dataclass(frozen=True)
class Study:
    """A design and its rows; the response is of no meaning.

    Attributes
    ----------
    design : Design
    rows : Rows
    """

    design: Design
    rows: Rows

    @property
    def sizes(self) -> dict[str, int]:
        """Number of levels of each grouping factor, and of the series, along which it can be extended."""
        found = {term.group: term.n_levels for term in self.design.terms if not term.loaded}
        residual = self.design.residual
        return found if residual is None or not residual.group else {**found, residual.group: residual.n_series}

    def codes(self, factor: str) -> np.ndarray:
        """The level of each row of one of them, (n,)."""
        for own, term in zip(self.rows.terms, self.design.terms):
            if term.group == factor and own.codes is not None and not term.loaded:
                return own.codes
        assert self.rows.residual is not None
        return self.rows.residual.codes


def check_factor(study: Study, factor: str) -> None:
    """Raise a `ValueError` for a name that is no grouping factor of the model."""
    if study.design.group_called(factor) not in study.sizes:
        there = ", ".join(study.sizes) or "none that a study could be extended along"
        raise ValueError(f"sizes names {factor!r}, which is no grouping factor of the model; there are {there}")


def extended(study: Study, sizes: Mapping[str, int]) -> Study:
    """The study with these numbers of levels, one factor after another.

    Parameters
    ----------
    study : Study
    sizes : mapping of str to int
        Grouping factor → number of its levels.

    Raises
    ------
    ValueError
        For a name that is no grouping factor of the model.

    Examples
    --------
    >>> from henderson.design.without_response import design_without_response
    >>> study = Study(*design_without_response("y ~ x + (1 | g)", {"x": [0, 1, 0, 1], "g": list("aabb")}))
    >>> more = extended(study, {"g": 3})
    >>> more.rows.terms[0].codes.tolist(), more.rows.X[:, 1].tolist()
    ([0, 0, 1, 1, 2, 2], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    """
    for factor, size in sizes.items():
        check_factor(study, factor)
        factor = study.design.group_called(factor)
        if size != study.sizes[factor]:
            study = _along(study, factor, size)
    return study


def _along(study: Study, factor: str, size: int) -> Study:
    """The study with `size` levels of one factor."""
    design, rows = study.design, study.rows
    codes = study.codes(factor)
    n_levels = study.sizes[factor]
    taken = np.resize(proportional_order(kinds(study, factor, codes)), size)
    by_level = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes, minlength=n_levels))[:-1])
    position = np.concatenate([by_level[level] for level in taken])
    copy = np.repeat(np.arange(size) // n_levels, [len(by_level[level]) for level in taken])
    level = np.repeat(np.arange(size), [len(by_level[level]) for level in taken])
    labels: dict[str, pd.Index] = {}
    terms, own_rows = [], []
    for term, own in zip(design.terms, rows.terms):
        if not term.loaded and term.group == factor:
            known = labels.setdefault(factor, _copied(term.levels[taken], np.arange(size) // n_levels))
            terms.append(replace(term, levels=known))
            own_rows.append(TermRows(level, own.columns[position]))
            continue
        nested = own.owners(codes, term.n_levels) is not None
        copied, copied_rows = _copy_term(term, own, position, copy if nested else np.zeros_like(copy))
        if not term.loaded:  # terms on one factor have one index of levels
            copied = replace(copied, levels=labels.setdefault(term.group, copied.levels))
        terms.append(copied)
        own_rows.append(copied_rows)
    residual, series = _copy_series(study, factor, codes, position, copy, level)
    made = replace(
        rows[position],
        terms=tuple(own_rows),
        residual=series,
        index=pd.RangeIndex(len(position)),
        positions=None,
        groups=_regrouped(study, position, copy),
    )
    return Study(replace(design, terms=tuple(terms), n=len(position), n_missing=0, residual=residual), made)


def _copy_series(
    study: Study, factor: str, codes: np.ndarray, position: np.ndarray, copy: np.ndarray, level: np.ndarray
) -> tuple[ResidualTerm | None, ResidualRows | None]:
    """The series of the rows taken; those of every copy are its own where they are nested in what is extended.

    Raises
    ------
    DataError
        When a series would have two rows of one visit: it crosses the factor.
    """
    term, own = study.design.residual, study.rows.residual
    if term is None or own is None:
        return None, None
    if not term.group:
        every = np.arange(len(position))
        return replace(term, levels=pd.RangeIndex(len(position))), replace(own[position], codes=every)
    nested = TermRows(own.codes, np.ones((len(codes), 1))).owners(codes, term.n_series) is not None
    if term.group == factor:
        pairs, new = np.unique(level, return_inverse=True)
        taken = own.codes[position[np.unique(level, return_index=True)[1]]]
        labels = _copied(term.levels[taken], copy[np.unique(level, return_index=True)[1]])
    else:
        pairs, new = np.unique(own.codes[position] + term.n_series * copy * nested, return_inverse=True)
        labels = _copied(term.levels[pairs % term.n_series], pairs // term.n_series)
    made = replace(term, levels=labels), replace(own[position], codes=new.astype(np.intp))
    check_repeated(*made)
    return made


def _regrouped(study: Study, position: np.ndarray, copy: np.ndarray) -> np.ndarray | None:
    """The groups given beside the formula, new ones in every copy."""
    groups = study.rows.groups
    if groups is None:
        return None
    return np.unique(groups[position] * (copy.max() + 1) + copy, return_inverse=True)[1].astype(np.intp)


def _copy_term(term: RandomTerm, own: TermRows, position: np.ndarray, copy: np.ndarray) -> tuple[RandomTerm, TermRows]:
    """A term in the rows taken; the levels of every copy are its own."""
    if own.codes is not None:
        pairs, codes = np.unique(own.codes[position] + term.n_levels * copy, return_inverse=True)
        levels = _copied(term.levels[pairs % term.n_levels], pairs // term.n_levels)
        return replace(term, levels=levels), TermRows(codes.astype(np.intp), own.columns[position])
    entries = sparse.csr_array(own.given_loadings[position]).tocoo()
    at, column = entries.coords
    pairs, column = np.unique(column + term.n_levels * copy[at], return_inverse=True)
    loadings = sparse.csr_array((entries.data, (at, column)), shape=(len(position), len(pairs)))
    levels = _copied(term.levels[pairs % term.n_levels], pairs // term.n_levels)
    return replace(term, levels=levels), TermRows(None, own.columns[position], loadings)


def _copied(labels: pd.Index, copy: np.ndarray) -> pd.Index:
    """Labels of levels: those of the first copy stay, ``"308 (2)"`` is the second of 308."""
    if not copy.any():
        return labels
    return pd.Index([f"{label} ({k + 1})" if k else str(label) for label, k in zip(labels, copy)], dtype=object)


def kinds(study: Study, factor: str, codes: np.ndarray) -> np.ndarray:
    """Which levels of a factor have the same design: fixed effects and levels of crossed factors, (J,) int."""
    design, rows = study.design, study.rows
    sides = [np.asarray(rows.X, float)]
    if rows.residual is not None:
        sides += [rows.residual.where.reshape(rows.n, -1), *(own[:, None] for own in rows.residual.covariates)]
    for term, own in zip(design.terms, rows.terms):
        if term.group != factor and own.codes is not None and own.owners(codes, term.n_levels) is None:
            sides.append(own.codes[:, None].astype(float))
    _, kind_of_row = np.unique(np.hstack(sides), axis=0, return_inverse=True)
    order = np.lexsort((kind_of_row.ravel(), codes))
    split = np.split(kind_of_row.ravel()[order], np.cumsum(np.bincount(codes))[:-1])
    known: dict[bytes, int] = {}
    return np.array([known.setdefault(one.tobytes(), len(known)) for one in split])


def proportional_order(kind: np.ndarray) -> np.ndarray:
    """An order of levels in which the first of them, however many, have the kinds in their proportions.

    The r-th of c levels of a kind has its place at (r − ½)/c of the whole.

    Examples
    --------
    >>> proportional_order(np.array([0, 0, 0, 0, 1, 1])).tolist()
    [0, 4, 1, 2, 5, 3]
    """
    rank = np.empty(len(kind))
    for one in np.unique(kind):
        here = np.flatnonzero(kind == one)
        rank[here] = (np.arange(len(here)) + 0.5) / len(here)
    return np.argsort(rank, kind="stable")
