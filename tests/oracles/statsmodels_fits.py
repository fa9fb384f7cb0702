"""Fits by statsmodels 0.15.0 → statsmodels_fits.json.gz: what the statsmodels door is compared with.

Run: python tests/oracles/statsmodels_fits.py
"""

from __future__ import annotations

import gzip
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from statsmodels_models import MODELS  # noqa: E402


def plain(value):
    """JSON of arrays and tables."""
    if isinstance(value, pd.DataFrame | pd.Series):
        value = value.to_numpy()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def listing(model, reml):
    """Everything that is compared."""
    result = model.fit(reml=reml, gtol=1e-9)
    k = model.k_fe
    point = model_point(model)
    labels = list(model.group_labels)[:2]
    params_class = type(result.params_object)
    at = params_class.from_packed(point, model.k_fe, model.k_re, False, True)
    # unwrapped: its wrapper of bse_re fails with variance components
    out = {
        name: getattr(result._results, name)
        for name in (
            "params",
            "fe_params",
            "cov_re",
            "cov_re_unscaled",
            "vcomp",
            "scale",
            "bse",
            "bse_fe",
            "bse_re",
            "tvalues",
            "pvalues",
            "llf",
            "aic",
            "bic",
            "nobs",
            "df_resid",
            "method",
            "normalized_cov_params",
        )
    }
    out["names"] = model.data.param_names
    out["cov_params"] = result.cov_params()
    out["conf_int"] = result.conf_int(0.1)
    out["random_effects"] = {g: result.random_effects[g] for g in labels}
    out["random_effects_names"] = [list(result.random_effects[g].index) for g in labels]
    out["random_effects_cov"] = {g: result.random_effects_cov[g] for g in labels}
    out["fittedvalues"] = result.fittedvalues[:10]
    out["resid"] = result.resid[:10]
    out["summary"] = str(result.summary())
    R = np.eye(k)
    t = result.t_test(R)
    out["t_test"] = [t.effect, t.sd, t.tvalue, t.pvalue, t.conf_int()]
    full = np.eye(len(result.params))[:k]
    w, f = result.wald_test(full, scalar=True), result.f_test(full)
    out["wald_test"] = [w.statistic, w.pvalue, w.df_denom]
    out["f_test"] = [f.fvalue, f.pvalue, f.df_num, f.df_denom]
    out["wald_test_terms"] = result.wald_test_terms(scalar=True).table
    out["point"] = point
    out["loglike"] = model.loglike(at, profile_fe=False)
    out["loglike_profiled"] = model.loglike(at, profile_fe=True)
    out["score"] = model.score(at.copy(), profile_fe=False)
    out["score_profiled"] = model.score(at.copy(), profile_fe=True)
    out["score_full"] = list(model.score_full(at, calc_fe=True))
    out["get_fe_params"] = model.get_fe_params(at.cov_re, at.vcomp)[0]
    out["get_scale"] = model.get_scale(at.fe_params, at.cov_re, at.vcomp)
    out["hessian_at_optimum"] = model.hessian(result.params_object)[0]
    return plain(out)


def model_point(model):
    """Some parameters that are not the estimates: packed, variances not as roots."""
    rng = np.random.default_rng(5)
    root = np.tril(rng.normal(size=(model.k_re, model.k_re))) + np.eye(model.k_re)
    entries = (root @ root.T)[np.tril_indices(model.k_re)]
    return np.concatenate([rng.normal(size=model.k_fe), entries, rng.uniform(0.5, 2, model.k_vc)])


if __name__ == "__main__":
    from statsmodels.regression.mixed_linear_model import MixedLM

    found = {}
    for name, make in MODELS.items():
        for reml in (True, False):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[f"{name}-{'reml' if reml else 'ml'}"] = listing(make(MixedLM), reml)
    with gzip.GzipFile(HERE / "statsmodels_fits.json.gz", "wb", mtime=0) as file:
        file.write(json.dumps(found).encode())
