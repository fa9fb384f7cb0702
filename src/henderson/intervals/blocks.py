"""Standard deviations and correlations with their intervals, by unit.

response          standard deviations of intercepts, of levels of factors, and of the residual
response / x      those of the slopes of x
none              correlations
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from henderson.arguments import probability
from henderson.contract.design import Design
from henderson.covariance.residual.residual import Residual
from henderson.design.intercept import LME4, STATSMODELS
from henderson.design.random_terms import RandomSpec
from henderson.design.variance_parameters import VarianceParameter, shown, variance_parameters
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit
from henderson.inference.inference import Inference
from henderson.intervals.table import interval_table
from henderson.plots.varcorr import Block

#: the title of correlations
CORRELATION = "correlation"
#: and of covariances of residuals, which may be negative
COVARIANCE = "residual covariance"


def blocks(fit: Fit, inference: Inference, method: str, level: float, options: Mapping[str, Any]) -> list[Block]:
    """Estimates and intervals of the variance parameters, a block for each unit.

    Parameters
    ----------
    fit : Fit
    inference : Inference
    method, level, options
        As for `interval_table`.
    """
    level = probability(level, "level")
    parameters = variance_parameters(fit.design)
    psi = fit.shown_psi[None] if isinstance(fit, StructuredFit) else None
    estimate = shown(parameters, [(lam @ lam.T)[None] for lam in fit.lam], np.array([fit.sigma]), psi)[0]
    table = interval_table(fit, inference, method, level, parameters="theta_", **options)
    limits = table.reindex([one.name for one in parameters]).to_numpy(float)
    titles = [_title(fit.design, one) for one in parameters]
    order = sorted(dict.fromkeys(titles), key=lambda title: title == CORRELATION)  # stable: correlations last
    out = []
    for title in order:
        here = np.flatnonzero([one == title for one in titles])
        least, most = (-1.0, 1.0) if title == CORRELATION else (-np.inf if title == COVARIANCE else 0.0, np.inf)
        labels = [_label(fit.design, parameters[k]) for k in here]
        out.append(Block(title, labels, estimate[here], limits[here, 0], limits[here, 1], least, most))
    return out


def _title(design: Design, one: VarianceParameter) -> str:
    """What parameters in one unit are called."""
    if one.kind == "residual":
        return _residual_title(design, one.row)
    if one.kind == "cor":
        return CORRELATION
    unit = f"standard deviation, {design.y_name}"
    if one.kind == "sigma":
        return unit
    name = design.terms[one.term].names[one.row]
    if name in (LME4, STATSMODELS) or _is_of_levels(design, one):
        return unit
    return f"{unit} per unit of {name}"


def _residual_title(design: Design, number: int) -> str:
    """The same of a parameter of the residuals' structure."""
    assert design.residual is not None
    kind = Residual.of(design.residual, 1).kinds[number]
    if kind == "variance":
        return f"residual variance, {design.y_name} squared"
    return {"correlation": CORRELATION, "covariance": COVARIANCE}.get(kind, f"{kind} of the residuals")


def _is_of_levels(design: Design, one: VarianceParameter) -> bool:
    """Whether an effect is of levels of factors: no number multiplies it."""
    if design.specs is None:
        return False
    spec = design.specs.random[one.term]
    if not isinstance(spec, RandomSpec):
        return all(levels is not None for _, levels in spec.plain or ((None, None),))
    term = next(t for t, part in zip(spec.part.terms, spec.part.slices) if part.start <= one.row < part.stop)
    return all(spec.part.factors[name].levels is not None for name in term)


def _label(design: Design, one: VarianceParameter) -> str:
    """The parameter in the user's names."""
    if one.kind == "sigma":
        return "residual"
    if one.kind == "residual":
        assert design.residual is not None
        return Residual.of(design.residual, 1).names[one.row]
    term = design.terms[one.term]
    if one.kind == "sd":
        return f"{term.names[one.row]} by {term.group}"
    return f"{term.names[one.column]}, {term.names[one.row]} by {term.group}"
