"""Backward elimination, as lmerTest's `step`: random effects first, by likelihood ratios, then fixed ones, by F tests.

1. Of all random effects that may leave (`ranova`) that with the highest p-value leaves, if it is above `alpha_random`;
   the rest is fitted again, and again asked.
2. So with the terms of the fixed part that no other contains (`drop1`) and `alpha_fixed`.

The last random term stays, unless the residuals correlate: without it the model is linear. A model found so is a
description of these data; its p-values do not know of the search.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from henderson.arguments import probability
from henderson.engine.fit import Fit, fit_design
from henderson.inference.anova.anova import fixed_terms_of
from henderson.inference.anova.drop1 import drop1
from henderson.inference.choose import infer
from henderson.inference.comparison.ranova import Removal, removals
from henderson.inference.comparison.submodels import FittedLikelihood, likelihood_of, likelihood_ratio, linear
from henderson.inference.comparison.without_term import formula_of, without_term
from henderson.inference.fit_moments import fit_of
from henderson.inference.names import InferenceRequest
from henderson.tables.result_frame import ResultFrame
from henderson.typing import Fitted


@dataclass(frozen=True, repr=False, eq=False)
class Steps:
    """What was eliminated, and the model that is left.

    Attributes
    ----------
    random : DataFrame
        Index: effect, after ``<none>`` (the model begun with); columns eliminated (its number, 0: kept), npar, loglik,
        aic, statistic, df, p. Those kept are tested in the last model.
    fixed : DataFrame
        Index: term; columns eliminated, num_df, den_df, F, p.
    formula : str
        Of the model found.
    model : Fit, or results when results were asked
        The model found.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
    >>> fit.step().formula
    'angle ~ temp + (1 | recipe:replicate)'
    """

    random: ResultFrame
    fixed: ResultFrame
    formula: str
    model: Fit | Fitted = field(compare=False)

    def __repr__(self) -> str:
        tables = [repr(table) for table in (self.random, self.fixed) if len(table)]
        return "\n\n".join([*tables, f"Model found: {self._found}"])

    @property
    def _found(self) -> str:
        """The formula, and the residuals' covariance where they have one."""
        residual = fit_of(self.model).design.residual
        return self.formula if residual is None else f"{self.formula}, residual {residual.label}"

    def _repr_html_(self) -> str:
        tables = [table._repr_html_() for table in (self.random, self.fixed) if len(table)]
        return "\n".join([*tables, f"<p>Model found: {html.escape(self._found)}</p>"])


def step(
    fit: Fit,
    request: InferenceRequest,
    *,
    alpha_random: float = 0.1,
    alpha_fixed: float = 0.05,
    reduce_random: bool = True,
    reduce_fixed: bool = True,
    keep: str | Sequence[str] = (),
) -> Steps:
    """Eliminate terms backwards.

    Parameters
    ----------
    fit : Fit
        With its rows.
    request : InferenceRequest
        How fixed effects are tested.
    alpha_random, alpha_fixed : float
        A term stays when its p-value is not above.
    reduce_random, reduce_fixed : bool
    keep : str or sequence of str
        Terms of the fixed part, and effects as ``ranova`` names them, that stay in any case.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
    >>> found = step(fit.engine, fit._request)
    >>> found.formula
    'angle ~ temp + (1 | recipe:replicate)'
    """
    for name, alpha in (("alpha_random", alpha_random), ("alpha_fixed", alpha_fixed)):
        if alpha not in (0, 1):
            probability(alpha, name)
    fit.refuse_constraints("step()")
    fit.observed_for("step()")
    kept = {keep} if isinstance(keep, str) else set(keep)
    known = {term.name for term in fixed_terms_of(fit)} | {one.name for one in removals(fit)}
    if unknown := sorted(kept - known):
        raise ValueError(
            f"keep has {unknown[0]!r}, which is no term of the model; there are: {', '.join(sorted(known))}"
        )
    fit, random = _random(fit, alpha_random if reduce_random else 1.0, kept)
    fit, fixed = _fixed(fit, request, alpha_fixed if reduce_fixed else 1.0, kept)
    return Steps(random, fixed, formula_of(fit.design), fit)


def _random(fit: Fit, alpha: float, kept: set[str]) -> tuple[Fit, ResultFrame]:
    """Step 1."""
    rows: list[dict[str, Any]] = [{"effect": "<none>", "eliminated": 0, **_fit_columns(likelihood_of(fit))}]
    notes: list[str] = []
    done = 0
    while True:
        tests = [_test(fit, one) for one in removals(fit)]
        may = [(row, less) for row, less in tests if row["p"] > alpha and row["effect"] not in kept]
        if may and (may[0][1] is None):
            notes.append(f"{may[0][0]['effect']} is the last random term and stays, though p = {may[0][0]['p']:.3g}")
        possible = [(row, less) for row, less in may if less is not None]
        if not possible:
            rows += [one | {"eliminated": 0} for one, _ in tests]
            break
        row, less = max(possible, key=lambda one: one[0]["p"])
        done += 1
        rows.append(row | {"eliminated": done})
        fit = less
    frame = pd.DataFrame(rows).set_index("effect")
    return fit, ResultFrame.of(frame, "Backward elimination of random effects (likelihood ratios)", tuple(notes))


def _test(fit: Fit, one: Removal) -> tuple[dict[str, Any], Fit | None]:
    """The likelihood-ratio test of a removal, and the fit without it; None where a linear model is left."""
    from scipy.special import chdtrc

    is_linear = not one.design.terms and one.design.residual is None
    less = None if is_linear else fit_design(one.design, one.rows, reml=fit.reml)
    at = linear(fit.rows, fit.kept, reml=fit.reml) if less is None else likelihood_of(less)
    statistic, df = likelihood_ratio(at, likelihood_of(fit)), fit.n_parameters - at.n_parameters
    tested = {"statistic": statistic, "df": float(df), "p": float(chdtrc(df, statistic))}
    return {"effect": one.name, **_fit_columns(at), **tested}, less


def _fit_columns(at: FittedLikelihood) -> dict[str, float]:
    aic = at.deviance + 2 * at.n_parameters
    return {"npar": at.n_parameters, "loglik": -at.deviance / 2, "aic": aic}


def _fixed(fit: Fit, request: InferenceRequest, alpha: float, kept: set[str]) -> tuple[Fit, ResultFrame]:
    """Step 2."""
    rows: list[dict[str, Any]] = []
    done, ddf = 0, ""
    notes: tuple[str, ...] = ()
    while fixed_terms_of(fit):
        inference = infer(fit, ddf=request.ddf, cov=request.cov, cluster=request.cluster)
        table, ddf = drop1(fit, inference), inference.ddf
        notes = table.attrs["notes"]
        records = zip(table.index, table.to_numpy())
        tests: list[dict[str, Any]] = [{"term": str(name)} | dict(zip(table.columns, row)) for name, row in records]
        may = [test for test in tests if test["p"] > alpha and test["term"] not in kept]
        if not may or len(fit.design.x_names) == 1:
            rows += [test | {"eliminated": 0} for test in tests]
            break
        highest = max(may, key=lambda test: test["p"])
        done += 1
        rows.append(highest | {"eliminated": done})
        fit = fit_design(*without_term(fit.design, fit.observed, highest["term"]), reml=fit.reml)
    columns = ["term", "eliminated", "num_df", "den_df", "F", "p"]
    frame = pd.DataFrame(rows, columns=columns).set_index("term")
    heading = f"Backward elimination of fixed effects ({ddf} degrees of freedom)"
    return fit, ResultFrame.of(frame, heading, tuple(notes))
