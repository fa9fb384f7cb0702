"""`henderson.lmer` against lme4's best optimum (`tests/oracles/lmer_fits.R`)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import henderson
from oracle_data import cases, frame, group, level, normal

# lme4's optimizers end within rounding of the optimum; we may be lower, never higher.
DEVIANCE = 1e-7
# Of an estimate, or of its standard error where that is larger.
ESTIMATE = 1e-5
MODE = 1e-4
# A singular optimum is flat along its degenerate directions: estimates are comparable to the root of the
# rounding of the criterion only.
SINGULAR = 2e-3

# The slowest case once is enough.
CASES = {name: case for name, case in cases("lmer_fits").items() if name != "insteval-slope-ml"}


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    """A case's listing and our result."""
    case = CASES[request.param]
    table = frame("lmer_fits", case["data"])
    extra = {key: table[case[key]].to_numpy() for key in ("weights", "offset") if case[key]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case, henderson.lmer(case["formula"], table, REML=case["reml"], **extra)


def tolerance(case: dict, regular: float) -> float:
    """How far apart estimates may be."""
    return max(regular, SINGULAR) if case["expected"]["singular"] else regular


def test_criterion(fitted):
    case, result = fitted
    ours = result.deviance
    assert ours <= case["expected"]["deviance"] + DEVIANCE
    if not case["expected"]["singular"]:
        assert ours == pytest.approx(case["expected"]["deviance"], abs=DEVIANCE, rel=1e-11)


def test_likelihood_measures(fitted):
    case, result = fitted
    for attribute, key in (("llf", "loglik"), ("aic", "aic"), ("bic", "bic")):
        assert getattr(result, attribute) == pytest.approx(case["expected"][key], rel=1e-8, abs=1e-4)
    assert result.nobs == case["expected"]["nobs"]


def test_fixed_effects(fitted):
    case, result = fitted
    expected = case["expected"]
    ours = result.fixef.rename(normal)
    assert sorted(ours.index) == sorted(expected["fixef"]["names"])
    names = expected["fixef"]["names"]
    se = np.sqrt(np.diag(expected["vcov"]))
    close(ours[names], expected["fixef"]["values"], tolerance(case, ESTIMATE), scale=se)
    vcov = result.cov_params().rename(index=normal, columns=normal).loc[names, names]
    close(vcov, expected["vcov"], tolerance(case, 10 * ESTIMATE), scale=np.outer(se, se))


def test_variances(fitted):
    case, result = fitted
    expected = case["expected"]
    regular = tolerance(case, ESTIMATE)
    assert result.sigma == pytest.approx(expected["sigma"], rel=regular)
    theirs = variances(*(expected["varcorr"][key] for key in ("grp", "var1", "var2", "vcov", "sdcor")))
    columns = (result.varcorr[key] for key in ("grp", "var1", "var2", "vcov", "sdcor"))
    ours = variances(*(list(column) for column in columns))
    assert ours.keys() == theirs.keys()
    for key, (vcov, sdcor) in theirs.items():
        where, names = key
        sds = [np.sqrt(theirs[where, frozenset([name])][0]) for name in names]
        scale = np.prod(sds) if len(names) == 2 else vcov
        close(ours[key][0], vcov, 2 * regular, scale=max(scale, expected["sigma"] ** 2 * regular))
        if not expected["singular"]:
            close(ours[key][1], sdcor, 2 * regular, scale=1 if len(names) > 1 else sdcor)
    assert result.is_singular == expected["singular"]


def test_theta(fitted):
    case, result = fitted
    if not case["expected"]["singular"]:
        theirs = case["expected"]["theta"]
        assert len(result.theta) == len(theirs)
        close(np.sort(np.abs(result.theta)), np.sort(np.abs(theirs)), 2 * ESTIMATE, scale=1)


def test_conditional_modes(fitted):
    case, result = fitted
    expected = case["expected"]
    ours = {group(name): table for name, table in result.ranef.items()}
    assert ours.keys() == {group(name) for name in expected["ranef"]}
    for name, listing in expected["ranef"].items():
        table = ours[group(name)].rename(columns=normal)
        rows = dict(zip(map(level, table.index), range(len(table))))
        values = np.asarray(listing["values"], float)
        at = [rows[level(label)] for label in listing["levels"]]
        spread = np.sqrt(np.mean(values**2, axis=0)) + 1e-6 * expected["sigma"]
        close(table[listing["columns"]].to_numpy()[at], values, tolerance(case, MODE), scale=spread)


def test_conditional_variances(fitted):
    case, result = fitted
    expected = case["expected"]
    ours = {group(name): table for name, table in result.ranef_sd.items()}
    for name, listing in expected["ranef"].items():
        table = ours[group(name)].rename(columns=normal)
        rows = dict(zip(map(level, table.index), range(len(table))))
        at = [rows[level(label)] for label in listing["levels"]]
        blocks = map(np.asarray, listing["variances"])
        theirs = np.concatenate([np.diagonal(block, axis1=1, axis2=2) for block in blocks], 1)
        scale = np.maximum(theirs, 1e-6 * expected["sigma"] ** 2)
        close(table[listing["columns"]].to_numpy()[at] ** 2, theirs, tolerance(case, MODE), scale=scale)


def test_fitted_values_and_residuals(fitted):
    case, result = fitted
    expected = case["expected"]
    close(result.fittedvalues[:20], expected["fitted"], tolerance(case, MODE), scale=expected["sigma"])
    close(result.resid[:20], expected["residuals"], tolerance(case, MODE), scale=expected["sigma"])


def variances(grp, var1, var2, vcov, sdcor) -> dict:
    """(Co)variances with their SDs and correlations, by group and effects. The residual: no effects."""
    out = {}
    for where, first, second, *numbers in zip(grp, var1, var2, vcov, sdcor):
        names = frozenset(normal(name) for name in (first, second) if isinstance(name, str) and name)
        out[group(where), names] = tuple(numbers)
    return out


def close(ours, theirs, tolerance: float, scale=0.0) -> None:
    """Within `tolerance` of the larger of their value and `scale`."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    error = np.abs(ours - theirs) / np.maximum(np.maximum(np.abs(theirs), scale), 1e-300)
    assert np.max(error, initial=0.0) <= tolerance, f"off by {np.max(error):.1e} at {np.argmax(error)}"
