"""The working basis: where a covariate's zero lies changes neither the likelihood nor what is said of the model.

A model with an intercept does not change when a covariate moves, so the centred fit is the oracle of the moved one.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson import lmer
from henderson.errors import DataError

#: deviances agree to what the digits of the moved covariate leave
MOVED = 1e-5

rng = np.random.default_rng(1)
N = 120
G = np.repeat(np.arange(12), 10)
F = np.resize(list("abc"), N)
X = np.round(rng.normal(size=N) * 64) / 64  # sums with 1e10 are exact to a few digits less
Z = np.round(rng.normal(size=N) * 64) / 64
Y = rng.normal(size=N) + rng.normal(size=12)[G] + 0.5 * rng.normal(size=12)[G] * X + 0.4 * X


def fitted(formula, x=0.0, y=0.0, z=0.0, **options):
    return lmer(formula, {"y": Y + y, "x": X + x, "z": Z + z, "g": G, "f": F, "xc": X}, **options)


@pytest.mark.parametrize("far", [1e4, 1e7, 1e10])
@pytest.mark.parametrize(
    "formula",
    ["y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ 0 + f + x + (x | g)", "y ~ f * x + (x | g)", "y ~ f:x + f + (1 | g)"],
)
def test_far_covariates(formula, far):
    near, moved = fitted(formula), fitted(formula, x=far)
    assert moved.deviance == pytest.approx(near.deviance, abs=MOVED)
    assert moved.coef_table.estimate.iloc[-1] == pytest.approx(near.coef_table.estimate.iloc[-1], rel=1e-4)
    assert moved.coef_table.se.iloc[-1] == pytest.approx(near.coef_table.se.iloc[-1], rel=1e-4)
    assert moved.coef_table.df.iloc[-1] == pytest.approx(near.coef_table.df.iloc[-1], rel=1e-4)
    assert moved.is_singular == near.is_singular


@pytest.mark.parametrize("far", [1e2, 1e4, 1e6])
@pytest.mark.parametrize(
    ("formula", "row"), [("y ~ x * z + (1 | g)", [0, 1, 0, -1]), ("y ~ x + I(x**2) + (1 | g)", [0, 1, -2])]
)
@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_products_of_far_covariates(formula, row, far, ddf):
    near = fitted(formula).with_inference(ddf=ddf)
    moved = fitted(formula, x=far, z=far).with_inference(ddf=ddf)
    L = [[*row[:-1], row[-1] * far]]  # the coefficient of x where the moved covariates are zero
    assert moved.deviance == pytest.approx(near.deviance, abs=MOVED)
    assert moved.coef_table.se.iloc[1] == pytest.approx(near.inference.se(L)[0], rel=1e-6)
    assert moved.coef_table.df.iloc[1] == pytest.approx(near.inference.df(L)[0], abs=1e-3)


@pytest.mark.parametrize(
    ("formula", "far", "digits"),
    [
        ("y ~ x * z * f1 + (1 | g)", 1e5, 1e-7),
        ("y ~ x * z * x2 + (1 | g)", 1e3, 1e-6),
        ("y ~ x * z * x2 + (1 | g)", 1e4, 1e-3),
    ],
)
def test_a_product_of_three_far_covariates_has_the_digits_of_its_column(formula, far, digits):
    # at 1e4 the column is 1e12, rounded to 1e-4, and varies by 1 beyond what the others explain; it was dropped
    rng = np.random.default_rng(8)
    x2, f1 = np.round(rng.normal(size=len(Y)) * 64) / 64, rng.integers(0, 2, size=len(Y)).astype(float)
    near = lmer(formula, {"y": Y, "x": X, "z": Z, "x2": x2, "f1": f1, "g": G})
    moved = lmer(formula, {"y": Y, "x": X + far, "z": Z + far, "x2": x2 + far, "f1": f1, "g": G})
    assert not moved.dropped
    assert moved.deviance == pytest.approx(near.deviance, abs=digits)
    assert moved.coef_table.estimate.iloc[-1] == pytest.approx(near.coef_table.estimate.iloc[-1], abs=digits)
    assert moved.coef_table.se.iloc[-1] == pytest.approx(near.coef_table.se.iloc[-1], rel=digits)


def test_products_that_are_redundant_are_dropped():
    z = X + 5.0
    table = {"y": Y, "x": X + 1e4, "z": z + 1e4, "g": G, "f": F}
    assert lmer("y ~ x + I(x**2) + x:z + (1 | g)", table).dropped == ["x:z"]
    assert len(lmer("y ~ x * z + I(x * z) + f + (1 | g)", table | {"z": Z + 1e4}).dropped) == 1


def test_a_slope_in_any_unit_keeps_its_variance():
    # ms and ns since 1970: the slope's own share of λ is below 1e-15 of the intercept's
    day = 20 + 11.5 * X
    seen = []
    for unit, origin in ((1.0, 0.0), (86_400_000.0, 1.7e12), (86_400_000e6, 1.7e18)):
        fit = lmer("y ~ x + (x | g)", {"y": Y, "x": day * unit + origin, "g": G})
        assert not fit.is_singular
        assert fit.engine.criterion.deviance(fit.theta) == pytest.approx(fit.deviance, abs=1e-6)
        seen.append([fit.deviance - 2 * np.log(unit), fit.varcorr.sdcor[1] * unit, *fit.coef_table.df[1:]])
    np.testing.assert_allclose(seen[1:], [seen[0]] * 2, rtol=1e-5)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ 0 + f + x + (1 | g)"])
@pytest.mark.parametrize(("far", "digits"), [(1e9, 1e-4), (1e12, 0.05)])
def test_a_far_response(formula, far, digits):
    near = lmer(formula, {"y": 0.1 * Y, "x": X, "g": G, "f": F})
    moved = lmer(formula, {"y": far + 0.1 * Y, "x": X, "g": G, "f": F})
    assert moved.deviance == pytest.approx(near.deviance, abs=digits)
    assert moved.sigma == pytest.approx(near.sigma, rel=digits)


@pytest.mark.parametrize("x", [X, X + 0.01, X * 1e6])
def test_a_response_that_is_explained_exactly(x):
    with pytest.raises(DataError, match="explain y exactly"):
        lmer("y ~ x + (1 | g)", {"y": 0.1 + 0.3 * x, "x": x, "g": G})


@pytest.mark.parametrize("far", [3e3, 1e6, 1e9])
@pytest.mark.parametrize(
    "formula", ["y ~ 0 + f + x + xc + (1 | g)", "y ~ x + xc + (1 | g)", "y ~ f * x + f:xc + (1 | g)"]
)
def test_collinearity_beside_a_far_covariate(formula, far):
    near, moved = fitted(formula.replace("+ xc", "").replace("+ f:xc", "")), fitted(formula, x=far)
    assert moved.engine.kept.sum() == len(near.engine.kept)
    assert moved.deviance == pytest.approx(near.deviance, abs=MOVED)


@pytest.mark.parametrize("unit", [1e-40, 1e-16, 1e12, 1e40])
@pytest.mark.parametrize("in_parts", [False, True])
def test_the_unit_of_the_weights(unit, in_parts):
    # columns were told from rounding, and redundant ones found, by lengths with weights beside lengths without
    formula, w = "y ~ x * z + I(z**2) + xc + (1 | g)", rng.uniform(0.5, 2.0, N)
    table = pd.DataFrame({"y": Y, "x": X, "z": Z + 2000.0, "xc": 2 * X + Z, "g": G})
    one = lmer(formula, table.assign(w=w), weights="w")
    scaled = table.assign(w=w * unit)
    other = lmer(formula, (lambda: iter([scaled[:50], scaled[50:]])) if in_parts else scaled, weights="w")
    assert one.dropped == other.dropped == ["xc"]
    assert other.deviance == pytest.approx(one.deviance, abs=MOVED)
    np.testing.assert_allclose(other.bse, one.bse, rtol=1e-6)
