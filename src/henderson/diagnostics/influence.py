"""Influence of single rows, or of all rows of a level, on what a fit estimates.

With (D) for estimates without the rows D, p fixed effects, V = Var(β̂) and β̂ − β̂(D) = δ:

    Cook's distance   δ'V⁻¹δ / p                    MDFFITS    δ'V(D)⁻¹δ / p
    DFBETAS           δ_j / se(β̂_j)(D)             COVRATIO   det V(D) / det V
    COVTRACE          |tr V⁻¹V(D) − p|              RVC        ψ̂(D)/ψ̂ − 1 of a variance or covariance ψ

(Belsley, Kuh and Welsch 1980; Christensen, Pearson and Johnson 1992; Demidenko and Stukel 2005; Loy and Hofmann 2014,
whose definitions HLMdiag has.) Exact: (D) is the fit of what is left, its variances estimated again. Else the variances
stay, and there is no RVC.

Leverage: ∂ŷ_i/∂y_i, of the fixed and the random effects together; `leverage_fixed` is the diagonal of X(X'V⁻¹X)⁻¹X'V⁻¹.
Of a level, the mean of its rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from henderson.design.variance_parameters import VarianceParameter, variance_parameters
from henderson.diagnostics.one_step import OneStep, foremost, one_step
from henderson.diagnostics.row_sets import row_sets
from henderson.engine.fit import Fit
from henderson.engine.many.deletions import fits_without, takes_long
from henderson.engine.many.refits import Refits
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.row_forms import Forms, row_forms
from henderson.progress import progress_bar
from henderson.tables.result_frame import ResultFrame

FloatArray = np.ndarray

#: how the squares of what tables show are called: var_Days|Subject for sd_Days|Subject
_VARIANCE = {"sd": "var_", "cor": "cov_", "var": "var_", "sigma": "sigma2"}
_PREFIX = {"sd": "sd_", "cor": "cor_", "var": "var_", "sigma": "sigma"}


def influence(fit: Fit, by: Any = None, *, exact: bool | None = None, progress: Any = None) -> pd.DataFrame:
    """Influence of rows or levels.

    Parameters
    ----------
    fit : Fit
    by : None, str, or (n,) array_like
        See `row_sets`.
    exact : bool, optional
        Estimate the variances again without the rows; else hold them. None: again, unless that would be more than a
        thousand fits one after another.
    progress : bool or callable, optional

    Returns
    -------
    DataFrame
        A row for each row of the data, or for each level. Columns: ``n`` (rows; for levels), ``leverage``,
        ``leverage_fixed``, ``cooks``, ``mdffits``, ``covratio``, ``covtrace``, ``dfbetas[name]`` for each fixed effect
        and, when exact, ``rvc[name]`` for each variance and covariance, and each parameter of the residuals' structure.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> table = influence(fit.engine, "Subject")
    >>> table["cooks"].round(3).nlargest(2).to_dict()
    {309: 0.149, 335: 0.129}
    """
    if not isinstance(exact, bool | np.bool_ | None):
        raise ValueError(f"exact must be True or False, or None, not {exact!r}")
    chosen = row_sets(fit, by, "influence()")
    sets, forms = chosen.sets, row_forms(fit)
    spared = exact is None and takes_long(fit, sets.m)
    exact = not spared if exact is None else bool(exact)
    columns: dict[str, FloatArray] = {} if chosen.name is None else {"n": sets.sizes}
    columns["leverage"] = _mean(forms.leverage, sets)
    columns["leverage_fixed"] = _mean(forms.fixed_leverage, sets)
    if exact:
        with progress_bar("Leaving out, fits", sets.m, progress) as tell:
            again = fits_without(fit, sets, tell)
        columns |= _of_fixed_effects(fit, again) | _relative_changes(fit, again)
        beta = again.beta
    else:
        held = one_step(fit, sets, forms)
        columns |= _of_fixed_effects(fit, held)
        beta = held.beta
    name = chosen.name or "row"
    kind = "exact, variances estimated again" if exact else "variances held at their estimates"
    notes = _notes(beta, fit, chosen.labels)
    if spared:
        notes += (f"exact=True would fit the model {sets.m:,} times, one after another",)
    is_unnamed = chosen.name is None and chosen.labels.nlevels == 1 and chosen.labels.name is None
    index = chosen.labels.rename("row") if is_unnamed else chosen.labels
    return ResultFrame.of(pd.DataFrame(columns, index=index), f"Influence by {name} ({kind})", notes)


def largest_moves(fit: Fit, by: str, most: int, forms: Forms) -> pd.DataFrame:
    """DFBETAS, variances held, of the levels that are likely to have the largest ones.

    Parameters
    ----------
    fit : Fit
    by : str
    most : int
        How many levels are left out.
    forms : Forms
        Of the fit.
    """
    chosen = row_sets(fit, by, "check()")
    which = foremost(fit, chosen.sets, forms, most)
    held = one_step(fit, chosen.sets.chosen(which), forms)
    return pd.DataFrame(_of_fixed_effects(fit, held), index=chosen.labels[which]).filter(like="dfbetas[")


def _of_fixed_effects(fit: Fit, found: Refits | OneStep) -> dict[str, FloatArray]:
    """The measures of β̂: what does not know the units is measured in the working basis, where a covariate far from
    zero costs no digits."""
    kept = np.flatnonzero(fit.kept)
    p, V = len(kept), fit.turned_vcov
    delta, variances = (fit.beta - found.beta)[:, kept], np.einsum("maa->ma", found.vcov)[:, kept]
    # correlations: units of the columns do not matter, and determinants do not overflow
    size = np.sqrt(np.diag(V))
    moved, own, V = delta @ fit.basis.from_beta.T / size, found.turned / np.outer(size, size), V / np.outer(size, size)
    good = np.isfinite(own).all(axis=(1, 2)) & np.isfinite(moved).all(axis=1) & (p > 0)
    whole, left, change = np.linalg.inv(V) if good.any() else V, own[good], moved[good]
    out = {name: np.full(len(found.beta), np.nan) for name in ("cooks", "mdffits", "covratio", "covtrace")}
    out["cooks"][good] = np.einsum("ma,ab,mb->m", change, whole, change) / p
    if len(change):
        out["mdffits"][good] = np.einsum("ma,ma->m", change, np.linalg.solve(left, change[:, :, None])[:, :, 0]) / p
    out["covratio"][good] = np.exp(np.linalg.slogdet(left)[1] - np.linalg.slogdet(V)[1])
    out["covtrace"][good] = np.abs(np.einsum("ab,mba->m", whole, left) - p)
    with np.errstate(invalid="ignore"):
        dfbetas = delta / np.sqrt(variances)
    return out | {f"dfbetas[{fit.design.x_names[j]}]": dfbetas[:, a] for a, j in enumerate(kept)}


def _relative_changes(fit: Fit, found: Refits) -> dict[str, FloatArray]:
    """RVC of every variance and covariance of the model, σ² last, or what the residuals' structure has in its place."""
    out: dict[str, FloatArray] = {}
    for parameter in variance_parameters(fit.design):
        if parameter.kind == "residual":
            assert isinstance(fit, StructuredFit)
            assert found.psi is not None
            whole = fit.shown_psi[parameter.row]
            left = fit.structure.shown(found.psi)[:, parameter.row]
        elif parameter.kind == "sigma":
            whole, left = 0.0 if fit.has_no_residual else fit.sigma**2, found.sigma**2
        else:
            row, column = parameter.row, parameter.column if parameter.kind == "cor" else parameter.row
            G = fit.lam[parameter.term] @ fit.lam[parameter.term].T
            whole = fit.sigma**2 * G[row, column]
            left = found.sigma**2 * found.cov[parameter.term][:, row, column]
        with np.errstate(divide="ignore", invalid="ignore"):
            out[_rvc(parameter)] = np.where(whole != 0, np.divide(left, whole) - 1, np.nan)
    return out


def _rvc(parameter: VarianceParameter) -> str:
    """The column of a parameter's relative change."""
    if parameter.kind == "residual":
        return f"rvc[{parameter.name}]"
    return f"rvc[{_VARIANCE[parameter.kind] + parameter.name.removeprefix(_PREFIX[parameter.kind])}]"


def measure_names(fit: Fit, exact: bool = True) -> tuple[str, ...]:
    """The columns of `influence` beside n, known before anything is left out."""
    dfbetas = (f"dfbetas[{name}]" for name, kept in zip(fit.design.x_names, fit.kept) if kept)
    rvc = [_rvc(parameter) for parameter in variance_parameters(fit.design)] if exact else []
    return ("leverage", "leverage_fixed", "cooks", "mdffits", "covratio", "covtrace", *dfbetas, *rvc)


def _mean(values: FloatArray, sets: Any) -> FloatArray:
    """Means of each set."""
    return np.add.reduceat(values[sets.rows], sets.starts[:-1]) / sets.sizes


def _notes(beta: FloatArray, fit: Fit, labels: pd.Index) -> tuple[str, ...]:
    """What could not be estimated without some rows."""
    lost = np.isnan(beta[:, fit.kept])
    notes = []
    if (none := lost.all(axis=1)).any():
        notes.append(f"no estimates without {_list(labels[none])}: what is left does not determine the model")
    if (some := lost.any(axis=1) & ~none).any():
        names = [name for name, gone in zip(np.array(fit.design.x_names)[fit.kept], lost[some].any(axis=0)) if gone]
        notes.append(f"without {_list(labels[some])} {', '.join(names)} cannot be estimated: no measures there")
    return tuple(notes)


def _list(labels: pd.Index) -> str:
    shown = [str(label) for label in labels[:5]]
    return ", ".join(shown) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
