"""Slopes on time stamps: what is left out, predicted, scaled or counted after a fit does not know where zero is.

A covariance in the user's units has lost twice the digits that its root has: at 10⁸ of a covariate's spreads, all.
Cross-validation drifted there without a word (1.5 %, NaN at 10⁹), conditional AIC was off by thousands at 10¹⁰, scaled
residuals were NaN, and Cook's distances were not stated. The covariates here are moved by powers of two, so that no
digit of theirs is lost.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from henderson import lmer

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

#: digits that the coefficients carry, in double precision, of covariates moved so far for a spread of one
RTOL = {2.0**27: 2e-6, 2.0**33: 1e-4}

FORMULAS = {
    "slopes": ("y ~ x + f + (x | g)", {}),
    "crossed": ("y ~ x * f + (x | g) + (1 | h)", {"weights": "w"}),
    "ar1": ("y ~ x + (x | g)", {"residual": "ar1(t | g)"}),
}


def table(move):
    rng = np.random.default_rng(1)
    g, t = np.repeat(np.arange(10), 7), np.tile(np.arange(7), 10)
    x, f = np.round(rng.normal(size=70) * 1024) / 1024, rng.choice(list("abc"), 70)
    y = 3 + 0.5 * x + rng.normal(size=10)[g] + 0.7 * rng.normal(size=10)[g] * x + rng.normal(size=70)
    return {"y": y + 0.4 * (f == "b"), "x": x + move, "f": f, "g": g, "h": t, "t": t, "w": rng.uniform(0.5, 2, 70)}


@cache
def fitted(name, move):
    formula, options = FORMULAS[name]
    return lmer(formula, table(move), **options)


def pairs(name, move):
    return fitted(name, 0.0), fitted(name, move)


@pytest.mark.parametrize("move", RTOL)
@pytest.mark.parametrize("name", FORMULAS)
def test_left_out_levels_and_rows(name, move):
    near, far = pairs(name, move)
    for by in ("g", None) if name == "slopes" else ("g",):
        one, two = (fit.cross_validate(by, 3, seed=1) for fit in (near, far))
        for column in ("predicted", "se"):
            np.testing.assert_allclose(
                two.predictions[column], one.predictions[column], rtol=RTOL[move], atol=RTOL[move]
            )
    measures = ["cooks", "mdffits", "covratio", "covtrace", "leverage", "dfbetas[x]"]
    for by, exact in ((None, True),) if name == "slopes" else (("g", True), ("g", False), (None, False)):
        one, two = (fit.influence(by, exact=exact)[measures] for fit in (near, far))
        np.testing.assert_allclose(two, one, rtol=10 * RTOL[move], atol=RTOL[move])


@pytest.mark.parametrize("move", RTOL)
@pytest.mark.parametrize("name", FORMULAS)
def test_scaled_residuals_and_the_conditional_aic(name, move):
    near, far = pairs(name, move)
    one, two = (fit.residuals("scaled", "marginal") for fit in (near, far))
    np.testing.assert_allclose(two, one, rtol=RTOL[move], atol=RTOL[move])
    for kind, level in (("raw", "conditional"), ("pearson", "marginal"), ("studentized", "conditional")):
        one, two = (fit.residuals(kind, level) for fit in (near, far))
        np.testing.assert_allclose(two, one, rtol=RTOL[move], atol=RTOL[move], err_msg=kind)
    assert far.caic().caic == pytest.approx(near.caic().caic, rel=RTOL[move])
