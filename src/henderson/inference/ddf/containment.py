"""SAS's two methods that count columns: containment and between-within.

**Containment** (DDFM=CONTAIN): a fixed effect is tested against the random effects that contain it syntactically (all
its variables are among theirs: ``A`` is in ``A*Block``). Each random effect adds so much to the rank of [X Z]; the df
are the smallest of these among the effects that contain it, or, when there is none, n − rank [X Z].

**Between-within** (DDFM=BETWITHIN): n − rank X is divided into a part between subjects, N − the rank of the terms that
are constant within every subject, and the rest, within. A term gets the former when all its columns are constant
within subjects, the latter when not. SAS counts terms, not what they span: arms that stand in ``visit:arm`` only take
no df from the patients. When several within-subject factors are involved, each term gets the rank that
the interaction of subject with its within-subject variables adds to those of fewer variables and of earlier terms.
Subjects are the top grouping factor; where residuals
have a covariance structure, its series. With the unstructured one and no random effects SAS gives all effects the df
between subjects.

In an analysis of variance a term gets its own df. A contrast that involves several terms gets the smallest of their
df; the intercept counts only where it stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.engine.fit import Fit
from henderson.errors import DataError
from henderson.inference.clusters import cluster_codes
from henderson.inference.contrast_rows import Turned, wald_f
from henderson.inference.effects import Effect, Ranks, near_zero, random_effects, variables_of_part
from henderson.inference.fit_moments import FitMoments

FloatArray = np.ndarray

#: random effects up to which a fit without rows remembers both methods' df
MOST_EFFECTS = 5000


#: of a column's largest value, what may be its rounding
ROUNDING = 4 * float(np.finfo(float).eps)


@dataclass(frozen=True)
class ByTerm:
    """One number of degrees of freedom a column of X.

    Attributes
    ----------
    column_df : (p,) array
        Over the columns kept: of the term that the column belongs to.
    intercept : (p,) bool array
    notes : tuple of str
    """

    column_df: FloatArray
    intercept: FloatArray
    notes: tuple[str, ...] = ()

    def df(self, rows: FloatArray) -> FloatArray:
        """The smallest of the terms involved, (r,)."""
        used = np.abs(rows) > 1e-10 * np.abs(rows).max(axis=1, initial=1e-300, keepdims=True)
        others = used & ~self.intercept
        used = np.where(others.any(axis=1, keepdims=True), others, used)
        return np.where(used, self.column_df, np.inf).min(axis=1, initial=np.inf)

    def of_columns(self, columns: FloatArray) -> float:
        """Of the term with these columns (among those kept)."""
        return float(self.column_df[columns].min())

    def f_test(self, rows: FloatArray, values: FloatArray, cov: FloatArray | Turned) -> tuple[float, float]:
        """Wald's F, with the smallest df of its rows."""
        return wald_f(rows, values, cov), float(self.df(rows).min())


@dataclass(frozen=True)
class _FixedTerm:
    variables: frozenset[str]
    columns: FloatArray


def _fixed_terms(fit: Fit) -> list[_FixedTerm]:
    design = fit.design
    if design.specs is None:
        constant = fit.digest.constant
        return [
            _FixedTerm(frozenset() if constant[j] else frozenset([name]), np.array([j]))
            for j, name in enumerate(design.x_names)
        ]
    part = design.specs.fixed
    return [_FixedTerm(variables, np.arange(place.start, place.stop)) for variables, place in variables_of_part(part)]


def _by_term(fitted: FitMoments, terms: Sequence[_FixedTerm], values: Sequence[float]) -> ByTerm:
    of_column = np.empty(len(fitted.kept))
    intercept = np.zeros(len(fitted.kept), bool)
    for term, value in zip(terms, values):
        of_column[term.columns] = value
        intercept[term.columns] = not term.variables
    return ByTerm(np.maximum(of_column[fitted.kept], 1.0), intercept[fitted.kept])


def remembered(fit: Fit, name: str) -> ByTerm | None:
    """What a method gave before the rows were let go; raises the error that it raised."""
    found = fit.remembered(name)
    if isinstance(found, str):
        raise DataError(found)
    return found


def worth_remembering(fit: Fit) -> dict[str, Any]:
    """What both methods say (an error: its text), for a fit that is to lose its rows; nothing where that takes long."""
    if sum(term.n_levels * term.n_columns for term in fit.design.terms) > MOST_EFFECTS:
        return {}
    out: dict[str, Any] = {}
    for name, method in (("containment", containment), ("between-within", between_within)):
        try:
            out[name] = method(FitMoments(fit))
        except DataError as error:
            out[name] = str(error)
    return out


def working_columns(fit: Fit, what: str) -> FloatArray:
    """X of the working basis, of the same span as the columns kept, (n, p_kept)."""
    rows = fit.observed_for(what)
    out = np.empty((rows.n, fit.basis.p))
    fit.basis.fixed(rows, out)
    return out


def containment(fitted: FitMoments) -> ByTerm:
    """SAS's containment."""
    fit = fitted.fit
    if (found := remembered(fit, "containment")) is not None:
        return found
    x = working_columns(fit, "ddf='containment'")
    effects = near_zero(random_effects(fit))
    counted = Ranks(x)  # of columns that span what X does: a product with a covariate far from zero has its digits
    ranks = [x.shape[1], *(counted.of(effects[: k + 1]) for k in range(len(effects)))]
    added = np.diff(ranks)
    residual = fit.n - ranks[-1]
    terms = _fixed_terms(fit)
    values = []
    for term in terms:
        containing = [rank for rank, effect in zip(added, effects) if term.variables <= effect.variables]
        values.append(float(min(containing, default=residual)))
    return _by_term(fitted, terms, values)


def between_within(fitted: FitMoments) -> ByTerm:
    """SAS's between-within.

    Raises
    ------
    DataError
        When no grouping factor nests the others: there are no subjects.
    """
    fit = fitted.fit
    if (found := remembered(fit, "between-within")) is not None:
        return found
    x, kept = fit.observed_for("ddf='between-within'").X, fitted.kept
    subject = cluster_codes(fit)
    count = int(subject.max()) + 1
    varies = _varies_within(x, subject, count)
    terms = _fixed_terms(fit)
    inside = [bool(varies[term.columns].any()) for term in terms]
    constant = sum(int(kept[term.columns].sum()) for term, one in zip(terms, inside) if not one)
    between_df = count - constant
    if fit.design.residual is not None and fit.design.residual.structure == "us" and not fit.design.terms:
        # SAS's exception: with an unstructured covariance and no random effects all terms have the df between subjects
        return _by_term(fitted, terms, [float(between_df)] * len(terms))
    within_df = fit.n - int(kept.sum()) - between_df
    values = [float(within_df if one else between_df) for one in inside]
    components = _within_components(fit, subject, [term if one else None for term, one in zip(terms, inside)])
    if len(set(components.values())) > 1:
        keys = sorted(dict.fromkeys(components.values()), key=len)  # of one length as the terms stand
        one = _interaction(subject, np.zeros(len(subject), int), np.ones(len(subject)))
        effects = near_zero([one, *(_interaction(subject, *_cells(fit, key)) for key in keys)])
        counted = Ranks(working_columns(fit, "ddf='between-within'"))
        ranks = [counted.of(effects[: k + 1]) for k in range(len(effects))]
        of_component = dict(zip(keys, np.diff(ranks).astype(float).tolist()))
        for k, key in components.items():
            values[k] = of_component[key]
    return _by_term(fitted, terms, values)


def _within_components(fit: Fit, subject: FloatArray, terms: Sequence[_FixedTerm | None]) -> dict[int, frozenset[str]]:
    """For each within-subject term with a factor that varies within subjects: its variables that do."""
    if fit.design.specs is None:
        return {}
    count = int(subject.max()) + 1
    factors, columns = fit.observed.factors, fit.observed.columns
    varying = {
        name
        for name in fit.design.specs.fixed.variables
        if _varies_within(
            np.asarray(factors[name] if name in factors else columns[name], float)[:, None], subject, count
        )[0]
    }
    keys = {k: term.variables & varying for k, term in enumerate(terms) if term is not None}
    return {k: key for k, key in keys.items() if any(name in factors for name in key)}


def _cells(fit: Fit, variables: frozenset[str]) -> tuple[FloatArray, FloatArray]:
    """Cell of each row in the factors among the variables, (n,), and the product of the covariates, (n,)."""
    factors, columns = fit.observed.factors, fit.observed.columns
    cell, product = np.zeros(fit.n, int), np.ones(fit.n)
    for name in sorted(variables):
        if name in factors:
            cell = cell * (int(factors[name].max()) + 1) + factors[name]
        else:
            product = product * np.asarray(columns[name], float)
    return cell, product


def _interaction(subject: FloatArray, cell: FloatArray, values: FloatArray) -> Effect:
    """The effect of subject by cell, times a covariate."""
    codes = np.unique(subject * (int(cell.max()) + 1) + cell, return_inverse=True)[1]
    return Effect(frozenset(), ("interaction", codes.tobytes()), codes, values[:, None], int(codes.max()) + 1)


def _varies_within(x: FloatArray, subject: FloatArray, count: int) -> FloatArray:
    """Whether a column differs between rows of one subject by more than its rounding, beside what it differs by in all:
    of time stamps, far from zero, milliseconds count. (p,) bool."""
    first = np.zeros(count, np.intp)
    first[subject[::-1]] = np.arange(len(subject))[::-1]
    spread = np.abs(x - x[first[subject]]).max(axis=0)
    about_mean = np.abs(x - x.mean(axis=0)).max(axis=0)
    return spread > np.maximum(1e-10 * about_mean, ROUNDING * np.abs(x).max(axis=0))
