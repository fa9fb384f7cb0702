"""What a user says of variance parameters before the fit: ``fix=``, ``same=``, ``bound=``, by the names of the terms.

A term is called by its grouping factor, its label in tables (``"Subject.1"``), or as it is written,
``"(1 | Subject)"``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from henderson.contract.constraints import Constraints
from henderson.contract.design import Design
from henderson.contract.plain_residual import with_plain_residual
from henderson.contract.rows import Rows
from henderson.covariance.structures import structure_called
from henderson.design.given import checked_covariance, covariance_matrix
from henderson.design.intercept import other_spelling
from henderson.design.term_text import spellings
from henderson.errors import FormulaError
from henderson.formula.tokens import bare

FloatArray = np.ndarray

#: what the residual variance is called
RESIDUAL = "Residual"


def constrained(design: Design, rows: Rows, fix: Any, same: Any, bound: Any) -> tuple[Design, Rows]:
    """A design and its rows with constraints; both as they are where there are none.

    Parameters
    ----------
    design : Design
    rows : Rows
    fix : mapping of str to number or matrix, or None
        Variances in the user's units; ``"Residual"`` is the residual's.
    same : sequence of sequences of str, or None
    bound : bool
        Whether variances are nonnegative.

    Raises
    ------
    FormulaError
        Naming the term and what there is.
    """
    if bound is not True and bound is not False:
        raise ValueError(f"bound must be True or False, not {bound!r}")
    terms, covariances, residual = _fixed(design, fix)
    equal = _equal(design, same, terms)
    unbounded = () if bound else _unbounded(design, terms)
    if not terms and residual is None and not equal and not unbounded:
        return design, rows
    constraints = Constraints(terms, covariances, residual, equal, unbounded)
    if design.residual is not None:
        if residual is not None:
            raise FormulaError(
                f"fix: {RESIDUAL!r} is one variance, and the residuals have the structure {design.residual.label}"
            )
        return replace(design, constraints=constraints), rows
    return with_plain_residual(replace(design, constraints=constraints), rows)


def _texts(design: Design) -> list[str]:
    """Each term as it is written."""
    return [spellings(design, k)[0] for k in range(len(design.terms))]


def _named(design: Design, name: Any, what: str) -> list[int]:
    """Numbers of the terms that a name stands for.

    Raises
    ------
    FormulaError
        For a name that is not there, with those that are.
    """
    groups = [term.group for term in design.terms]
    labels = [term.label or term.group for term in design.terms]
    texts = _texts(design)
    plain = _plain(str(name))
    written = [k for k in range(len(texts)) if plain in map(_plain, spellings(design, k))]
    if written:
        return written
    for own in (name, bare(str(name))):
        if own in groups:
            return [k for k, group in enumerate(groups) if group == own]
    if name in labels:
        return [labels.index(name)]
    if crossed := [k for k, group in enumerate(groups) if ":" in group and _plain(group) == plain]:
        return crossed
    there = ", ".join(dict.fromkeys([*groups, *labels, *texts])) or "no random terms"
    raise FormulaError(f"{what}: the model has no random term {name!r}; there are {there}")


def _plain(text: str) -> str:
    """A bar or a factor without spaces and outer parentheses, the columns of its factor in alphabetical order.

    Examples
    --------
    >>> _plain("(1 | b:a)"), _plain("a:b"), _plain("ar1(0 + t | g)")
    ('1|a:b', 'a:b', 'ar1(0+t|g)')
    >>> _plain("(1 | `my g`)")
    '1|myg'
    """
    text = "".join(bare(text).split())
    text = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    left, bar, right = text.rpartition("|")
    factor, comma, more = right.partition(",")
    closed = factor.endswith(")") and "(" not in factor
    factor = ":".join(sorted(factor.removesuffix(")").split(":") if closed else factor.split(":")))
    return f"{left}{bar}{factor}{')' if closed else ''}{comma}{more}"


def _fixed(design: Design, fix: Any) -> tuple[tuple[int, ...], tuple[FloatArray, ...], float | None]:
    """Terms, their σ²G, and the residual variance."""
    if fix is None:
        return (), (), None
    if not isinstance(fix, Mapping):
        raise FormulaError(
            f"fix is a dict of random terms and their variances, as in {{'Subject': 0}}, not {type(fix).__name__}"
        )
    found: dict[int, FloatArray] = {}
    residual: float | None = None
    for name, value in fix.items():
        if name == RESIDUAL and RESIDUAL not in [term.group for term in design.terms]:
            residual = _variance(value, name)
            if residual <= 0:
                raise FormulaError(f"fix: the variance of {RESIDUAL!r} must be positive, not {value!r}")
            continue
        own = _named(design, name, "fix")
        if np.ndim(value) == 0 and not isinstance(value, Mapping):
            number = _variance(value, name)
            if number and (len(own) > 1 or design.terms[own[0]].n_columns > 1):
                raise FormulaError(
                    f"fix: {name!r} has several effects ({_effects(design, own)}), whose covariance is a matrix; a "
                    "number goes with one effect, and zero with any"
                )
            parts = {k: number * np.eye(design.terms[k].n_columns) for k in own}
        elif len(own) > 1:
            raise FormulaError(
                f"fix: {name!r} has several terms; name one of {', '.join(_texts(design)[k] for k in own)}"
            )
        else:
            names = design.terms[own[0]].names
            given = (
                [other_spelling(one) if one not in names else one for one in value]
                if isinstance(value, Mapping)
                else names
            )
            if lacking := [one for one in names if one not in given]:
                raise FormulaError(
                    f"fix[{name!r}] lacks {', '.join(map(repr, lacking))}: a covariance is held as a whole"
                )
            parts = {own[0]: covariance_matrix(value, names, str(name), "fix")}
        for k, cov in parts.items():
            if k in found:
                raise FormulaError(f"fix: {_texts(design)[k]} is given twice")
            found[k] = checked_covariance(cov, design.terms[k].structure, str(name), "fix")
    terms = tuple(sorted(found))
    return terms, tuple(found[k] for k in terms), residual


def _variance(value: Any, name: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= float(value) < np.inf:
        raise FormulaError(f"fix: the variance of {name!r} must be a number from zero, not {value!r}")
    return float(value)


def _effects(design: Design, terms: Sequence[int]) -> str:
    return ", ".join(name for k in terms for name in design.terms[k].names)


def _equal(design: Design, same: Any, fixed: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Sets of terms with one covariance."""
    if same is None:
        return ()
    if isinstance(same, str) or not isinstance(same, Sequence):
        raise FormulaError(f"same is a list of sets of terms, as in [('dam', 'sire')], not {same!r}")
    groups = [same] if all(isinstance(one, str) for one in same) else list(same)
    found: list[tuple[int, ...]] = []
    for names in groups:
        if isinstance(names, str) or not isinstance(names, Sequence) or len(names) < 2:
            raise FormulaError(f"same: a set has two terms or more, as in ('dam', 'sire'), not {names!r}")
        own = []
        for name in names:
            here = _named(design, name, "same")
            if len(here) > 1:
                several = ", ".join(_texts(design)[k] for k in here)
                raise FormulaError(f"same: {name!r} has several terms; name one of {several}")
            own.append(here[0])
        if len(set(own)) < len(own) or set(own) & {k for one in found for k in one}:
            raise FormulaError(f"same: a term is named twice in {same!r}")
        texts = _texts(design)
        for k in own[1:]:
            first, other = design.terms[own[0]], design.terms[k]
            if (first.structure, first.n_columns) != (other.structure, other.n_columns):
                raise FormulaError(f"same: {texts[own[0]]} and {texts[k]} have covariances of different kinds")
        if held := [k for k in own if k in fixed]:
            raise FormulaError(f"same: {_texts(design)[held[0]]} is fixed; fix the others at its value too")
        found.append(tuple(sorted(own)))
    return tuple(found)


def _unbounded(design: Design, fixed: tuple[int, ...]) -> tuple[int, ...]:
    """All free terms, which must be of one effect."""
    free = [k for k in range(len(design.terms)) if k not in fixed]
    for k in free:
        if structure_called(design.terms[k].structure).n_theta(design.terms[k].n_columns) > 1:
            raise FormulaError(
                f"bound=False: {_texts(design)[k]} has a covariance matrix, which may not be indefinite; it goes with "
                "terms of one variance, (1 | g); give the residuals the covariance: residual='cs(visit | g)'"
            )
    return tuple(free)
