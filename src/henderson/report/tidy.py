"""A fit as plain tables with the columns of broom.mixed: `tidy` (parameters), `glance` (the model), `augment` (rows).

Names are broom.mixed's, dots and all: effect, group, level, term, estimate, std.error, statistic, df, p.value,
conf.low, conf.high; nobs, sigma, logLik, AIC, BIC, REMLcrit or deviance, df.residual; .fitted, .resid, .fixed, ….
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from henderson.arguments import names, probability
from henderson.contract.design import Design
from henderson.covariance.structures import structure_called
from henderson.design.variance_parameters import lme4_order
from henderson.diagnostics.measures import aic, bic
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.row_forms import row_forms
from henderson.inference.inference import Inference
from henderson.prediction.fitted import fitted_values
from henderson.prediction.level_effects import covariances_of_levels, modes_of_levels
from henderson.report.varcorr import residual_rows
from henderson.tables.exports import plain_records
from henderson.typing import TidyEffects

FloatArray = np.ndarray

EFFECTS: tuple[TidyEffects, ...] = get_args(TidyEffects)
_TESTS = {
    "estimate": "estimate", "se": "std.error", "statistic": "statistic", "df": "df", "p": "p.value",
    "lower": "conf.low", "upper": "conf.high",
}  # fmt: skip


def tidy(
    fit: Fit,
    inference: Inference,
    effects: str | Sequence[str] = ("fixed", "ran_pars"),
    conf_int: bool = False,
    level: float = 0.95,
) -> pd.DataFrame:
    """Parameters as rows.

    Parameters
    ----------
    fit : Fit
    inference : Inference
    effects : {"fixed", "ran_pars", "ran_vals", "ran_coefs"} or sequence of them
        Fixed effects; standard deviations and correlations; conditional modes; coefficients of each level.
    conf_int : bool
        Columns conf.low and conf.high: t limits of fixed effects, normal ones of conditional modes.
    level : float

    Returns
    -------
    DataFrame
        Columns as in broom.mixed; those without a number for the effects chosen are left out.

    Raises
    ------
    ValueError
        For other effects.
    """
    wanted, level = names(effects, "effects"), probability(level, "level")
    for one in wanted:
        if one not in EFFECTS:
            raise ValueError(f"no effects are called {one!r}; there are {', '.join(EFFECTS)}")
    makers = {"fixed": _fixed, "ran_pars": _ran_pars, "ran_vals": _ran_vals, "ran_coefs": _ran_coefs}
    parts = [makers[one](fit, inference, level) for one in wanted]
    rows = [row for part in parts for row in part]
    order = ["effect", "group", "level", "term", "estimate", "std.error", "statistic", "df", "p.value"]
    order += ["conf.low", "conf.high"] if conf_int else []
    there = {name for row in rows for name in row} or set(order)
    out = pd.DataFrame(rows, columns=pd.Index([name for name in order if name in there]))
    for name in ("group", "level"):
        if name in out:
            out[name] = out[name].astype(object).where(out[name].notna(), None)
    return out


def _fixed(fit: Fit, inference: Inference, level: float) -> list[dict[str, Any]]:
    kept = np.flatnonzero(inference.kept)
    names = [inference.names[j] for j in kept]
    table = inference.t_test(np.eye(len(inference.names))[kept], level=level, names=names).rename(columns=_TESTS)
    return [{"effect": "fixed", "group": None, "term": name, **row} for name, row in zip(names, records(table))]


def _ran_pars(fit: Fit, inference: Inference, level: float) -> list[dict[str, Any]]:
    rows = []
    for k in lme4_order(fit.design.terms):
        term, cov = fit.design.terms[k], fit.sigma**2 * fit.covariances[k]
        with np.errstate(invalid="ignore"):  # NaN of a variance that is negative (bound=False)
            sd = np.sqrt(np.diag(cov))
        # column by column of the lower triangle, as lme4's as.data.frame(VarCorr(), order = "lower.tri")
        for one in structure_called(term.structure).display(term.names):
            r, s = one.row, one.column
            if r == s:
                name, value = f"sd__{term.names[r]}", sd[r]
            else:
                size = sd[r] * sd[s]
                name = f"cor__{term.names[s]}.{term.names[r]}"
                value = cov[r, s] / size if size > 0 else np.nan
            rows.append({"effect": "ran_pars", "group": term.label or term.group, "term": name, "estimate": value})
    own = _of_residuals(fit) if isinstance(fit, StructuredFit) else [("sd__Observation", float(fit.sigma))]
    return [*rows, *({"effect": "ran_pars", "group": "Residual", "term": name, "estimate": one} for name, one in own)]


def _of_residuals(fit: StructuredFit) -> list[tuple[str, float]]:
    """Standard deviations and correlations of a structure, and its other parameters by their own names."""
    out, kinds = [], dict(zip(fit.structure.names, fit.structure.kinds))
    for _, one, other, _, value in residual_rows(fit):
        if other is not None:
            name = f"cor__{one}.{other}"
        elif kinds.get(str(one)) == "covariance":  # of a lag, say: by the correlation that it makes
            name = f"cor__{one}"
        else:
            name = str(one) if kinds.get(str(one), "variance") != "variance" else f"sd__{one or 'Observation'}"
        out.append((name, float(value)))
    return out


def _ran_vals(fit: Fit, inference: Inference, level: float) -> list[dict[str, Any]]:
    from scipy.special import ndtri

    half, rows = float(ndtri((1 + level) / 2)), []
    covariances, modes = covariances_of_levels(fit), modes_of_levels(fit)
    for k in lme4_order(fit.design.terms):
        term, b = fit.design.terms[k], modes[k]
        se = np.sqrt(np.maximum(np.einsum("jaa->ja", covariances[k]), 0.0))
        for a, name in enumerate(term.names):
            for j, label in enumerate(term.levels):
                rows.append({
                    "effect": "ran_vals", "group": term.group, "level": str(label), "term": name, "estimate": b[j, a],
                    "std.error": se[j, a], "conf.low": b[j, a] - half * se[j, a],
                    "conf.high": b[j, a] + half * se[j, a],
                })  # fmt: skip
    return rows


def _ran_coefs(fit: Fit, inference: Inference, level: float) -> list[dict[str, Any]]:
    fixed = dict(zip(fit.design.x_names, np.asarray(fit.beta)))
    rows, modes = [], modes_of_levels(fit)
    for group in dict.fromkeys(fit.design.terms[k].group for k in lme4_order(fit.design.terms)):
        own = [k for k, term in enumerate(fit.design.terms) if term.group == group]
        levels = fit.design.terms[own[0]].levels
        for name in dict.fromkeys([*fixed, *(name for k in own for name in fit.design.terms[k].names)]):
            value = np.full(len(levels), fixed.get(name, 0.0))
            for k in own:
                names = fit.design.terms[k].names
                if name in names:
                    value = value + modes[k][:, names.index(name)]
            rows += [
                {"effect": "ran_coefs", "group": group, "level": str(label), "term": name, "estimate": one}
                for label, one in zip(levels, value)
            ]
    return rows


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each by column."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def glance(fit: Fit) -> pd.DataFrame:
    """One row that says what the fit is: nobs, sigma, logLik, AIC, BIC, REMLcrit (ML: deviance), df.residual."""
    criterion = "REMLcrit" if fit.reml else "deviance"
    return pd.DataFrame([{
        "nobs": fit.n, "sigma": float(fit.sigma), "logLik": -0.5 * float(fit.deviance), "AIC": aic(fit),
        "BIC": bic(fit), criterion: float(fit.deviance), "df.residual": fit.n - fit.n_parameters,
    }])  # fmt: skip


def row_columns(fit: Fit) -> dict[str, FloatArray]:
    """What the fit says of its own rows, by broom.mixed's names, (n,) each.

    ``.hat`` is ∂ŷ/∂y at known variances, and ``.cooksd`` r²h / (p σ² (1 − h)²), as lme4 has them: with the random
    effects held (`influence` leaves rows out). A model whose residuals have a structure has neither.
    """
    rows = fit.observed_for("augment()")
    fitted, weights = fitted_values(fit), rows.unit_weights
    resid = rows.y - fitted
    influence = {}
    if fit.design.residual is None:
        hat, p = row_forms(fit).leverage, int(fit.kept.sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            influence = {".hat": hat, ".cooksd": weights * (resid / (1 - hat)) ** 2 * hat / (p * fit.sigma**2)}
    return {
        ".fitted": fitted,
        ".resid": resid,
        **influence,
        ".fixed": rows.mean(fit.beta, fit.kept),
        ".mu": fitted,
        ".offset": rows.known,
        ".sqrtXwt": np.sqrt(weights),
        ".sqrtrwt": np.sqrt(weights),
        ".weights": weights,
        ".wtres": resid * np.sqrt(weights),
    }


def as_dict(fit: Fit, inference: Inference) -> dict[str, Any]:
    """Everything that a paper or a dashboard needs, as numbers and text that JSON holds."""
    design: Design = fit.design

    levels, residual = {term.group: int(term.n_levels) for term in design.terms}, {}
    if isinstance(fit, StructuredFit) and not fit.structure.term.is_plain:
        parameters = {name: float(value) for name, value in zip(fit.structure.names, fit.shown_psi)}
        residual = {"residual": {"structure": fit.structure.term.label, "parameters": parameters}}
        if fit.structure.term.group:
            levels.setdefault(fit.structure.term.group, int(fit.structure.term.n_series))
    return {
        "formula": design.formula,
        "response": design.y_name,
        "method": "REML" if fit.reml else "ML",
        "ddf": inference.ddf,
        "cov": inference.cov_type,
        "n": int(fit.n),
        "n_missing": int(design.n_missing),
        "levels": levels,
        "converged": bool(fit.optimum.converged),
        "fixed": plain_records(tidy(fit, inference, "fixed", conf_int=True).drop(columns=["effect", "group"])),
        "random": plain_records(tidy(fit, inference, "ran_pars").drop(columns=["effect"])),
        "theta": [float(one) for one in fit.theta],
        **residual,
        "model": plain_records(glance(fit))[0],
    }
