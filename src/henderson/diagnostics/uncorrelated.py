"""The same random effects without correlations, in terms that a formula can say.

A bar of covariates, ``(1 + x | g)``, keeps its columns and loses the correlations: ``(1 + x || g)``. What is left of a
factor's covariances without correlations depends on its contrasts, so ``(f | g)`` becomes ``(1 | g) + (1 | g:f)``, one
variance for all differences between its levels, and ``(x:f | g)`` becomes ``(0 + x | g:f)``. Both are nested in what
they come from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from henderson.contract.design import Design, RandomTerm
from henderson.contract.rows import Rows, TermRows
from henderson.design.intercept import intercept_at
from henderson.design.random_terms import RandomSpec
from henderson.formula.coding import Part


@dataclass(frozen=True)
class _Scalar:
    """(column | g:factors): one term of what a bar falls into."""

    factors: tuple[str, ...]
    covariate: tuple[str, ...]


def without_correlations(design: Design, rows: Rows) -> tuple[Design, Rows] | None:
    """A design and its rows, each term of a bar with a variance of its own; None where there are no correlations.

    Parameters
    ----------
    design : Design
    rows : Rows
    """
    terms: list[RandomTerm] = []
    loads: list[TermRows] = []
    specs: list[object] = []
    changed = False
    for k, (term, own) in enumerate(zip(design.terms, rows.terms)):
        spec = design.specs.random[k] if design.specs is not None else None
        part = spec.part if isinstance(spec, RandomSpec) else None
        if term.structure != "unstructured" or term.n_columns == 1:
            made = [(term, own, spec)]
        elif part is None or not _factors(part):
            made, changed = [(replace(term, structure="diagonal"), own, spec)], True
        elif (apart := _apart(term, own, part)) is not None:
            made, changed = [(one, load, None) for one, load in apart], True
        else:
            made = [(term, own, spec)]
        for one, load, its in made:
            if not any(_same(one, load, other, its_load) for other, its_load in zip(terms, loads)):
                terms.append(one)
                loads.append(load)
                specs.append(its)
    if not changed:
        return None
    less = replace(design, terms=tuple(terms))
    if design.specs is not None:
        less = replace(less, specs=replace(design.specs, random=tuple(specs)))
    return less, replace(rows, terms=tuple(loads))


def _factors(part: Part) -> set[str]:
    """Expressions that are factors."""
    return {expr for term in part.terms for expr in term if part.factors[expr].levels is not None}


def _same(one: RandomTerm, load: TermRows, other: RandomTerm, its_load: TermRows) -> bool:
    """Whether two terms are the same effects: ``(f | g)`` beside ``(1 | g)`` brings another ``(1 | g)``."""
    return one.group == other.group and one.names == other.names and load.columns.shape == its_load.columns.shape


def _apart(term: RandomTerm, own: TermRows, part: Part) -> list[tuple[RandomTerm, TermRows]] | None:
    """A term with factors as scalar terms; None where a covariate's column is not among its own."""
    assert own.codes is not None
    factors = _factors(part)
    wanted = [_Scalar((), ())]
    for names in part.terms:
        inside = tuple(name for name in names if name in factors)
        wanted.append(_Scalar(inside, tuple(name for name in names if name not in factors)))
    out = []
    for one in dict.fromkeys(wanted):
        column = _covariate(own, part, one.covariate)
        crossed = _crossed(term, own, part, one.factors)
        if column is None or crossed is None:
            return None
        codes, levels = crossed
        group = ":".join((term.group, *one.factors))
        intercept = intercept_at(term.names)
        name = ":".join(one.covariate) or ("(Intercept)" if intercept is None else term.names[intercept])
        out.append((RandomTerm(group, levels, (name,), label=group), TermRows(codes, column[:, None])))
    return out


def _covariate(own: TermRows, part: Part, names: tuple[str, ...]) -> np.ndarray | None:
    """The column of a product of covariates, (n,); ones for none."""
    if not names:
        return np.ones(len(own.columns))
    for term, place in zip(part.terms, part.slices):
        if set(term) == set(names) and place.stop - place.start == 1:
            return own.columns[:, place.start]
    return None


def _crossed(
    term: RandomTerm, own: TermRows, part: Part, factors: tuple[str, ...]
) -> tuple[np.ndarray, pd.Index] | None:
    """Codes and levels of the group crossed with factors, told by the columns that each has in the bar."""
    assert own.codes is not None
    if not factors:
        return own.codes, term.levels
    keys = [own.codes]
    for name in factors:
        places = [place for names, place in zip(part.terms, part.slices) if names == (name,)]
        if not places:
            return None
        _, level = np.unique(np.round(own.columns[:, places[0]], 10), axis=0, return_inverse=True)
        keys.append(level.reshape(-1))
    levels, codes = np.unique(np.column_stack(keys), axis=0, return_inverse=True)
    return codes.reshape(-1).astype(np.intp), pd.RangeIndex(len(levels))
