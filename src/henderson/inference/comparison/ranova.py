"""Tests of the random effects, one at a time: `ranova`, as lmerTest's.

A term with several effects loses one model term at a time (``Days in (Days | Subject)``), those first that no other
contains; a term with one is removed. The fixed part stays, so REML likelihoods are compared as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import RandomTerm
from henderson.contract.rows import TermRows
from henderson.design.intercept import intercept_at
from henderson.design.random_terms import RandomSpec
from henderson.engine.fit import Fit
from henderson.inference.comparison.chibar import mixture
from henderson.inference.comparison.submodels import fit_from, likelihood_of, likelihood_ratio, with_terms
from henderson.tables.result_frame import ResultFrame


def ranova(model: Any) -> pd.DataFrame:
    """Likelihood-ratio tests of random effects.

    Parameters
    ----------
    model : Fit or MixedLMResults
        Submodels are fitted by the same criterion, REML or ML.

    Returns
    -------
    DataFrame
        Index: what was removed, after ``<none>``; columns npar, loglik, aic, statistic, df, p, and p_chibar, the χ̄²
        p-value at the boundary where its mixture is known (`attrs["notes"]`).

    Examples
    --------
    >>> import henderson
    >>> sleepstudy = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> ranova(fit)[["npar", "statistic", "df"]].round(3)
                              npar  statistic   df
    term
    <none>                       6        NaN  NaN
    Days in (Days | Subject)     4     42.837  2.0
    """
    from scipy.special import chdtrc

    fit = fit_from(model)
    whole = likelihood_of(fit)
    rows = {"<none>": _row(whole.deviance, whole.n_parameters)}
    notes = []
    for name, terms, loads in removals(fit):
        less = with_terms(fit, terms, loads)
        statistic = likelihood_ratio(less, whole)
        df = whole.n_parameters - less.n_parameters
        known = mixture(terms, fit.design.terms)
        if known is not None:
            notes.append(f"p_chibar of {name}: chi-bar-square, {known}")
        rows[name] = _row(less.deviance, less.n_parameters) | {
            "statistic": statistic,
            "df": float(df),
            "p": float(chdtrc(df, statistic)),
            "p_chibar": known.pvalue(statistic) if known is not None else np.nan,
        }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "term"
    return ResultFrame.of(frame, "Tests of random effects (likelihood ratios)", tuple(notes))


def _row(deviance: float, npar: int) -> dict[str, float]:
    return {"npar": npar, "loglik": -deviance / 2, "aic": deviance + 2 * npar}


def removals(fit: Fit) -> Iterator[tuple[str, list[RandomTerm], list[TermRows]]]:
    """What can be removed, the random terms left, and their rows."""
    design, loads = fit.design, fit.rows_for("ranova()").terms
    for k, term in enumerate(design.terms):
        others = [other for j, other in enumerate(design.terms) if j != k]
        of_others = [other for j, other in enumerate(loads) if j != k]
        spec = design.specs.random[k] if design.specs is not None else None
        part = spec.part if isinstance(spec, RandomSpec) else None
        if term.loaded or part is None:
            pieces: list[tuple[tuple[str, ...], slice]] = [
                (() if j == intercept_at(term.names) else (name,), slice(j, j + 1)) for j, name in enumerate(term.names)
            ]
        else:
            pieces = list(zip(part.terms, part.slices))
        label = _label([names for names, _ in pieces], term)
        slopes = [(names, place) for names, place in pieces if names]
        if len(pieces) == 1 or not slopes:
            yield (f"{':'.join(slopes[0][0])} in {label}" if slopes else label), others, of_others
            continue
        for names, place in slopes:
            if any(set(names) < set(more) for more, _ in slopes):
                continue
            keep = np.ones(term.n_columns, bool)
            keep[place] = False
            left = replace(term, names=tuple(np.array(term.names)[keep]))
            own = replace(loads[k], columns=loads[k].columns[:, keep])
            yield (
                f"{':'.join(names)} in {label}",
                [*design.terms[:k], left, *design.terms[k + 1 :]],
                [*loads[:k], own, *loads[k + 1 :]],
            )


def _label(terms: list[tuple[str, ...]], term: RandomTerm) -> str:
    """``(Days | Subject)``."""
    if term.loaded:
        return term.label
    written = [":".join(names) for names in terms if names]
    if () not in terms:
        written.insert(0, "0")
    return f"({' + '.join(written) or '1'} | {term.group})"
