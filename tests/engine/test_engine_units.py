"""The optimum may not depend on units, origins or the order of rows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import henderson
from oracle_data import frame, normal

# Of the size of each quantity: the last step is quadratic, so what remains is rounding.
SAME = 1e-8

MODELS = {  # formula, table, response, covariate
    "slope": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", "Reaction", "Days"),
    "uncorrelated": ("Reaction ~ Days + (Days || Subject)", "sleepstudy", "Reaction", "Days"),
    "nested": ("strength ~ 1 + (1 | batch/cask)", "Pastes", "strength", None),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", "diameter", None),
    "singular": ("Yield ~ 1 + (1 | Batch)", "Dyestuff2", "Yield", None),
    "interaction": ("angle ~ recipe * temp + (1 | recipe:replicate)", "cake", "angle", "temp"),
    "crossed-slopes": ("y ~ x + z + (x | subj) + (z | item)", "crossed", "y", "x"),
    "schools": ("y ~ ses + (1 | school/class)", "schools", "y", "ses"),
    "three terms": ("y ~ x + (1 | a) + (1 | b) + (1 | a:b)", "pairs", "y", "x"),
    "four effects": ("y ~ x * z + (x * z | g)", "bar_interaction", "y", "x"),
    "cells": ("score ~ Machine + (0 + Machine | Worker)", "Machines", "score", None),
    "slopes": ("score ~ Machine + (Machine | Worker)", "Machines", "score", None),
}


def fit(formula: str, table, reml: bool):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return henderson.lmer(formula, table, REML=reml)


PARAMS = [(name, reml) for name in MODELS for reml in (True, False)]


@pytest.fixture(scope="module", params=PARAMS, ids=lambda p: f"{p[0]}-{'reml' if p[1] else 'ml'}")
def model(request):
    name, reml = request.param
    formula, data, y, x = MODELS[name]
    table = frame("lmer_fits", data)
    table[y] = table[y].astype(float)
    return formula, table, y, x, reml, fit(formula, table, reml)


def degrees(result, reml: bool) -> int:
    return int(result.nobs) - (len(result.fixef) if reml else 0)


def variances(result) -> np.ndarray:
    return result.varcorr["vcov"].to_numpy(float)


def spreads(result) -> np.ndarray:
    """Size of each entry of `variances`: of a covariance, the product of its SDs."""
    table = result.varcorr
    rows = list(table[["grp", "var1", "var2", "vcov"]].itertuples(index=False))
    sds = {(row.grp, row.var1): np.sqrt(row.vcov) for row in rows if not isinstance(row.var2, str)}
    return np.array([sds[row.grp, row.var1] * sds[row.grp, second(row)] for row in rows])


def second(row):
    """The other effect of an entry: of a variance, the same one."""
    return row.var2 if isinstance(row.var2, str) else row.var1


def size_of(result) -> np.ndarray:
    """Size of each fixed effect: its value, or its standard error where that is larger."""
    return np.maximum(np.abs(result.fixef), result.bse_fe)


def same(ours, reference, size) -> None:
    error = np.max(np.abs(np.asarray(ours) - np.asarray(reference)) / np.maximum(size, 1e-300))
    assert error <= SAME, f"off by {error:.1e}"


def test_response_times_a_million(model):
    formula, table, y, _, reml, plain = model
    scaled = fit(formula, table.assign(**{y: table[y] * 1e6}), reml)
    same(scaled.fixef / 1e6, plain.fixef, size_of(plain))
    same(variances(scaled) / 1e12, variances(plain), spreads(plain) + SAME * plain.sigma**2)
    moved = scaled.deviance - 2 * degrees(plain, reml) * np.log(1e6)
    same(moved, plain.deviance, plain.nobs)
    assert scaled.is_singular == plain.is_singular


def test_response_plus_a_million(model):
    formula, table, y, _, reml, plain = model
    moved = fit(formula, table.assign(**{y: table[y] + 1e6}), reml)
    fixef = moved.fixef.copy()
    fixef[[name for name in fixef.index if normal(name) == "(Intercept)"]] -= 1e6
    same(fixef, plain.fixef, size_of(plain))
    same(variances(moved), variances(plain), spreads(plain) + SAME * plain.sigma**2)
    same(moved.deviance, plain.deviance, plain.nobs)


def test_small_covariate(model):
    formula, table, _, x, reml, plain = model
    if x is None:
        pytest.skip("no covariate")
    small = fit(formula, table.assign(**{x: table[x] * 1e-4}), reml)
    factor = np.array([1e-4 if x in name.split(":") else 1.0 for name in plain.fixef.index])
    same(small.fixef * factor, plain.fixef, size_of(plain))
    rows = list(plain.varcorr[["var1", "var2"]].itertuples(index=False))
    change = np.array([1e-4 ** (f"{row.var1}:{second(row)}".split(":").count(x)) for row in rows])
    same(variances(small) * change, variances(plain), spreads(plain))
    shift = 2 * np.log(1e-4) * sum(factor < 1) if reml else 0.0  # log|X'V⁻¹X| is in the restricted likelihood
    same(small.deviance - shift, plain.deviance, plain.nobs)


def test_calendar_years(model):
    formula, table, _, x, reml, plain = model
    if x is None or "||" in formula or "*" in formula:
        pytest.skip("no covariate, or a model that changes with its origin")
    late = fit(formula, table.assign(**{x: table[x] + 2000}), reml)
    slopes = [name for name in plain.fixef.index if normal(name) != "(Intercept)"]
    same(late.fixef[slopes], plain.fixef[slopes], size_of(plain)[plain.fixef.index.isin(slopes)])
    same(late.deviance, plain.deviance, plain.nobs)
    same(late.sigma, plain.sigma, plain.sigma)
    same(late.fittedvalues, plain.fittedvalues, plain.sigma + np.abs(plain.fittedvalues))


def test_shuffled_rows(model):
    formula, table, _, _, reml, plain = model
    order = np.random.default_rng(3).permutation(len(table))
    shuffled = fit(formula, table.iloc[order], reml)
    same(shuffled.fixef[plain.fixef.index], plain.fixef, size_of(plain))
    same(variances(shuffled), variances(plain), spreads(plain) + SAME * plain.sigma**2)
    same(shuffled.deviance, plain.deviance, plain.nobs)
    fitted = np.asarray(plain.fittedvalues)[order]
    same(np.asarray(shuffled.fittedvalues), fitted, plain.sigma + np.abs(fitted))
