"""statsmodels' summary table of a mixed model, to the character (but that no p-value is written 0.000)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from henderson.results.contrast_results import written
from henderson.tables.aligned import Summary
from henderson.tables.digits import at_least


def mixedlm_summary(
    results: Any,
    yname: str | None = None,
    xname_fe: list[str] | None = None,
    xname_re: list[str] | None = None,
    title: str | None = None,
    alpha: float = 0.05,
) -> Summary:
    """The summary.

    Parameters
    ----------
    results : MixedLMResults
    yname : str, optional
        What to call the response.
    xname_fe, xname_re : list of str, optional
        What to call the fixed effects, and the variance parameters.
    title : str, optional
    alpha : float
        One less the level of the intervals.

    Notes
    -----
    The standard errors of variance parameters are statsmodels': √scale times those of the relative variances.
    """
    names = list(results._names)
    k = results.k_fe
    for part, given, what in ((slice(0, k), xname_fe, "xname_fe"), (slice(k, None), xname_re, "xname_re")):
        if given is not None:
            if len(given) != len(names[part]):
                raise ValueError(f"{what} should be a list of length {len(names[part]):d}")
            names[part] = given
    summary = Summary()
    summary.add_dict(_head(results, yname))
    summary.add_title("Mixed Linear Model Regression Results" if title is None else title)
    summary.add_df(_table(results, names, alpha))
    for note in _notes(results):
        summary.add_text(note)
    return summary


def _head(results: Any, yname: str | None) -> dict[str, Any]:
    if results.model.is_grouped:
        sizes = results.model.group_sizes
        groups = {
            "No. Groups:": str(results.model.n_groups),
            "Min. group size:": f"{min(sizes):.0f}",
            "Max. group size:": f"{max(sizes):.0f}",
            "Mean group size:": f"{np.mean(sizes):.1f}",
        }
    else:
        groups = {f"No. {name}:": str(levels) for name, levels in results.ngrps.items()}
    return {
        "Model:": "MixedLM",
        "No. Observations:": str(results.nobs),
        **groups,
        "Dependent Variable:": results.model.endog_names if yname is None else yname,
        "Method:": results.method,
        "Scale:": at_least(np.array([results.scale]), 4)[0],
        "Log-Likelihood:": results.llf,
        "Converged:": "Yes" if results.converged else "No",
    }


def _table(results: Any, names: list[str], alpha: float) -> pd.DataFrame:
    """Coefficients as text, blank where there is no number."""
    k, letter = results.k_fe, "t" if results.use_t else "z"
    values = np.full((len(names), 6), np.nan)
    values[:k, 0] = np.asarray(results.fe_params)
    values[:k, 1] = np.asarray(results.bse_fe)
    values[:k, 2] = np.asarray(results.tvalues)[:k]
    values[:k, 3] = np.asarray(results.pvalues)[:k]
    values[:k, 4:] = np.asarray(results.conf_int(alpha))[:k]
    entries = np.asarray(results.cov_re)[tuple(results._setup.packing.entries.T)]
    values[k:, 0] = np.concatenate([entries, results.vcomp])
    values[k:, 1] = np.asarray(results.bse_re)
    columns = ["Coef.", "Std.Err.", letter, f"P>|{letter}|", f"[{alpha / 2}", f"{1 - alpha / 2}]"]
    text = [written(row, 3) for row in values]
    return pd.DataFrame(text, index=pd.Index(names), columns=pd.Index(columns))


def _notes(results: Any) -> list[str]:
    notes = []
    if results.design.n_missing:
        notes.append(f"Rows left out because of missing values: {results.design.n_missing}")
    if results.dropped:
        notes.append(f"Redundant columns left out: {', '.join(results.dropped)}")
    notes += results.inference.notes
    if results.use_t:
        notes.append(f"Degrees of freedom: {results.inference.ddf}")
    return notes
