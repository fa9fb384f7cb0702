"""What must hold before a model is fitted. Each check raises an error that names the culprit."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from henderson.contract.constraints import is_fixed
from henderson.contract.design import Design, RandomTerm
from henderson.contract.rows import Rows
from henderson.covariance.layout import layout_of
from henderson.design.term_text import effects_as_bar
from henderson.errors import DataError, ValueWarning, users_level
from henderson.formula.coding import Part
from henderson.formula.evaluate import FactorSpec
from henderson.formula.terms import shown
from henderson.sources.factors import shown_label

#: what to do about variances that the number of rows cannot identify
Reaction = Literal["raise", "warn", "ignore"]
#: parameters of a structure that is told from the residual by one row an effect
FEW = 2


def check_design(design: Design, rows: Rows, *, strict: bool = True, check_identified: Reaction = "raise") -> None:
    """All checks; `strict`: of the number of effects of a term too."""
    check_response(rows.y, design.y_name)
    check_rows(design.n, design.x_names)
    check_factors(design.terms)
    held = design.constraints
    if design.residual is None or (design.residual.is_plain and held is not None and held.residual is None):
        free = [term for k, term in enumerate(design.terms) if not is_fixed(held, k)]
        check_terms(free, design.n, strict=strict, check_identified=check_identified)
    else:  # what its residuals leave of the terms is seen in `residual_checks`; of a known variance all
        check_several(design.terms)


def check_factors(terms: Sequence[RandomTerm]) -> None:
    """Grouping factors of one name must be one factor: have the same levels."""
    known: dict[str, RandomTerm] = {}
    for term in terms:
        first = known.setdefault(term.group, term)
        if first.loaded or term.loaded or first.levels is term.levels or first.levels.equals(term.levels):
            continue
        raise DataError(f"two different grouping factors are called {term.group!r}; rename a column")


def check_rows(n: int, x_names: Sequence[str]) -> None:
    """There must be more rows than fixed-effects columns."""
    if n <= len(x_names):
        raise DataError(
            f"{n} rows are too few for {len(x_names)} fixed-effects columns ({', '.join(x_names[:8])}"
            f"{', …' if len(x_names) > 8 else ''}): there must be more rows than columns"
        )


def check_response(y: np.ndarray, name: str) -> None:
    """The response must vary."""
    if len(y) > 1 and (y == y[0]).all():
        raise DataError(f"the response {name!r} is constant ({y[0]:g} in each of the {len(y)} rows)")


def check_contrasts(contrasts: Iterable[str], factors: Mapping[str, FactorSpec]) -> None:
    """Contrasts are given for factors of the model."""
    known = {
        name for spec in factors.values() if spec.levels is not None for name in (spec.levels_of, spec.expr) if name
    }
    for name in contrasts:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise DataError(f"contrasts names {name!r}, which is no factor of the model; there are {there}")


def check_levels(part: Part) -> None:
    """A factor of the fixed part has two levels or more, as R demands (patsy leaves the term out)."""
    for expr, spec in part.factors.items():
        if spec.levels is not None and len(spec.levels) < 2:
            only = shown_label(spec.levels[0])
            raise DataError(f"the factor {shown(expr)!r} has one level in the rows that are used, {only}: leave it out")


def check_weights(weights: np.ndarray, name: str, rows: np.ndarray | None = None) -> None:
    """Weights must be positive and finite; `rows` says where they are in the data."""
    good = (weights > 0) & (weights < np.inf)
    if not good.all():
        bad = np.flatnonzero(~good)
        row = bad[0] if rows is None else rows[bad[0]]
        raise DataError(
            f"weights must be positive and finite: {name!r} is {weights[bad[0]]:g} in row {row}"
            + (f" and not in {len(bad) - 1} more" if len(bad) > 1 else "")
        )


def check_terms(
    terms: Sequence[RandomTerm], n: int, *, strict: bool = True, check_identified: Reaction = "raise"
) -> None:
    """Each term must have several levels, and fewer of them, `strict`: fewer effects, than there are rows.

    With as many levels as rows a term cannot be told from the residual. With as many effects it can where levels have
    several rows, though hardly; lme4 refuses unless told otherwise, statsmodels does not. A structure of a variance and
    a correlation that does not hold the residual's, AR(1) of three times or more, can be told from it, and so can one
    of reduced rank: many species at each site once. Effects on which rows load several times are left to the fit.
    """
    hint = "; check_identified='warn' fits it all the same" if strict and check_identified == "raise" else ""
    check_several(terms)
    for term in terms:
        if term.loaded or term.related is not None:  # relatives tell what a level of one row does not
            continue
        levels, effects = term.n_levels, term.n_levels * term.n_columns
        if levels >= n:
            _react(
                f"the grouping factor {term.group!r} has as many levels ({levels}) as there are rows ({n}): "
                "its effects cannot be told from the residuals" + hint,
                check_identified,
            )
        elif strict and effects >= n and holds_independence(term):
            _react(
                f"the term {effects_as_bar(term)} has {effects} random effects "
                f"({term.n_columns} for each of {levels} levels) and there are {n} rows: "
                "its covariance and the residual variance cannot be told apart" + hint,
                check_identified,
            )


def holds_independence(term: RandomTerm) -> bool:
    """Whether I is a direction in which a term's G may move, as the residual's covariance is: at a G of no symmetry.

    Of more than FEW parameters that is taken for granted: near independence they can hardly be told from it. Of
    reduced rank it never is: no change of ΛΛ' within its rank adds to what is across Λ, and I does.
    """
    layout, place = layout_of([term]), np.arange(term.n_columns)
    size = np.sqrt(1.0 + 0.5 * np.sin(1.0 + place))
    theta = layout.theta_of_cov(0.4 ** np.abs(place[:, None] - place) * size[:, None] * size)
    if np.linalg.matrix_rank(layout.lam(theta)) < term.n_columns:
        return False
    if layout.n_theta > FEW:
        return True
    along = layout.directions(theta).reshape(layout.n_theta, -1).T
    unit = np.eye(term.n_columns).ravel()
    left = unit - along @ np.linalg.lstsq(along, unit, rcond=None)[0]
    return bool(np.linalg.norm(left) < 1e-6 * np.linalg.norm(unit))


def check_several(terms: Sequence[RandomTerm]) -> None:
    """Each term must have more than one level."""
    for term in terms:
        if term.n_levels < 2 and not term.loaded:
            raise DataError(
                f"the grouping factor {term.group!r} has one level ({shown_label(term.levels[0])}): "
                "a variance between levels needs at least two"
            )


def warn_undefined(undefined: Mapping[str, int]) -> None:
    """Say which expressions have no value in how many rows though their variables have one (the logarithm of a negative
    number): those rows are left out."""
    for expr, n_rows in undefined.items():
        rows = "one row, which is" if n_rows == 1 else f"{n_rows:,} rows, which are"
        text = f"{expr!r} is not a number in {rows} left out, though what it is made of is not missing there"
        warnings.warn(text, ValueWarning, stacklevel=users_level())


def _react(text: str, reaction: Reaction) -> None:
    """Raise or say that variances are not identified; the fit finds its flat directions in any case."""
    if reaction == "raise":
        raise DataError(text)
    if reaction == "warn":
        warnings.warn(text, ValueWarning, stacklevel=users_level())
