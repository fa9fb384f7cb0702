"""Options that have no meaning are refused by their names, before any work: never an error of Python's or NumPy's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import henderson
from henderson.datasets import load

FORMULA = "angle ~ recipe * temp + (1 | recipe:replicate)"


@pytest.fixture(scope="module")
def fit():
    return henderson.lmer(FORMULA, load("cake"))


@pytest.fixture(scope="module")
def packed():
    return henderson.mixedlm("Reaction ~ Days", load("sleepstudy"), groups="Subject").fit()


@pytest.mark.parametrize("level", [95, 1, 0, -1, True, "0.95", None, [0.9], np.nan])
def test_levels(fit, packed, level):
    """Once a level of 95 gave limits of NaN, and one of −1 limits that were the wrong way round."""
    for results in (fit, packed):
        for call in (
            lambda r=results: r.conf_int(level=level) if level is not None else r.conf_int(None),
            lambda r=results: r.conf_int(alpha=level),
            lambda r=results: r.tidy(conf_int=True, level=level),
            lambda r=results: r.t_test(np.eye(len(r.fe_params))).conf_int(level),
            lambda r=results: r.predict(interval="confidence", level=level),
        ):
            with pytest.raises(ValueError, match=r"(level|alpha) must be between 0 and 1"):
                call()
    with pytest.raises(ValueError, match=r"95 % is 0\.95"):
        fit.emmeans("recipe", level=95)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.emmeans(3), "no variable '3'|name or several"),
        (lambda r: r.emmeans("recipe", at=["temp"]), "at is a dict"),
        (lambda r: r.emmeans("recipe", null="a"), "null must be a number"),
        (lambda r: r.emmeans("recipe", delta=-1), "delta must be at least 0"),
        (lambda r: r.emtrends("recipe", None), "var is the name of a covariate"),
        (lambda r: r.emtrends("recipe", "temp", at=3), "at is a dict"),
        (lambda r: r.conf_int(method=["wald"]), "unknown method"),
        (lambda r: r.residuals(kind=["raw"]), "kind must be one of"),
        (lambda r: r.cross_validate(metric=["rmse"]), "rmse"),
        (lambda r: r.bootstrap("many"), "n must be a whole number"),
        (lambda r: r.rlrt(n=0.5), "n must be a whole number"),
        (lambda r: r.rlrt(seed="a"), "seed must be a whole number"),
        (lambda r: r.profile(level="high"), "level must be between 0 and 1"),
        (lambda r: r.emmeans("recipe").pairs(by=3.5), "by is a name or several"),
        (lambda r: r.conf_int(parameters=3), "parameters is a name or several"),
        (lambda r: r.drop1(scope=1.5), "scope is a name or several"),
        (lambda r: r.t_test("temp", cov_p=np.eye(2)), r"cov_p is the \(6, 6\) covariance"),
        (lambda r: r.cov_params(cov_p=np.eye(2)), r"cov_p is the \(6, 6\) covariance"),
        (lambda r: r.cov_params(np.eye(2)), "r_matrix has a column for each of .*, 6 in all"),
        (lambda r: r.cov_params(np.eye(6), other=np.eye(2)), "other has a column"),
        (lambda r: r.wald_test("temp", df_constraints=0), "df_constraints must be at least 1"),
        (lambda r: r.wald_test_terms(combine_terms=["dose"]), "combine_terms: no term has 'dose'"),
        (lambda r: r.t_test(()), "columns"),
    ],
)
def test_others(fit, call, message):
    with pytest.raises(ValueError, match=message):
        call(fit)


def test_a_covariance_with_labels_is_matched_by_name(fit):
    cov = pd.DataFrame(fit.cov_params())
    backwards = cov.iloc[::-1, ::-1]
    for given in (cov, backwards, cov.to_numpy()):
        np.testing.assert_allclose(fit.t_test("temp = 0", cov_p=given).sd, fit.bse["temp"])


TABLE = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})


@pytest.mark.parametrize("given", [TABLE, TABLE["a"], np.ones(3), {"a": 1}, pl.DataFrame({"a": [1]})])
def test_a_table_where_a_choice_is_wanted(fit, packed, given):
    """Once pandas' and NumPy's words about the truth of an array, or pages of the table in the message."""
    means = fit.emmeans("recipe")
    for option, call in {
        "interval": lambda: fit.predict(interval=given),
        "type": lambda: packed.predict(type=given),
        "se": lambda: fit.predict(se=given),
        "ddf": lambda: fit.anova(ddf=given),
        "kind": lambda: fit.residuals(kind=given),
        "metric": lambda: packed.cross_validate(metric=given),
        "format": lambda: fit.save("nowhere", format=given),
        "adjust": lambda: means.summary(adjust=given),
        "reverse": lambda: means.pairs(reverse=given),
        "absolute": lambda: fit.plot.profile(absolute=given),
        "method": lambda: henderson.compare(fit, fit, method=given),
    }.items():
        with pytest.raises(ValueError, match=option) as caught:
            call()
        assert len(str(caught.value)) < 250
        assert "ambiguous" not in str(caught.value)
