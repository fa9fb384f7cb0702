"""Responses of new rows, drawn from the fitted model: y = Xβ̂ + offset + Σ_k Z_k b_k + ε, Var ε_i = σ²/w_i.

Of a term's levels those that are to be new, and those that the fit does not have, are drawn from N(0, σ²λλ') in each
replicate, one draw a level: rows that share a label share its effects. Levels with known relationships are drawn with
all their relatives; labels without relationships have effects of their own. With `re="same"` known levels keep their
modes. Residuals with a covariance structure are drawn series by series, those of a series that the fit has anew.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from henderson.contract.design import RandomTerm
from henderson.contract.residual import ResidualRows
from henderson.contract.rows import TermRows
from henderson.design.replay import NewTerm, Wanted, new_weights
from henderson.design.residual_checks import check_repeated
from henderson.engine.fit import Fit
from henderson.engine.many.draws import TermDraw, by_series, responses, together
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.rows import series_roots
from henderson.errors import DataError
from henderson.prediction.given import given_weights
from henderson.prediction.labels import DRAWN, NamedLevels, fresh_codes, named_series
from henderson.prediction.new_rows import Targets, read_targets
from henderson.prediction.structured import places_of

FloatArray = np.ndarray


def simulate_new(
    fit: Fit,
    newdata: Any,
    n: int,
    *,
    re: Literal["new", "same"] = "new",
    weights: Any = None,
    offset: Any = None,
    groups: Any = None,
    exog_re: Any = None,
    seed: Any = None,
) -> FloatArray:
    """Responses of new rows, (m, n).

    Parameters
    ----------
    fit : Fit
    newdata : table; for a design made of arrays, an (m, p) array or DataFrame
    n : int
        How many.
    re : {"new", "same"}
        Draw the effects of all levels, or of those that the fit does not have.
    weights : str or (m,) array_like, optional
        For a fit with weights: a column, or values. By default the column or expression that the fit had.
    offset, groups, exog_re : optional
        As for `read_targets`.
    seed : int, SeedSequence or Generator, optional

    Raises
    ------
    DataError
        When new data lack a column, a label is missing, weights are not positive, or, with `re="same"`, labels are of
        another type than the fit's.

    Examples
    --------
    >>> from henderson import datasets
    >>> from henderson.design.from_formula import design_from_formula
    >>> from henderson.engine.fit import fit_design
    >>> fit = fit_design(*design_from_formula("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff")))
    >>> simulate_new(fit, {"Batch": ["A", "new", "new"]}, 4, re="same", seed=1).shape
    (3, 4)
    """
    if weights is not None and not fit.design.weighted:
        raise ValueError("weights= goes with a model that has weights; this one has none")
    if re == "new":
        fit.refuse_negative("simulate(newdata=) with new effects")
    every: list[Wanted] = ["known"] * len(fit.design.terms)
    targets = read_targets(fit, newdata, every, groups=groups, exog_re=exog_re, offset=offset)
    mean = targets.mean
    if fit.design.specs is not None:
        own_weights = new_weights(fit.design, newdata, weights)
    else:
        own_weights = given_weights(fit, weights, len(mean))
    drawn: list[TermDraw] = []
    for new, term, b, lam in zip(targets.terms, fit.design.terms, fit.b, fit.lam):
        if new is not None and term.related is not None and re == "new":
            drawn += _related_draws(new, term, fit.sigma * lam)
        elif new is not None:
            drawn.append(_term_draw(new, term, b, fit.sigma * lam, re))
    if isinstance(fit, StructuredFit):
        places = series_of(fit, newdata, targets)
        draw = by_series(mean, series_roots(fit.structure, fit.psi, places, own_weights), drawn)
    else:
        draw = responses(mean, fit.sigma, own_weights, drawn)
    return together(draw, len(mean), n, seed)


def series_of(fit: StructuredFit, newdata: Any, targets: Targets) -> ResidualRows:
    """Where new rows stand in their series, each label a series, whether or not the fit has it.

    Raises
    ------
    DataError
        When a visit or a stratum is not the fit's, a label is missing, or a series has two rows at one place.
    """
    places, term = named_series(fit, newdata, places_of(fit, newdata, targets), DRAWN)
    check_repeated(term, places)
    return places


def _term_draw(new: NewTerm, term: RandomTerm, b: FloatArray, root: FloatArray, re: str) -> TermDraw:
    """How a term's effects on new rows are drawn; levels are those that occur, known ones first."""
    if new.complaint is not None and new.is_other_type and re == "same":
        raise DataError(new.complaint)
    named = NamedLevels.of(new, term, DRAWN)
    own, present = named.rows, named.present
    if re == "new":
        return TermDraw(own, root, len(present))
    is_known = present < term.n_levels
    modes = np.zeros((len(present), b.shape[1]))
    modes[is_known] = b[present[is_known]]
    return TermDraw(own, root, len(present), modes, ~is_known)


def _related_draws(new: NewTerm, term: RandomTerm, root: FloatArray) -> list[TermDraw]:
    """Of levels with known relationships, all of them; and of those without, whose effects are their own."""
    assert new.codes is not None
    known, fresh = new.codes >= 0, np.flatnonzero(new.codes < 0)
    rows = TermRows(np.where(known, new.codes, 0), np.where(known[:, None], new.columns, 0.0))
    found = [TermDraw.of(term, rows, root)]
    if len(fresh):
        codes = np.zeros_like(new.codes)
        codes[fresh] = fresh_codes(new, fresh, DRAWN)
        others = TermRows(codes, np.where(known[:, None], 0.0, new.columns))
        found.append(TermDraw(others, root, int(codes.max()) + 1))
    return found
