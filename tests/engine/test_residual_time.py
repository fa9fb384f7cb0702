"""Correlations in continuous time do not depend on its unit or on where it begins, whatever is asked of a fit."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

import henderson

#: rounding of times in another unit
SAME = 1e-8
#: units of time, and where it begins
UNITS = {"tiny": (1e-6, 0.0), "small": (1e-3, 0.0), "large": (1e3, 0.0), "huge": (1e6, 0.0), "far": (1.0, 2.0**24)}
MODELS = {
    "car1": ("y ~ x", {"residual": "car1(t | g)"}),
    "beside an intercept": ("y ~ x + (1 | g)", {"residual": "car1(t | g)"}),
    "by stratum, of unequal variance": ("y ~ x", {"residual": "car1(t | s / g) * exp(x)"}),
    "sp_exp": ("y ~ x", {"residual": "sp_exp(t | g)"}),
    "in bars": ("y ~ x + ou(0 + visit | g)", {}),
}


def series(scale: float = 1.0, first: float = 0.0) -> pd.DataFrame:
    """24 series of 7 rows, gaps between them from a tenth to a few units."""
    rng = np.random.default_rng(5)
    parts = []
    for g in range(24):
        t = np.round(rng.exponential(1.0, 7) + 0.1, 4).cumsum()
        e = np.linalg.cholesky(np.exp(-np.abs(np.subtract.outer(t, t)) / 0.8)) @ rng.normal(size=7)
        x = rng.normal(size=7)
        parts.append(pd.DataFrame({"g": g, "s": "ab"[g % 2], "t": t, "x": x, "y": 0.5 * x + e + 0.8 * rng.normal()}))
    data = pd.concat(parts, ignore_index=True)
    data["visit"] = np.array([0, 0.5, 2, 3, 7, 8, 8.25])[data.groupby("g").cumcount()] * scale + first
    data["t"] = np.round(data["t"] * 2**20) / 2**20 * scale + first
    return data


def said(fit) -> np.ndarray:
    """−2 log L, variances, errors and degrees of freedom of three methods."""
    methods = ("satterthwaite", "kenward-roger", "kenward-roger-linear")
    tables = [fit.with_inference(ddf=ddf).coef_table for ddf in methods]
    return np.concatenate([[fit.deviance], fit.varcorr["vcov"].dropna(), *(t[c] for t in tables for c in ("se", "df"))])


@pytest.fixture(scope="module")
def known():
    return {name: henderson.lmer(formula, series(), **options) for name, (formula, options) in MODELS.items()}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", MODELS)
def test_only_the_range_has_the_unit_of_time(known, name, unit):
    """A range of 1/330 of the unit ended where nothing correlates; errors by Kenward and Roger were of the unit."""
    formula, options = MODELS[name]
    fit = henderson.lmer(formula, series(*UNITS[unit]), **options)
    assert fit.converged
    np.testing.assert_allclose(said(fit), said(known[name]), rtol=SAME, atol=SAME)
    if options:
        names, scale = fit.engine.structure.names, UNITS[unit][0]
        for label, one, other in zip(names, fit.engine.shown_psi, known[name].engine.shown_psi):
            kind = label.split(": ")[-1]
            expected = other * scale if kind == "Range" else other ** (1 / scale) if kind == "Corr" else other
            assert one == pytest.approx(expected, rel=1e-6)


def test_what_follows_a_fit_is_in_the_units_of_the_user(known, tmp_path):
    """Forecasts, intervals, a start, parameters that are given, simulations and files, times in another unit."""
    scale, (formula, options) = 2.0**-6, MODELS["beside an intercept"]
    fit, data = known["beside an intercept"], series(2.0**-6)
    other = henderson.lmer(formula, data, **options)
    new = data.head(9).assign(t=data["t"].head(9) + scale / 3)
    ahead = other.predict(new, conditional=True, interval="prediction")
    expected = fit.predict(new.assign(t=new["t"] / scale), conditional=True, interval="prediction")
    np.testing.assert_allclose(ahead, expected, rtol=SAME)
    np.testing.assert_allclose(other.residual_cov(3), fit.residual_cov(3), rtol=SAME)
    limits, small = [one.conf_int(method="profile", parameters=["residual Corr"]).to_numpy() for one in (fit, other)]
    np.testing.assert_allclose(np.log(small) * scale, np.log(limits), rtol=1e-5)
    errors = [one.variance_errors().loc["residual Corr"] for one in (fit, other)]
    of_log = [one["se"] / one["estimate"] for one in errors]
    assert of_log[1] * scale == pytest.approx(of_log[0], rel=1e-6)
    corr = float(other.engine.shown_psi[1])
    again = henderson.lmer(formula, data, start={"theta": [0.5], "residual": [1.0, corr]}, **options)
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-8)
    with pytest.raises(ValueError, match=r"start: Corr = 1.5 is not between 0 and 1"):
        henderson.lmer(formula, data, start={"theta": [0.5], "residual": [1.0, 1.5]}, **options)
    draws = [one.simulate(2, seed=3).to_numpy() for one in (fit, other)]
    np.testing.assert_allclose(draws[1], draws[0], rtol=1e-6)
    for name in ("fit.henderson", "fit.pickle"):
        other.save(tmp_path / name)
        loaded = henderson.load(tmp_path / name)
        assert loaded.varcorr["sdcor"].to_numpy() == pytest.approx(other.varcorr["sdcor"].to_numpy(), rel=1e-12)
        np.testing.assert_allclose(
            loaded.predict(new, interval="prediction"), other.predict(new, interval="prediction"), rtol=1e-12
        )


def test_given_parameters_are_read_in_the_units_of_the_user(known):
    """What is not given stays, though it is too small to be shown."""
    formula, options = MODELS["car1"]
    fit = henderson.lmer(formula, series(1e-6), **options)
    assert fit.engine.shown_psi[1] == 0
    errors = fit.variance_errors()
    assert np.isnan(errors.loc["residual Corr", "se"])
    assert "nearer to 0 or 1 than a number can be" in errors.attrs["notes"][-1]
    assert np.isnan(fit.conf_int(method="wald", transform=True).loc["residual Corr"]).all()
    draws = [one.simulate(1, seed=3, params={"psi": {"Var": 2.0}}) for one in (fit, known["car1"])]
    np.testing.assert_allclose(draws[0], draws[1], rtol=1e-6)


def test_files_from_before_units_are_read(tmp_path):
    """They have no unit, and their correlation is that of a distance of one."""
    data = series()
    data["t"] = data.groupby("g").cumcount() * 1.0
    fit = henderson.lmer("y ~ x", data, residual="car1(t | g)")
    path, before = tmp_path / "fit.henderson", tmp_path / "before.henderson"
    fit.save(path)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(before, "w") as old:
        for name in whole.namelist():
            content = whole.read(name)
            old.writestr(name, json.dumps(without_unit(json.loads(content))) if name == "model.json" else content)
    loaded = henderson.load(before)
    assert loaded.varcorr["sdcor"].to_numpy() == pytest.approx(fit.varcorr["sdcor"].to_numpy(), rel=1e-12)
    new = data.head(3)
    np.testing.assert_allclose(
        loaded.predict(new, interval="prediction"), fit.predict(new, interval="prediction"), rtol=1e-12
    )


def without_unit(value):
    """A file's contents without any field of that name."""
    if isinstance(value, dict):
        return {key: without_unit(own) for key, own in value.items() if key != "unit"}
    return [without_unit(own) for own in value] if isinstance(value, list) else value
